//! R26: what has no part in a result can be left out when it is computed anew.

use std::collections::BTreeSet;

use plimsoll_schemas::definition::Definitions;
use plimsoll_schemas::table::AttainmentRow;

use super::*;
use crate::evidence::{part_of, services_behind};

/// The service that an event is about.
fn service_of(happening: Happening) -> &'static str {
    match happening {
        Happening::Probe(..) => "web",
        Happening::Score(..) => "mail",
        Happening::Ticket(_, number, _) | Happening::Change(_, number, _) => {
            if number.is_multiple_of(2) {
                "web"
            } else {
                "mail"
            }
        }
        Happening::Check(_, service, _) => composites::NAMES[usize::from(service)],
    }
}

/// Every row about an agreement and a service that is written while the events come in steps of some, all of them or
/// those about these services; of the others it is only told how far they were read.
fn rows(
    definitions: &Definitions,
    (agreement, service): (&str, &str),
    steps: &[&[(usize, Happening)]],
    only: Option<&BTreeSet<String>>,
) -> Vec<AttainmentRow> {
    let mut group = LaneGroup::new(Arc::new(Portfolio::new(definitions)), 1);
    let (mut rows, mut offset) = (Vec::new(), 0);
    for (number, step) in steps.iter().enumerate() {
        let tick = Instant(NOW.0 + number as i64);
        let is_last = number + 1 == steps.len();
        let until = offset + step.len() as i64;
        match only {
            None => drop(group.fold(&delivery(step, offset, is_last), tick)),
            Some(services) => {
                let id = PartitionId { topic: "t".into(), partition: 0 };
                let kept: Vec<_> =
                    step.iter().copied().filter(|(_, one)| services.contains(service_of(*one))).collect();
                let news = Delivery::news(id.clone(), offset, None);
                group.fold(&Delivery { events: delivery(&kept, offset, false).events, ..news }, tick);
                let newest = step.iter().map(|(_, one)| Instant(one.time() * HOUR / 2)).max();
                group.read(&id, until, newest, is_last.then_some(Instant(i64::MAX)));
            }
        }
        offset = until;
        rows.extend(group.close(number as i64 + 1, tick, number % 2 == 0).attainment);
    }
    rows.retain(|row| &*row.agreement == agreement && &*row.service == service);
    rows
}

#[test]
fn r26_a_result_is_written_whatever_else_is_measured_of_its_service() {
    // `mail` is out from 0:00 on. When the watermark passes 146:00, which publishes nothing, a change of it is known that
    // matters to agreement `maintained` alone.
    let definitions = crate::portfolio::tests::definitions_of(DEFINITIONS);
    let behind = services_behind(std::iter::once(&definitions), "mail");
    let part = part_of(&definitions, "ola", &behind);
    let happenings = [
        [Happening::Ticket(0, 5, Action::Opened), Happening::Score(290, 0), Happening::Score(290, 0)],
        [
            Happening::Change(2, 3, Said::Approved),
            Happening::Change(0, 3, Said::Planned(20, 21)),
            Happening::Score(292, 0),
        ],
        [Happening::Score(292, 0), Happening::Score(292, 0), Happening::Score(292, 0)],
    ];
    let numbered: Vec<_> = happenings.into_iter().flatten().enumerate().collect();
    let steps: Vec<_> = numbered.chunks(3).collect();
    let written = rows(&part, ("ola", "mail"), &steps, Some(&behind));
    assert!(!written.is_empty());
    assert_eq!(rows(&definitions, ("ola", "mail"), &steps, None), written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn r26_a_result_follows_from_its_part_of_the_world(
        events in prop::collection::vec(happening(), 1..60),
        cut in 1..30_usize,
        chosen in any::<prop::sample::Index>(),
    ) {
        let definitions = crate::portfolio::tests::definitions_of(DEFINITIONS);
        let portfolio = Portfolio::new(&definitions);
        let key = &chosen.get(portfolio.objectives()).key;
        let behind = services_behind(std::iter::once(&definitions), &key.service);
        let part = part_of(&definitions, &key.agreement, &behind);
        prop_assert!(part.agreements.len() < definitions.agreements.len(), "something is left out");
        // Each event once: what is stored has no duplicates.
        let numbered: Vec<_> = events.into_iter().enumerate().collect();
        let steps: Vec<_> = numbered.chunks(cut).collect();
        let named = (&*key.agreement, &*key.service);
        let all = rows(&definitions, named, &steps, None);
        prop_assert!(!all.is_empty());
        prop_assert_eq!(rows(&part, named, &steps, Some(&behind)), all);
    }
}
