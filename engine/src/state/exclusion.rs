//! Time that an agreement excludes (R9): dated times, and the planned time of approved changes up to a cap.
//!
//! In: what a version of an agreement says, the approved windows of the service's changes, and the segment that is
//! measured. Out: the excluded stretches of that segment. Nothing here knows what state the service was in: two
//! agreements may exclude different times of one service, so its facts stay what really happened, and the exclusions
//! are laid over them where an objective is measured.

use std::collections::BTreeMap;

use plimsoll_schemas::Instant;
use plimsoll_schemas::definition::MaintenanceTerms;
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::calendar::Calendar;
use crate::window::Window;

/// The planned time of an approved change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedWindow {
    /// From its planned start until its planned end, never empty.
    pub window: Window,
    /// When that window was approved.
    pub approved_at: Instant,
    /// Whom the change concerns; `None` for everybody.
    pub customer: Option<Name>,
}

/// The approved windows of one service, by the change's id.
pub type ApprovedWindows = BTreeMap<Name, ApprovedWindow>;

/// What is excluded of `segment`, in order, no two stretches overlapping or touching.
///
/// `times` are excluded whatever happened in them. Of the approved windows in `maintenance`, those that were approved
/// with the agreed notice are, as a union; the earliest of them use up the cap first, counted in the agreed time of
/// `calendar`. Time that is excluded anyway uses up nothing. Once the cap is used up nothing more is excluded, not even time
/// that is not agreed, for it could part an outage in two.
pub fn excluded_time<'a>(
    times: &[Window],
    terms: Option<MaintenanceTerms>,
    maintenance: impl Iterator<Item = &'a ApprovedWindow>,
    calendar: &Calendar,
    segment: Window,
) -> Vec<Window> {
    let mut excluded = union(times.iter().filter_map(|time| time.clip(segment)));
    let Some(terms) = terms else { return excluded };
    let with_notice = maintenance.filter(|change| change.approved_at + terms.notice <= change.window.start);
    let mut left = terms.at_most;
    for stretch in without(&union(with_notice.filter_map(|change| change.window.clip(segment))), &excluded) {
        let time = calendar.elapsed(stretch.start, stretch.end);
        let end = match left {
            Some(most) if time >= most => calendar.due(stretch.start, most).unwrap_or(stretch.end),
            _ => stretch.end,
        };
        excluded.push(Window { end, ..stretch });
        left = left.map(|most| most - time.min(most));
    }
    union(excluded.into_iter().filter(|stretch| stretch.start < stretch.end))
}

/// The same time as stretches in order that neither overlap nor touch.
pub fn union(stretches: impl Iterator<Item = Window>) -> Vec<Window> {
    let mut sorted: Vec<Window> = stretches.collect();
    if sorted.len() < 2 {
        return sorted;
    }
    sorted.sort_unstable();
    let mut merged: Vec<Window> = Vec::with_capacity(sorted.len());
    for stretch in sorted {
        match merged.last_mut() {
            Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
            _ => merged.push(stretch),
        }
    }
    merged
}

/// What of `stretches` does not lie in `cut`; both in order and without overlap.
pub fn without(stretches: &[Window], cut: &[Window]) -> Vec<Window> {
    let mut left = Vec::with_capacity(stretches.len());
    for stretch in stretches {
        let mut start = stretch.start;
        for hole in cut.iter().filter_map(|hole| hole.clip(*stretch)) {
            if start < hole.start {
                left.push(Window { start, end: hole.start });
            }
            start = hole.end;
        }
        if start < stretch.end {
            left.push(Window { start, end: stretch.end });
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::AGREED_FROM;
    use plimsoll_schemas::Micros;

    fn windows(stretches: &[(i64, i64)]) -> Vec<Window> {
        stretches.iter().map(|&(start, end)| Window { start: Instant(start), end: Instant(end) }).collect()
    }

    /// Changes are (planned start, planned end, approved at); the segment is [0, 1000).
    fn check(
        times: &[(i64, i64)],
        terms: Option<(i64, Option<i64>)>,
        changes: &[(i64, i64, i64)],
        expected: &[(i64, i64)],
    ) {
        let terms =
            terms.map(|(notice, at_most)| MaintenanceTerms { notice: Micros(notice), at_most: at_most.map(Micros) });
        let changes: Vec<_> = changes
            .iter()
            .map(|&(start, end, approved_at)| ApprovedWindow {
                window: Window { start: Instant(start), end: Instant(end) },
                approved_at: Instant(approved_at),
                customer: None,
            })
            .collect();
        let segment = Window { start: Instant(0), end: Instant(1_000) };
        let found = excluded_time(&windows(times), terms, changes.iter(), &Calendar::always(), segment);
        assert_eq!(found, windows(expected));
    }

    #[test]
    fn r9_an_approved_window_is_excluded_with_notice_and_as_a_union() {
        let two = [(100, 200, 50), (150, 300, 60)];
        check(&[], None, &two, &[]);
        check(&[], Some((0, None)), &two, &[(100, 300)]);
        // 50 before 100 is just enough for a notice of 50, 90 before 150 is more.
        check(&[], Some((50, None)), &two, &[(100, 300)]);
        check(&[], Some((51, None)), &two, &[(150, 300)]);
        check(&[], Some((0, None)), &[(100, 200, 101)], &[]);
        check(&[], Some((0, None)), &[(-100, 50, -200), (900, 1_100, 0), (2_000, 3_000, 0)], &[(0, 50), (900, 1_000)]);
    }

    #[test]
    fn r9_the_earliest_maintenance_uses_up_the_cap_to_the_microsecond() {
        let three = [(600, 700, 0), (100, 200, 0), (300, 400, 0)];
        for (cap, expected) in [
            (300, &[(100, 200), (300, 400), (600, 700)][..]),
            (299, &[(100, 200), (300, 400), (600, 699)]),
            (200, &[(100, 200), (300, 400)]),
            (101, &[(100, 200), (300, 301)]),
            (1, &[(100, 101)]),
        ] {
            check(&[], Some((0, Some(cap))), &three, expected);
        }
        // Dated times use up nothing: of 100-200 only 150-200 is maintenance, so 10 of 60 are left for 300-400.
        check(&[(50, 150)], Some((0, Some(60))), &three, &[(50, 200), (300, 310)]);
        check(&[(50, 150), (990, 2_000)], None, &three, &[(50, 150), (990, 1_000)]);
        // Of 100-200 what lies around 150-160 is 90: the cap of 95 has 5 left for 300-400.
        check(&[(150, 160)], Some((0, Some(95))), &three, &[(100, 200), (300, 305)]);
    }

    #[test]
    fn r9_what_is_cut_leaves_no_empty_stretch() {
        let left = |cut: &[(i64, i64)]| without(&windows(&[(100, 200)]), &windows(cut));
        assert_eq!(left(&[(100, 150)]), windows(&[(150, 200)]));
        assert_eq!(left(&[(150, 200)]), windows(&[(100, 150)]));
        assert_eq!(left(&[(120, 130), (140, 150)]), windows(&[(100, 120), (130, 140), (150, 200)]));
        assert_eq!(left(&[(50, 250)]), []);
    }

    #[test]
    fn r9_of_a_cap_that_is_used_up_nothing_is_left_for_the_night() {
        let text = "{apiVersion: plimsoll/v1, kind: Calendar, metadata: {id: office}, spec: {time_zone: UTC, hours: [{days: \
                    mon-fri, from: \"08:00\", until: \"18:00\"}]}}\n";
        let definitions = crate::portfolio::tests::definitions_of(text);
        let office = Calendar::compile(&definitions.calendars["office"]);
        // 1990 began with a Monday.
        let at = |hours: i64| AGREED_FROM + Micros(hours * Micros::HOUR.0);
        let change = |from, until| {
            let window = Window { start: at(from), end: at(until) };
            ApprovedWindow { window, approved_at: at(0), customer: None }
        };
        let terms = Some(MaintenanceTerms { notice: Micros::ZERO, at_most: Some(Micros::HOUR) });
        let segment = Window { start: at(0), end: at(7 * 24) };
        // The hour from 10:00 uses up the cap. Nothing of Tuesday's maintenance is excluded, neither in the night before
        // its agreed hours, nor where it reaches into them.
        for (from, until) in [(26, 27), (31, 32), (31, 33), (34, 35)] {
            let changes = [change(10, 11), change(from, until)];
            let found = excluded_time(&[], terms, changes.iter(), &office, segment);
            assert_eq!(found, [Window { start: at(10), end: at(11) }], "{from} to {until}");
        }
        // A microsecond that is left is used up in the morning, and takes the night before it along.
        let changes = [change(10, 11), change(31, 33)];
        let more = terms.map(|terms| MaintenanceTerms { at_most: Some(Micros::HOUR + Micros(1)), ..terms });
        let found = excluded_time(&[], more, changes.iter(), &office, segment);
        assert_eq!(found[1], Window { start: at(31), end: at(32) + Micros(1) });
    }
}
