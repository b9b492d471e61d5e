//! Services, customers and references among them.

use super::{check, document, good};
use crate::definition::{DownWhen, Evidence, Money, StateRule};
use crate::time::Micros;

#[test]
fn a_service_means_what_it_says() {
    let text = document(
        "Service",
        "
tier: gold
owner: team-web
customers: [acme]
depends_on: [network]
costs: {gold: {amount: 1200.50, currency: EUR}, bronze: {amount: 300, currency: JPY}}
state: {from: checks, down_when: {at_least: 2}, stale_after: 90s}
",
    );
    let service = good(&text).services.remove("tested").expect("there");
    assert_eq!(service.name, "tested");
    assert_eq!((service.customers, service.depends_on), (vec!["acme".to_owned()], vec!["network".to_owned()]));
    assert_eq!(service.costs["gold"], Money { amount_minor: 120_050, currency: "EUR".to_owned() });
    assert_eq!(service.costs["bronze"], Money { amount_minor: 300, currency: "JPY".to_owned() });
    let state = StateRule {
        evidence: Evidence::Checks,
        down_when: DownWhen::AtLeast(2),
        stale_after: Micros(90 * Micros::SECOND.0),
        composition: None,
    };
    assert_eq!(service.state, state);
    assert_eq!(good("").services["web"].state, StateRule::default());
}

#[test]
fn ids_are_unique_in_their_kind() {
    let text = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Customer, metadata: {id: acme}}
---
{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: 24x7}, spec: {time_zone: UTC, hours: [{days: mon, from: 08:00, until: 09:00}]}}
";
    check(
        text,
        &[
            "4: metadata.id: found \"acme\" again, expected an id of its own; base.yaml:2 has this one already",
            "6: metadata.id: found \"24x7\", expected another id: this calendar is built in",
        ],
    );
}

#[test]
fn references_must_lead_somewhere() {
    check(
        &document("Service", "customers: [acne, umbrella]\ndepends_on: [netwrk]\n"),
        &[
            "5: spec.customers[0]: found \"acne\", expected the id of a customer that is defined: acme; perhaps \
             \"acme\" is meant",
            "5: spec.customers[1]: found \"umbrella\", expected the id of a customer that is defined: acme",
            "6: spec.depends_on[0]: found \"netwrk\", expected the id of a service that is defined: one of network, \
             tested, web; perhaps \"network\" is meant",
        ],
    );
}

#[test]
fn circles_of_dependencies_are_named() {
    let text = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: a}, spec: {depends_on: [b]}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: b}, spec: {depends_on: [web, c]}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: c}, spec: {depends_on: [a]}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: self}, spec: {depends_on: [self]}}
";
    check(
        text,
        &[
            "6: spec.depends_on[0]: found the circle a -> b -> c -> a, expected nothing that depends on itself",
            "8: spec.depends_on[0]: found the circle self -> self",
        ],
    );
}

#[test]
fn costs_are_amounts_in_a_known_currency() {
    check(
        &document(
            "Service",
            "costs:\n  a: {amount: 1.005, currency: EUR}\n  b: {amount: -1, currency: EUX}\n  c: {amount: x}\n",
        ),
        &[
            "6: spec.costs.a.amount: found 1.005, expected an amount in digits with at most two decimals",
            "7: spec.costs.b.amount: found -1, expected a number from 0 to 1000000000000",
            "7: spec.costs.b.currency: found \"EUX\", expected an ISO 4217 currency code such as EUR; perhaps",
            "8: spec.costs.c.amount: found \"x\", expected a number",
            "8: spec.costs.c.currency: found nothing, expected an ISO 4217 currency code",
        ],
    );
    for amount in ["1e3", "0x10", "1.005", "999999999999.001"] {
        let expected = format!("5: spec.costs.a.amount: found {amount}, expected an amount in digits with at most two");
        check(&document("Service", &format!("costs: {{a: {{amount: {amount}, currency: EUR}}}}")), &[&expected]);
    }
    check(
        &document("Service", "state: {from: incidents, down_when: any_down, stale_after: 5m}"),
        &[
            "5: spec.state.down_when: found \"any_down\", expected no such field: it belongs to states that follow from",
            "5: spec.state.stale_after: found \"5m\", expected no such field: it belongs to states that follow from checks",
        ],
    );
    check(
        &document("Service", "state: {stale_after: 0s}"),
        &["5: spec.state.stale_after: found \"0s\", expected a duration longer than 0s"],
    );
}
