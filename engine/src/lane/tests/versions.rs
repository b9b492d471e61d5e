//! Versions that touch the past, and definitions that leave and return (R24).

use std::collections::BTreeMap;

use super::*;

const UNTIL_THE_EIGHTH: &str = "{from: 1970-01-01, until: 1970-01-08}";

/// The definitions with a version 2 of `ola`, which promises other things, and when the two versions are in force.
fn with_version_two(first_effective: &str, second_effective: &str) -> String {
    let start = DEFINITIONS.find("kind: Agreement\nmetadata: {id: ola}").expect("the agreement");
    let end = start + DEFINITIONS[start..].find("---").expect("its end");
    let first = &DEFINITIONS[start..end];
    let mut second = first.replace("{id: ola}", "{id: ola, version: 2}").replace(UNTIL_THE_EIGHTH, second_effective);
    for (one, other) in [
        ("{signal: availability}, target: {at_least: 90 %}", "{signal: availability}, target: {at_least: 70 %}"),
        ("within: 250ms", "within: 100ms"),
        (
            "{signal: satisfaction}, target: {at_least: 90 %}",
            "{signal: satisfaction, good_from: 5}, target: {at_least: 90 %}",
        ),
        ("{signal: resolution_time, within: 4h}", "{signal: resolution_time, within: 2h}"),
        ("{rolling: 36h}", "{rolling: 30h}"),
    ] {
        assert!(second.contains(one), "{one}");
        second = second.replace(one, other);
    }
    let first = first.replace(UNTIL_THE_EIGHTH, first_effective);
    format!("{}{first}---\napiVersion: plimsoll/v1\n{second}{}", &DEFINITIONS[..start], &DEFINITIONS[end..])
}

/// What is current, without the measures of days, which belong to no version.
fn results(all: &[Facts]) -> Vec<String> {
    let mut rows = current(all);
    rows.retain(|row| !row.starts_with("measure"));
    rows
}

/// `NOW` in half hours.
pub(super) const ALL_HEARD: i64 = 384;

/// What is found once other definitions are heard of, and what is expected, had they always held.
pub(super) struct Restated {
    found: Vec<String>,
    expected: Vec<String>,
    /// Whether stored events were wanted again.
    pub(super) wanted_recount: bool,
}

impl Restated {
    /// Events until `heard`, in half hours, are measured by the definitions before, in steps of `cut` events; the next step,
    /// which may publish, by those after, as everything else.
    pub(super) fn new(
        events: &[Happening],
        (before, after): (&str, &str),
        (heard, cut, lanes): (i64, usize, usize),
        publish: bool,
    ) -> Restated {
        let numbered: Vec<_> = events.iter().copied().enumerate().collect();
        let mut batch = LaneGroup::new(portfolio_of(after), 1);
        batch.fold(&delivery(&numbered, 0, true), NOW);
        let expected = results(&[batch.close(1, NOW, true)]);

        let (early, late): (Vec<_>, Vec<_>) =
            numbered.iter().copied().partition(|(_, happening)| happening.time() <= heard);
        let mut group = LaneGroup::new(portfolio_of(before), lanes);
        let (mut all, mut offset, then) = (Vec::new(), 0, Instant(heard * HOUR / 2));
        for part in early.chunks(cut) {
            group.fold(&delivery(part, offset, offset as usize + part.len() == early.len()), then);
            offset += part.len() as i64;
            all.push(group.close(offset, then, true));
        }
        let bytes = group.snapshot().expect("a snapshot");
        let mut group = LaneGroup::restore(portfolio_of(after), lanes, &bytes).expect("restored");
        let wanted_recount = group.wants_recount();
        group.begin_recount();
        group.recount(&delivery(&early, 0, true).events);
        group.end_recount();
        all.push(group.close(offset + 1, then, publish));
        group.fold(&delivery(&late, offset, true), NOW);
        all.push(group.close(offset + 2, NOW, false));
        all.push(group.close(offset + 3, NOW, true));
        assert!(!group.close(offset + 4, NOW, true).has_rows(), "nothing is said twice");
        let mut revisions = BTreeMap::new();
        for row in all.iter().flat_map(|facts| &facts.attainment) {
            let key = (&row.agreement, row.agreement_version, &row.service, &row.objective, row.window_start);
            let before = revisions.insert(key, row.revision);
            assert!(before.is_none_or(|before| before <= row.revision), "readers take the greatest revision: {row:?}");
        }
        Restated { found: results(&all), expected, wanted_recount }
    }

    /// Fails with what differs.
    pub(super) fn check(&self) -> Result<(), TestCaseError> {
        let Restated { found, expected, .. } = self;
        let lacking: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
        let added: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
        prop_assert!(lacking.is_empty() && added.is_empty(), "lacking {lacking:#?}, added {added:#?}");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whoever measured by the old version and hears of the new one then says what he would have said, had he known it
    /// from the start.
    #[test]
    fn r24_a_retroactive_version_restates_all_to_what_it_would_have_been(
        events in prop::collection::vec(happening(), 1..60),
        cut in 1..20_usize,
        lanes in 1..4_usize,
    ) {
        let text = with_version_two(UNTIL_THE_EIGHTH, "{from: 1970-01-03, until: 1970-01-08, retroactive: true}");
        let restated = Restated::new(&events, (DEFINITIONS, &text), (ALL_HEARD, cut, lanes), false);
        prop_assert!(restated.wanted_recount);
        restated.check()?;
    }
}

/// The definitions with other targets.
fn with_targets(percent: i64, count: i64, hours: i64) -> String {
    // But for those of which a ladder of credits says what is missed.
    let edited = DEFINITIONS.replace("{at_least: 90 %}, window", &format!("{{at_least: {percent} %}}, window"));
    let edited = edited.replace("{at_most: 1}, window", &format!("{{at_most: {count}}}, window"));
    let edited = edited.replace("{at_most: 9h}, window", &format!("{{at_most: {hours}h}}, window"));
    edited.replace("per: 1h}, target: {at_least: 1}", &format!("per: 1h}}, target: {{at_least: {}}}", count + 1))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn r24_edited_targets_end_as_if_they_had_always_been_so(
        events in prop::collection::vec(happening(), 1..60),
        (percent, count, hours) in (1..100_i64, 0..4_i64, 1..12_i64),
        cut in 1..40_usize,
        publish in any::<bool>(),
    ) {
        let text = with_targets(percent, count, hours);
        Restated::new(&events, (DEFINITIONS, &text), (ALL_HEARD, cut, 2), publish).check()?;
    }
}

#[test]
fn r24_another_target_is_another_result_even_if_no_number_changes() {
    // One score of 9 on day 0: 1 of 1 is good, whatever share was promised; and the 3 requests of one probe in 24 hours are
    // less than 1 an hour as they are less than 2.
    let events = [(0, Happening::Score(2, 9)), (1, Happening::Probe(2, Status::Up))];
    let mut group = LaneGroup::new(portfolio(), 1);
    group.fold(&delivery(&events, 0, true), NOW);
    let told = |facts: &Facts| {
        let rows =
            facts.attainment.iter().filter(|row| row.agreement.as_ref() == "ola" && row.window_start == Instant(0));
        let rows = rows.filter(|row| {
            (&*row.objective, &*row.service) == ("scores", "mail")
                || (&*row.objective, &*row.service) == ("flow", "web")
        });
        rows.map(|row| format!("{} {} {} r{}", row.objective, row.verdict, row.target, row.revision))
            .collect::<Vec<_>>()
    };
    let scored = "scores met at least 90 % r1";
    let facts = group.close(1, NOW, true);
    assert_eq!(told(&facts)[..1], [scored.to_owned()]);
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio_of(&with_targets(95, 1, 9)), 1, &bytes).expect("restored");
    group.begin_recount();
    group.recount(&delivery(&events, 0, true).events);
    group.end_recount();
    let facts = group.close(2, NOW, false);
    assert_eq!(told(&facts), ["scores met at least 95 % r2", "flow breached at least 2 r2"]);
    let corrections = facts.corrections.iter().filter(|row| row.objective.as_deref() == Some("scores"));
    let of_day_zero: Vec<_> =
        corrections.filter(|row| row.window_start == Instant(0) && row.agreement == "ola").collect();
    let ends = |text: &str, end: &str| text.ends_with(end);
    assert_eq!(of_day_zero.len(), 2, "of mail, and of web, for which there are none");
    assert!(of_day_zero.iter().all(|row| ends(&row.before, ", promised at least 90 %")), "{of_day_zero:?}");
    assert!(of_day_zero.iter().all(|row| ends(&row.after, ", promised at least 95 %")), "{of_day_zero:?}");
    assert!(of_day_zero.iter().all(|row| row.reason == "definition_change"), "{of_day_zero:?}");
}

#[test]
fn r24_a_new_version_that_touches_the_past_must_say_so() {
    let mut group = LaneGroup::new(portfolio(), 1);
    group.fold(&delivery(&[(0, Happening::Score(2, 4))], 0, true), NOW);
    group.close(1, NOW, true);
    let bytes = group.snapshot().expect("a snapshot");
    // Version 1 has to be ended by hand then.
    let text = with_version_two("{from: 1970-01-01, until: 1970-01-03}", "{from: 1970-01-03, until: 1970-01-08}");
    let refused = LaneGroup::restore(portfolio_of(&text), 1, &bytes).err().map(|error| error.to_string());
    assert_eq!(
        refused.as_deref(),
        Some(
            "agreement ola: version 2 is new and in force from 1970-01-03T00:00:00Z on, but results are known up to \
             1970-01-09T00:00:00Z; a new version never touches the past: let it begin later, or declare \
             `retroactive: true` beside `from` to have what is known restated"
        )
    );
    // One that begins where nothing is known yet needs no such word.
    let later = with_version_two(UNTIL_THE_EIGHTH, "{from: 1970-01-09}");
    assert!(LaneGroup::restore(portfolio_of(&later), 1, &bytes).is_ok());
}

/// Day 0 of an objective as it was written: verdict, good of total, revision, whether it was taken back.
fn day_zero(facts: &Facts, objective: &str) -> Vec<String> {
    let rows = facts.attainment.iter().filter(|row| &*row.objective == objective && row.window_start == Instant(0));
    let taken_back = |row: &plimsoll_schemas::table::AttainmentRow| if row.retracted { " retracted" } else { "" };
    let shown = rows.filter(|row| &*row.service == "mail").map(|row| {
        format!("{} {}/{} r{}{}", row.verdict, row.good_count, row.total_count, row.revision, taken_back(row))
    });
    let reasons = facts
        .corrections
        .iter()
        .filter(|row| row.objective.as_deref() == Some(objective) && row.window_start == Instant(0));
    shown.chain(reasons.filter(|row| row.service.as_deref() == Some("mail")).map(|row| row.reason.clone())).collect()
}

#[test]
fn r24_a_version_replaced_from_its_first_day_on_is_taken_back_whole() {
    // One score of 4 in the second hour of day 0: good from 4 on, and not from 5 on.
    let mut group = LaneGroup::new(portfolio(), 1);
    let events = [(0, Happening::Score(2, 4))];
    group.fold(&delivery(&events, 0, true), NOW);
    assert_eq!(day_zero(&group.close(1, NOW, true), "scores"), ["met 1/1 r1"]);
    let bytes = group.snapshot().expect("a snapshot");
    let text = with_version_two(UNTIL_THE_EIGHTH, "{from: 1970-01-01, until: 1970-01-08, retroactive: true}");
    let mut group = LaneGroup::restore(portfolio_of(&text), 1, &bytes).expect("retroactive");
    group.begin_recount();
    group.recount(&delivery(&events, 0, true).events);
    group.end_recount();
    assert_eq!(
        day_zero(&group.close(2, NOW, true), "scores"),
        ["met 1/1 r2 retracted", "breached 0/1 r1", "retroactive_version"]
    );
    // An edit in place takes no time of the window: scores count from 3 on.
    let bytes = group.snapshot().expect("a snapshot");
    let edited = portfolio_of(&text.replace("good_from: 5", "good_from: 3"));
    let mut group = LaneGroup::restore(edited, 1, &bytes).expect("both versions are there");
    group.begin_recount();
    group.recount(&delivery(&events, 0, true).events);
    group.end_recount();
    assert_eq!(day_zero(&group.close(3, NOW, true), "scores"), ["met 1/1 r2", "definition_change"]);
}

#[test]
fn r22_what_leaves_the_definitions_and_returns_is_not_said_again() {
    let events = [(0, Happening::Score(2, 4)), (1, Happening::Ticket(4, 1, Action::Opened))];
    let more = [(2, Happening::Ticket(6, 1, Action::Resolved))];
    let mut group = LaneGroup::new(portfolio(), 1);
    group.fold(&delivery(&events, 0, true), NOW);
    group.fold(&delivery(&more, 2, true), NOW);
    let said = group.close(1, NOW, true);
    assert_eq!(day_zero(&said, "scores"), ["met 1/1 r1"]);
    // Ticket 1 of `mail` took an hour of its four.
    assert_eq!(day_zero(&said, "resolution"), ["met 1/1 r1"]);
    let without = "apiVersion: plimsoll/v1\nkind: Source\nmetadata: {id: plain}\nspec: {topics: [t], lateness: 1h}\n";
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio_of(without), 1, &bytes).expect("restored");
    assert_eq!(group.close(2, NOW, true), Facts::default());
    let bytes = group.snapshot().expect("a snapshot");
    let mut group = LaneGroup::restore(portfolio(), 1, &bytes).expect("restored");
    let again = group.close(3, NOW, true);
    assert_eq!((day_zero(&again, "scores"), day_zero(&again, "resolution")), (vec![], vec![]));
    assert_eq!(again.corrections, []);
    // A late event makes the next revision: a score of 1 is bad, so 1 of 2.
    group.fold(&delivery(&[(3, Happening::Score(3, 1))], 3, true), NOW);
    assert_eq!(day_zero(&group.close(4, NOW, true), "scores"), ["breached 1/2 r2", "late_event"]);
}

/// A promise of counted things that warns of burning, by one version or by a second one from the second week on.
fn burning(versions: &[(&str, &str)]) -> String {
    let version = |(number, in_force): (usize, &(&str, &str))| {
        format!(
            "{{apiVersion: plimsoll/v1, kind: Agreement, metadata: {{id: ola, version: {}}}, spec: {{type: ola, services: [web],\n  \
             effective: {{from: {}, until: {}}}, objectives: [{{id: good, indicator: {{signal: good_ratio, kind: monitoring}},\n  \
             target: {{at_least: 60 %}}, window: {{calendar: week}}, burn_rate_warnings: true}}]}}}}\n",
            number + 1,
            in_force.0,
            in_force.1
        )
    };
    let agreements = versions.iter().enumerate().map(version).collect::<Vec<_>>().join("---\n");
    format!("{{apiVersion: plimsoll/v1, kind: Service, metadata: {{id: web}}}}\n---\n{agreements}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn r27_a_version_that_says_the_same_burns_as_the_one_before_it_went_on(
        times in prop::collection::vec(150..330_i64, 1..60),
        cut in 1..20_usize,
    ) {
        let events: Vec<_> = times.iter().map(|&time| Happening::Probe(time, Status::Up)).enumerate().collect();
        let warned = |versions: &[(&str, &str)]| {
            let mut group = LaneGroup::new(portfolio_of(&burning(versions)), 1);
            let (mut said, mut offset) = (BTreeMap::new(), 0);
            for part in events.chunks(cut) {
                group.fold(&delivery(part, offset, offset as usize + part.len() == events.len()), NOW);
                offset += part.len() as i64;
                for row in group.close(offset, NOW, true).breaches.into_iter().filter(|row| row.span_us.is_some()) {
                    said.insert((row.window_start, row.span_us, row.at), (row.event == "warning").then_some(row.detail));
                }
            }
            said.retain(|_, detail| detail.is_some());
            said
        };
        // 1970-01-05 is a Monday.
        let one = warned(&[("1970-01-01", "1970-01-09")]);
        let two = warned(&[("1970-01-01", "1970-01-05"), ("1970-01-05", "1970-01-09")]);
        prop_assert_eq!(one, two);
    }
}
