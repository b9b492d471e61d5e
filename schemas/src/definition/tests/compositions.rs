//! Composite services: what they mean, and what is wrong with them (R32).

use super::{check, document, good};
use crate::definition::{Composition, CompositionRule, Part};
use crate::ratio::Share;

fn composed(spec: &str) -> Composition {
    let text = document("Service", &format!("composed_of: {spec}"));
    good(&text).services.remove("tested").and_then(|service| service.state.composition).expect("a composition")
}

fn parts(shares: &[(&str, i64)]) -> Vec<Part> {
    shares.iter().map(|&(service, share)| Part { service: service.to_owned(), share }).collect()
}

#[test]
fn r32_a_composition_means_what_it_says() {
    let both = parts(&[("web", 1), ("network", 1)]);
    for (spec, rule) in [
        ("{all_of: [web, network]}", CompositionRule::AllOf),
        ("{any_of: [web, network]}", CompositionRule::AnyOf),
        ("{k_of_n: {at_least: 2, of: [web, network]}}", CompositionRule::AtLeast(2)),
    ] {
        assert_eq!(composed(spec), Composition { parts: both.clone(), rule });
    }
    let weighted = |up_from, degraded_from, degraded_good| CompositionRule::Weighted {
        up_from: Share(up_from),
        degraded_from: Share(degraded_from),
        degraded_good: Share(degraded_good),
    };
    let shares = "parts: [{service: web, share: 60}, {service: network, share: 40}]";
    let parts = parts(&[("web", 60), ("network", 40)]);
    let found = composed(&format!("{{weighted: {{{shares}}}}}"));
    assert_eq!(found, Composition { parts: parts.clone(), rule: weighted(1_000_000_000, 0, 500_000_000) });
    let found = composed(&format!("{{weighted: {{{shares}, up_from: 90 %, degraded_from: 0.3, degraded: down}}}}"));
    assert_eq!(found, Composition { parts, rule: weighted(900_000_000, 300_000_000, 0) });
}

#[test]
fn r32_a_composition_must_be_one_that_can_be() {
    check(
        &document("Service", "composed_of: {all_of: [web], any_of: [network]}"),
        &[
            "5: spec.composed_of: found a mapping with all_of, any_of, expected one of all_of, any_of, k_of_n and weighted",
        ],
    );
    check(
        &document("Service", "composed_of: {}"),
        &["5: spec.composed_of: found an empty mapping, expected one of all_of, any_of, k_of_n and weighted"],
    );
    check(
        &document("Service", "composed_of:\n  all_of: [web, wbe, web]\n"),
        &[
            "6: spec.composed_of.all_of: found \"web\" twice, expected each entry once",
            "6: spec.composed_of.all_of[1]: found \"wbe\", expected the id of a service that is defined: one of network, \
             tested, web; perhaps \"web\" is meant",
        ],
    );
    check(
        &document("Service", "composed_of: {any_of: []}"),
        &["5: spec.composed_of.any_of: found an empty list, expected at least one entry"],
    );
    check(
        &document("Service", "composed_of:\n  k_of_n: {at_least: 3, of: [web, network]}\n"),
        &["6: spec.composed_of.k_of_n.at_least: found 3, expected a whole number from 1 to 2"],
    );
    check(
        &document("Service", "composed_of:\n  k_of_n: {of: [web, network]}\n"),
        &["6: spec.composed_of.k_of_n.at_least: found nothing, expected how many parts must be up"],
    );
}

#[test]
fn r32_shares_and_thresholds_must_make_sense() {
    check(
        &document(
            "Service",
            "composed_of:\n  weighted:\n    parts:\n    - {service: web, share: 0}\n    - {service: web, share: 2}\n    \
             - {service: web, share: 2.5}\n    up_from: 40 %\n    degraded_from: 60 %\n    degraded: half\n",
        ),
        &[
            "8: spec.composed_of.weighted.parts[0].share: found 0, expected a whole number from 1 to 1000000000",
            "10: spec.composed_of.weighted.parts[2].service: found \"web\" twice, expected each service once",
            "10: spec.composed_of.weighted.parts[2].share: found 2.5, expected a whole number from 1 to 1000000000",
            "12: spec.composed_of.weighted.degraded_from: found \"60 %\", expected a share of at most 40 %, from which on",
            "13: spec.composed_of.weighted.degraded: found \"half\", expected up, down or a share from 0 % to 100 %",
        ],
    );
    check(
        &document("Service", "composed_of:\n  weighted: {parts: [{service: web, share: 1}], up_from: 0 %}\n"),
        &["6: spec.composed_of.weighted.up_from: found \"0 %\", expected a share of more than 0 %, up to 100 %"],
    );
}

#[test]
fn r32_circles_of_parts_are_named() {
    let text = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: a}, spec: {composed_of: {all_of: [web, b]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: b}, spec: {composed_of: {k_of_n: {at_least: 1, of: [c]}}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: c}, spec: {composed_of: {weighted: {parts: [{service: a, share: 1}]}}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: self}, spec: {composed_of: {any_of: [self]}}}
";
    check(
        text,
        &[
            "6: spec.composed_of.weighted.parts[0].service: found the circle a -> b -> c -> a, expected nothing that is \
             composed of itself",
            "8: spec.composed_of.any_of[0]: found the circle self -> self",
        ],
    );
    // A part that depends on the whole.
    let text = "
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: a}, spec: {composed_of: {all_of: [b]}}}
---
{apiVersion: plimsoll/v1, kind: Service, metadata: {id: b}, spec: {depends_on: [a]}}
";
    check(text, &["4: spec.depends_on[0]: found the circle a -> b -> a, expected nothing that needs itself"]);
}

#[test]
fn r32_more_ways_than_can_be_told_are_refused() {
    // Each level has twice the ways of the one below: 2^16 are 65,536, 2^17 are 131,072.
    let text = |levels: usize| {
        let level = |level: usize| {
            let below = if level == 0 { "web".to_owned() } else { format!("top-{}", level - 1) };
            let service = |name: &str, parts: &str| {
                format!(
                    "---\n{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {name}-{level}}}, spec: \
                     {{composed_of: {{all_of: [{parts}]}}}}}}\n"
                )
            };
            let halves = format!("left-{level}, right-{level}");
            service("left", &below) + &service("right", &below) + &service("top", &halves)
        };
        (0..levels).map(level).collect::<String>()
    };
    good(&text(16));
    check(
        &text(17),
        &[
            "102: spec.composed_of: found 131072 ways to its parts and their parts, expected at most 100000; compose it of",
        ],
    );
}
