//! What is placed where, worked out by hand. That shards say together what one group says of all is a law of `lane`.

use super::*;
use crate::portfolio::tests::definitions_of;

fn service(id: &str, more: &str) -> String {
    format!("{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: {id}}}, spec: {{{more}}}}}\n---\n")
}

fn agreement(id: &str, services: &str, more: &str) -> String {
    format!(
        "{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: {id}}}, spec: {{type: ola, services: [{services}], \
         effective: {{from: 1970-01-01}}, {more}objectives: [{{id: any, indicator: {{signal: downtime}}, target: \
         {{at_most: 1h}}, window: {{calendar: day}}}}]}}}}\n---\n"
    )
}

fn defined(parts: &[String]) -> Definitions {
    definitions_of(&parts.concat())
}

/// All that lies together.
fn together(definitions: &Definitions) -> Vec<String> {
    let mut all: Vec<String> = joined(definitions)
        .into_iter()
        .map(|mut things| {
            things.sort();
            things.iter().map(Thing::to_string).collect::<Vec<_>>().join(", ")
        })
        .collect();
    all.sort();
    all
}

#[test]
fn r32_r33_what_has_a_part_in_a_result_lies_with_it() {
    let mut parts = vec![
        service("web", "depends_on: [network]"),
        service("mail", "depends_on: [network]"),
        service("network", "depends_on: [power]"),
        service("power", ""),
        service("shop", "composed_of: {all_of: [web]}"),
        agreement("sla", "shop", ""),
        agreement("post", "mail", ""),
        agreement("cables", "network", ""),
    ];
    // That web depends on the network is no matter to any result.
    let apart = ["agreement cables, service network", "agreement post, service mail"];
    let apart = [apart[0], apart[1], "agreement sla, service shop, service web", "service power"];
    assert_eq!(together(&defined(&parts)), apart);
    // Now it is: outages of the shop are split among all that is below it.
    parts[5] = agreement("sla", "shop", "rests_on: [cables], ");
    let joined = "agreement cables, agreement sla, service network, service power, service shop, service web";
    assert_eq!(together(&defined(&parts)), [joined, apart[1]]);
}

#[test]
fn the_largest_is_placed_first_and_each_where_least_is_measured() {
    let parts: Vec<String> = ["a", "b", "c", "d"].map(|id| service(id, "")).into();
    let agreements = [agreement("one", "a", ""), agreement("two", "c", ""), agreement("three", "c", "")];
    let definitions = defined(&[&parts[..], &agreements].concat());
    // There is 3 of work with c, 2 with a, 1 with b and with d: c goes to shard 0 and a to shard 1, where b joins it; of two
    // shards with 3 the first takes d.
    let mut placement = Placement::new(2);
    assert_eq!(placement.place(&definitions), Ok(true));
    let of = |placement: &Placement, shard| {
        let part = placement.part_of(&definitions, Shard::new(shard, 2).expect("a shard"));
        let agreements = part.agreements.iter().map(|agreement| agreement.id.clone());
        agreements.chain(part.services.into_keys()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(&placement, 0), of(&placement, 1)),
        (["three", "two", "c", "d"].map(str::to_owned).into(), ["one", "a", "b"].map(str::to_owned).into())
    );
    assert_eq!(placement.place(&definitions), Ok(false), "all of it is placed");
    assert_eq!(placement.shard_of_agreement("one"), Shard::new(1, 2));
    assert_eq!(placement.shard_of_agreement("four"), None);
}

#[test]
fn a_place_is_for_good() {
    let of = |services: &[&str], agreements: &[String]| {
        defined(&[services.iter().map(|id| service(id, "")).collect(), agreements.to_vec()].concat())
    };
    let mut placement = Placement::new(3);
    placement.place(&of(&["a", "b"], &[])).expect("places");
    assert_eq!(placement.services, BTreeMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]));
    // What is new goes to what it is joined with, though the third shard has nothing.
    placement.place(&of(&["a", "c"], &[agreement("one", "a, c", "")])).expect("places");
    assert_eq!((placement.services["c"], placement.agreements["one"]), (0, 0));
    // b is known though it was gone, and cannot be where a is.
    let before = placement.clone();
    let refused = placement.place(&of(&["a", "b", "d"], &[agreement("two", "a, b", "")]));
    let error = refused.expect_err("refused").to_string();
    let begins = "service a is measured in shard 0 and service b in shard 1, and by these definitions results of one";
    assert!(error.starts_with(begins), "{error}");
    assert_eq!(placement, before);
    // An agreement stays with its results, whatever it covers from now on.
    let error = placement.place(&of(&["b"], &[agreement("one", "b", "")])).expect_err("refused").to_string();
    assert!(error.starts_with("agreement one is measured in shard 0 and service b in shard 1"), "{error}");
}

#[test]
fn a_placement_outside_its_shards_is_not_sound() {
    let mut placement = Placement::new(2);
    assert!(placement.is_sound());
    placement.services.insert("a".to_owned(), 2);
    assert!(!placement.is_sound());
    assert!(!Placement { shards: 0, ..Placement::new(1) }.is_sound());
    assert_eq!((Placement::new(0).shards(), Shard::new(2, 2), Shard::new(0, 1)), (1, None, Some(Shard::WHOLE)));
}
