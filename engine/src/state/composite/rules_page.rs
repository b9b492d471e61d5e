//! The worked example of docs/rules/r32-r33-among-agreements.md, worked out. Its table must stand on the page as it is
//! found here.

use plimsoll_schemas::Micros;

use super::super::service::merged;
use super::*;
use crate::portfolio::tests::definitions_of;

const PAGE: &str = include_str!("../../../../docs/rules/r32-r33-among-agreements.md");

const DEFINITIONS: &str = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: web}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: db-1}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: db-2}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: database}, spec: {composed_of: {any_of: [db-1, db-2]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: shop}, spec: {composed_of: {all_of: [web, database]}}}
---
apiVersion: plimsoll/v1
kind: Service
metadata: {id: fleet}
spec: {composed_of: {weighted: {parts: [{service: db-1, share: 3}, {service: db-2, share: 1}], up_from: 70 %}}}
";

fn at(hour: i64, minute: i64) -> Instant {
    Instant((hour * 60 + minute) * Micros::MINUTE.0)
}

fn told(changes: &[(Instant, State)]) -> Followed {
    let mut followed = Followed::new(State::Unknown);
    followed.restate(at(0, 0), changes.iter().map(|&(at, state)| (at, (state, Vec::new()))).collect());
    followed
}

#[test]
fn r32_the_worked_example_of_the_page() {
    use State::{Degraded, Down, Unknown, Up};
    let definitions = definitions_of(DEFINITIONS);
    let mut followed: BTreeMap<Name, Followed> = BTreeMap::new();
    let web = [(at(0, 0), Up), (at(9, 0), Degraded), (at(9, 30), Up), (at(15, 0), Unknown), (at(15, 20), Up)];
    followed.insert("web".into(), told(&web));
    followed.insert("db-1".into(), told(&[(at(0, 0), Up), (at(10, 0), Down), (at(12, 0), Up)]));
    let second = [(at(0, 0), Up), (at(11, 15), Down), (at(11, 45), Up), (at(13, 0), Unknown), (at(14, 0), Up)];
    followed.insert("db-2".into(), told(&second));
    for name in ["database", "shop", "fleet"] {
        let composition = definitions.services[name].state.composition.as_ref().expect("a composite");
        let segments = merged(composed(composition, &followed, at(0, 0), at(24, 0)));
        let minutes = |state| {
            let time =
                segments.iter().filter(|segment| segment.state == state).map(|segment| segment.end - segment.start);
            time.map(|time| time.0 / Micros::MINUTE.0).sum::<i64>()
        };
        let [up, degraded, down, unknown] = [Up, Degraded, Down, Unknown].map(minutes);
        let row = format!("| `{name}` | {up} | {degraded} | {down} | {unknown} |");
        assert!(PAGE.contains(&row), "{row} does not stand on the page");
        let changes: Vec<_> = segments.iter().map(|segment| (segment.start, segment.state)).collect();
        followed.insert(name.into(), told(&changes));
    }
    let share = Share::of(1360 + 30, 1420).expect("a share").to_string();
    assert!(PAGE.contains(&share), "{share} does not stand on the page");
}
