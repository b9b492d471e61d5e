//! Steps that read nothing, say nothing and leave when each objective is looked at next as it was are not recorded. Whoever
//! makes the recorded ones again says the same at the same steps (R21).

use super::*;

/// A step: its number and its tick, whether it publishes, the watermark before it, what it reads, and what it says.
struct Made {
    number: i64,
    tick: Instant,
    publish: bool,
    watermark: Instant,
    read: Delivery,
    facts: Facts,
}

fn rows_of(facts: &Facts) -> Facts {
    Facts { spending: Vec::new(), ..facts.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn r21_the_recorded_steps_made_again_say_the_same(
        mut events in prop::collection::vec(happening(), 1..40),
        pace in 17..90_i64,
        publish_every in 2..12_i64,
        saved in any::<prop::sample::Index>(),
    ) {
        events.sort_by_key(|event| event.time());
        let numbered: Vec<_> = events.into_iter().enumerate().collect();
        let mut group = LaneGroup::new(portfolio(), 1);
        let saved_from = saved.index(NOW.0 as usize / (pace * HOUR / 60) as usize) as i64;
        let (mut made, mut snapshot, mut offset) = (Vec::new(), None, 0);
        // A step every so many minutes, of which most read nothing.
        for number in 0.. {
            let tick = Instant(number * pace * HOUR / 60);
            if tick > NOW {
                break;
            }
            let until = numbered.partition_point(|(_, event)| event.time() * HOUR / 2 <= tick.0);
            let read = delivery(&numbered[offset..until], offset as i64, true);
            let (watermark, publish) = (group.watermarks().watermark(), number % publish_every == 0);
            let is_idle = until == offset;
            offset = until;
            group.fold(&read, tick);
            let facts = group.close(number, tick, publish);
            if !is_idle || facts.has_rows() || facts.rescheduled {
                if snapshot.is_some() {
                    made.push(Made { number, tick, publish, watermark, read, facts });
                } else if number >= saved_from {
                    snapshot = Some(group.snapshot().expect("a snapshot"));
                }
            }
        }
        let Some(snapshot) = snapshot else { return Ok(()) };
        let mut again = LaneGroup::restore_before(portfolio(), 1, &snapshot, Some(false)).expect("restored");
        for Made { number, tick, publish, watermark, read, facts } in &made {
            again.resume(*watermark);
            again.fold(read, *tick);
            let found = again.close(*number, *tick, *publish);
            prop_assert_eq!(rows_of(&found), rows_of(facts), "step {}", number);
        }
    }
}
