//! Who uses which service under which promise: 25 customers, 200 services, 300 agreements, and each service's temper.
//!
//! The lists below are the provider; chance decides only how well each service does this month.

use chrono_tz::Tz;

use super::dice::{Dice, Part};
use super::hours::{Hours, WeeklyLine, american_holidays, german_holidays};
use super::{DAY, HOUR, Month};

mod names;
mod offerings;

pub(super) use names::CUSTOMERS;
pub(super) use offerings::{OFFERINGS, Offering, OfferingId};

/// Everything that stays as it is for the month.
pub(super) struct Catalogue {
    pub(super) services: Vec<Service>,
    pub(super) agreements: Vec<Agreement>,
    /// Indexed by `CalendarId`.
    calendars: [Hours; 4],
}

/// The calendars, in the order of `Catalogue::calendars`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalendarId {
    Always,
    BusinessHours,
    ExtendedHours,
    UsEast,
}

/// How good a service is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Gold,
    Silver,
    Bronze,
}

/// How well a service does this month against its availability target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temper {
    Fine,
    /// It ends just within its target.
    Near,
    /// It clearly misses its target.
    Below,
}

/// A service and what the month holds for it.
pub(super) struct Service {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) owner: &'static str,
    /// Places in `CUSTOMERS`.
    pub(super) customers: Vec<usize>,
    /// Places in the catalogue's services, all before its own.
    pub(super) depends_on: Vec<usize>,
    /// The offering whose limits its teams work to.
    pub(super) offering: OfferingId,
    /// Its state follows from incidents alone: nobody checks it.
    pub(super) unchecked: bool,
    /// Its checks arrive in another system's own form, on the topic `probes`.
    pub(super) foreign: bool,
    pub(super) temper: Temper,
    /// Its numbers are green while its users are not content.
    pub(super) watermelon: bool,
    /// How much agreed time its outages may take in all this month, in seconds.
    pub(super) downtime_wanted: i64,
    /// When nobody observed it, in seconds since 1970.
    pub(super) unobserved: Option<(i64, i64)>,
    /// How much of the incidents it draws.
    pub(super) weight: i64,
}

/// A promise about services.
pub(super) struct Agreement {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) agreement_type: &'static str,
    /// A place in `CUSTOMERS`.
    pub(super) customer: Option<usize>,
    /// Places in the catalogue's services.
    pub(super) services: Vec<usize>,
    pub(super) offering: OfferingId,
    /// Ids of agreements.
    pub(super) rests_on: Vec<String>,
    /// A second version with a tighter limit comes into force in mid-month.
    pub(super) tightened: bool,
}

/// How many services fall clearly below their target, and how many end just within it, by tier: gold, silver, bronze.
const BELOW: [usize; 3] = [2, 5, 5];
const NEAR: [usize; 3] = [4, 9, 7];

impl Catalogue {
    pub(super) fn new(seed: u64, month: &Month) -> Catalogue {
        let mut dice = Dice::new(seed, Part::Catalogue);
        let mut services = names::services();
        let agreements = names::agreements(&services);
        let year = chrono::Datelike::year(&month.first);
        let german: Vec<_> = [year - 1, year, year + 1].into_iter().flat_map(german_holidays).collect();
        let american: Vec<_> = [year - 1, year, year + 1].into_iter().flat_map(american_holidays).collect();
        let calendars = [
            Hours::always(month),
            Hours::weekly(month, CalendarId::BusinessHours.zone(), CalendarId::BusinessHours.lines(), &german),
            Hours::weekly(month, CalendarId::ExtendedHours.zone(), CalendarId::ExtendedHours.lines(), &german),
            Hours::weekly(month, CalendarId::UsEast.zone(), CalendarId::UsEast.lines(), &american),
        ];
        draw_tempers(&mut dice, &mut services);
        draw_gaps(&mut dice, month, &mut services);
        let mut catalogue = Catalogue { services, agreements, calendars };
        for place in 0..catalogue.services.len() {
            let offering = catalogue.services[place].offering.get();
            let agreed = catalogue.hours(offering.calendar).agreed(month.start, month.end);
            let permille = match catalogue.services[place].temper {
                Temper::Fine => dice.between(0, 450),
                Temper::Near => dice.between(860, 970),
                Temper::Below => dice.between(1_800, 4_500),
            };
            catalogue.services[place].downtime_wanted = agreed * offering.downtime_ppm() / 1_000_000 * permille / 1_000;
        }
        catalogue
    }

    pub(super) fn hours(&self, calendar: CalendarId) -> &Hours {
        &self.calendars[calendar as usize]
    }

    /// The agreed time of a service under the offering whose limits its teams work to.
    pub(super) fn hours_of(&self, service: usize) -> &Hours {
        self.hours(self.services[service].offering.get().calendar)
    }
}

/// Picks who does badly, who does so by a hair, and whose users are not content all the same.
fn draw_tempers(dice: &mut Dice, services: &mut [Service]) {
    for (tier, place) in [(Tier::Gold, 0), (Tier::Silver, 1), (Tier::Bronze, 2)] {
        let mut members: Vec<usize> = (0..services.len()).filter(|&service| services[service].tier == tier).collect();
        dice.shuffle(&mut members);
        let mut members = members.into_iter();
        members.by_ref().take(BELOW[place]).for_each(|service| services[service].temper = Temper::Below);
        members.by_ref().take(NEAR[place]).for_each(|service| services[service].temper = Temper::Near);
        if tier == Tier::Gold {
            // Web shops: enough users that their opinion is a sample.
            let shops = members.filter(|&service| services[service].id.ends_with("-web-shop")).take(2);
            for service in shops.collect::<Vec<_>>() {
                services[service].watermelon = true;
                services[service].weight *= 4;
            }
        }
    }
}

/// Some services are not observed all the month: three lose their checks for a day, one for most of a week, and one is
/// observed from its sixth day on only.
fn draw_gaps(dice: &mut Dice, month: &Month, services: &mut [Service]) {
    let mut members: Vec<usize> = (0..services.len())
        .filter(|&service| services[service].temper == Temper::Fine && !services[service].unchecked)
        .filter(|&service| services[service].tier != Tier::Gold)
        .collect();
    dice.shuffle(&mut members);
    for (order, service) in members.into_iter().take(5).enumerate() {
        let from = month.start + dice.between(3 * DAY, 18 * DAY);
        services[service].unobserved = Some(match order {
            0..3 => (from, from + dice.between(10 * HOUR, 30 * HOUR)),
            3 => (from, from + 6 * DAY),
            _ => (month.start, month.start + 5 * DAY + 8 * HOUR),
        });
    }
}

impl CalendarId {
    /// As definitions name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            CalendarId::Always => "24x7",
            CalendarId::BusinessHours => "business-hours",
            CalendarId::ExtendedHours => "extended-hours",
            CalendarId::UsEast => "us-east",
        }
    }

    pub(super) fn zone(self) -> Tz {
        match self {
            CalendarId::Always => Tz::UTC,
            CalendarId::BusinessHours | CalendarId::ExtendedHours => chrono_tz::Europe::Berlin,
            CalendarId::UsEast => chrono_tz::America::New_York,
        }
    }

    /// Its weekly hours; none for the one that is built in.
    pub(super) fn lines(self) -> &'static [WeeklyLine] {
        use chrono::Weekday::{Fri, Mon, Sat};
        match self {
            CalendarId::Always => &[],
            CalendarId::BusinessHours => &[WeeklyLine { days: (Mon, Fri), hours: (8, 17) }],
            CalendarId::ExtendedHours => {
                &[WeeklyLine { days: (Mon, Fri), hours: (6, 22) }, WeeklyLine { days: (Sat, Sat), hours: (8, 18) }]
            }
            CalendarId::UsEast => &[WeeklyLine { days: (Mon, Fri), hours: (8, 20) }],
        }
    }
}

impl Tier {
    /// As definitions name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Tier::Gold => "gold",
            Tier::Silver => "silver",
            Tier::Bronze => "bronze",
        }
    }
}
