//! The worked example of docs/rules/r27-r28-ahead-of-time.md and its table of pairs: what is computed must stand there.

use super::*;

const PAGE: &str = include_str!("../../../../docs/rules/r27-r28-ahead-of-time.md");

fn assert_stands(line: &str) {
    assert!(PAGE.contains(line), "{line} does not stand on the page");
}

/// As the page writes it: `41 min 12 s`.
fn words(time: Micros) -> String {
    time.to_string().replace('m', " min").replace('s', " s").replace('h', " h").replace('d', " d")
}

/// What a clock shows: `12:00:51.84`, `09:06`.
fn clock(at: Instant) -> String {
    let shown = at.to_string()[11..].trim_end_matches('Z').to_owned();
    match shown.contains('.') {
        true => shown.trim_end_matches('0').to_owned(),
        false => shown.trim_end_matches(":00").to_owned(),
    }
}

#[test]
fn r27_the_pairs_of_the_rules_page() {
    let [month, week, quarter] = [30, 7, 90].map(|days| BurnPair::of(Micros(days * DAY)));
    assert_eq!(month.len(), 4);
    for pair in &month {
        let rate = |pairs: &[BurnPair]| {
            let same = pairs.iter().find(|other| other.long == pair.long);
            same.map_or(String::new(), |other| Burn { part: other.factor.0.into(), whole: WHOLE }.to_string())
        };
        let span = |span: Micros| words(span).replace(" min", " m");
        let line = format!(
            "| {} | {} | {} % | `{}` | {} | {} | {} |",
            span(pair.long),
            span(pair.short),
            pair.percent,
            pair.severity.as_str(),
            rate(&month),
            rate(&week),
            rate(&quarter)
        );
        assert_stands(&line.replace("|  |", "| |"));
    }
}

#[test]
fn r27_the_worked_example_of_the_rules_page() {
    use State::{Down, Up};
    // Down on the 10th from 12:00 until 12:02.
    let noon = 9 * DAY + 12 * HOUR;
    let until = |end: i64| [(Up, noon), (Down, noon + 2 * MINUTE), (Up, noon + end)];
    let left = |course: &Course<'_>| {
        let spent = course.sums.last().expect("sums").bad;
        words(Micros(((course.allowance() - spent) / WHOLE) as i64))
    };
    month("90 %", &[(Up, noon)], |course| {
        assert_stands(&format!("| allowance | 0.1 % x 43 200 min = {} |", left(&course)))
    });

    let said = burning(0, "90 %", &until(2 * HOUR));
    let [(at, detail)] = said.as_slice() else { panic!("one warning, not {said:?}") };
    let spent = words(Micros(at - noon));
    assert_stands(&format!("| 2 % of it | {spent}: the rate over the hour is 14.4 from {} on |", clock(Instant(*at))));
    assert_stands(&format!("| warning | at {}, `page`, `{detail}` |", clock(Instant(*at))));
    let (share, rate) = ((at - noon) as f64 / 3e6, detail.split(' ').nth(6).expect("the rate over the short span"));
    assert_stands(&format!(
        "| the 5 minutes then | {spent} of 300 s are bad, {share:.2} %: a rate of {rate}, more than 14.4 |"
    ));

    month("90 %", &until(2 * HOUR), |course| {
        assert_stands(&format!("| left and headroom at 14:00 | 43 min 12 s - 2 min = {} |", left(&course)));
    });
    month("90 %", &until(30 * MINUTE), |course| {
        let spending = course.spending().expect("a budget");
        let rate = spending.burn_rates[2].expect("a rate").0;
        let rate = format!("{}.{:09}", rate / Share::WHOLE, rate % Share::WHOLE);
        assert_stands(&format!("| burn rate over the hour at 12:30 | 2 of 60 min are bad, 3.33 %: {rate} |"));
        let spent = spending.spent_at.expect("an instant");
        let lasts = (spent - Instant(noon + 30 * MINUTE)).0 / MINUTE;
        let line = format!("{} / 3.33 % = {lasts} min later, the next day at {}", left(&course), clock(spent));
        assert_stands(&format!("| spent at the present burn | {line} |"));
    });
}
