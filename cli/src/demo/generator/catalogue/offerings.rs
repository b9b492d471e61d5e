//! The offerings: what each tier promises, in numbers that both the definitions and the plan of the month are made of.

use super::CalendarId;

/// The offerings, in the order of `OFFERINGS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum OfferingId {
    Gold,
    Silver,
    SilverUs,
    Bronze,
    Ola,
    Uc,
}

/// What one offering promises. Times are agreed minutes of its calendar, shares are text as definitions write them.
pub(in super::super) struct Offering {
    pub(in super::super) id: &'static str,
    pub(in super::super) name: &'static str,
    pub(in super::super) calendar: CalendarId,
    /// Monthly availability, in thousandths of a percent: 99,900 is 99.9 %.
    pub(in super::super) availability_thousandths: i64,
    /// Daily availability, where promised.
    pub(in super::super) daily_availability: Option<&'static str>,
    /// Minutes to the first response to P1 and P2, and to P3 and P4, which only the plan knows.
    pub(in super::super) response_minutes: [i64; 2],
    pub(in super::super) response_share: &'static str,
    /// Minutes to the resolution of P1 and of P2; the latter is not promised by every offering.
    pub(in super::super) resolution_minutes: [i64; 2],
    pub(in super::super) resolution_share: &'static str,
    /// The share of content users (a score of 4 or 5), where promised.
    pub(in super::super) satisfaction: Option<&'static str>,
    /// The weekly share of changes that succeed, where promised.
    pub(in super::super) change_success: Option<&'static str>,
}

impl OfferingId {
    /// What it promises.
    pub(in super::super) fn get(self) -> &'static Offering {
        &OFFERINGS[self as usize]
    }
}

impl Offering {
    /// The downtime that its availability allows, in millionths of the agreed time.
    pub(in super::super) fn downtime_ppm(&self) -> i64 {
        (100_000 - self.availability_thousandths) * 10
    }
}

/// What the provider sells, relies on and buys.
pub(in super::super) const OFFERINGS: [Offering; 6] = [
    Offering {
        id: "gold",
        name: "Gold: around the clock",
        calendar: CalendarId::Always,
        availability_thousandths: 99_900,
        daily_availability: Some("97 %"),
        response_minutes: [30, 120],
        response_share: "90 %",
        resolution_minutes: [240, 480],
        resolution_share: "85 %",
        satisfaction: Some("75 %"),
        change_success: Some("70 %"),
    },
    Offering {
        id: "silver",
        name: "Silver: extended hours",
        calendar: CalendarId::ExtendedHours,
        availability_thousandths: 99_500,
        daily_availability: None,
        response_minutes: [60, 240],
        response_share: "85 %",
        resolution_minutes: [480, 960],
        resolution_share: "80 %",
        satisfaction: Some("70 %"),
        change_success: None,
    },
    Offering {
        id: "silver-us",
        name: "Silver: extended hours, US East",
        calendar: CalendarId::UsEast,
        availability_thousandths: 99_500,
        daily_availability: None,
        response_minutes: [60, 240],
        response_share: "85 %",
        resolution_minutes: [480, 960],
        resolution_share: "80 %",
        satisfaction: Some("70 %"),
        change_success: None,
    },
    Offering {
        id: "bronze",
        name: "Bronze: business hours",
        calendar: CalendarId::BusinessHours,
        availability_thousandths: 99_000,
        daily_availability: None,
        response_minutes: [120, 540],
        response_share: "80 %",
        resolution_minutes: [960, 1_620],
        resolution_share: "75 %",
        satisfaction: None,
        change_success: None,
    },
    Offering {
        id: "ola-platform",
        name: "Platform teams among themselves",
        calendar: CalendarId::Always,
        availability_thousandths: 99_500,
        daily_availability: None,
        response_minutes: [20, 120],
        response_share: "85 %",
        resolution_minutes: [240, 600],
        resolution_share: "80 %",
        satisfaction: None,
        change_success: Some("70 %"),
    },
    Offering {
        id: "uc-supplier",
        name: "Suppliers",
        calendar: CalendarId::Always,
        availability_thousandths: 99_500,
        daily_availability: None,
        response_minutes: [30, 180],
        response_share: "80 %",
        resolution_minutes: [300, 720],
        resolution_share: "75 %",
        satisfaction: None,
        change_success: None,
    },
];
