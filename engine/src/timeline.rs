//! Values by the instant that they belong to.
//!
//! Nearly everything is added behind the newest value, and an objective has few of them: so they lie in one vector, in
//! order, without room to spare while there are few.

use plimsoll_schemas::Instant;
use serde::{Deserialize, Serialize};

/// At most one value at each instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline<Value>(Vec<(Instant, Value)>);

impl<Value> Default for Timeline<Value> {
    fn default() -> Self {
        Timeline(Vec::new())
    }
}

impl<Value> Timeline<Value> {
    /// The value at this instant.
    pub fn get(&self, at: Instant) -> Option<&Value> {
        self.place(at).ok().map(|place| &self.0[place].1)
    }

    /// Puts a value in the place of the one that was there, if any.
    pub fn insert(&mut self, at: Instant, value: Value) {
        match self.place(at) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => {
                if self.0.len() < 4 {
                    self.0.reserve_exact(1);
                }
                self.0.insert(place, (at, value));
            }
        }
    }

    /// Forgets values that are not wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&Value) -> bool) {
        self.0.retain(|(_, value)| is_wanted(value));
        self.0.shrink_to_fit();
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &Value)> {
        self.0.iter().map(|(at, value)| (*at, value))
    }

    /// Where the value at an instant is, or would be.
    fn place(&self, at: Instant) -> Result<usize, usize> {
        match self.0.last() {
            Some((newest, _)) if *newest < at => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&at, |(at, _)| *at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_order_whatever_the_order_in_which_they_came() {
        let mut timeline = Timeline::default();
        for (at, value) in [(5, 'a'), (9, 'b'), (1, 'c'), (5, 'd'), (7, 'e')] {
            timeline.insert(Instant(at), value);
        }
        let all: Vec<_> = timeline.iter().map(|(at, value)| (at.0, *value)).collect();
        assert_eq!(all, [(1, 'c'), (5, 'd'), (7, 'e'), (9, 'b')]);
        assert_eq!((timeline.get(Instant(7)), timeline.get(Instant(8))), (Some(&'e'), None));
        timeline.retain(|value| *value > 'c');
        assert_eq!(timeline.iter().map(|(at, value)| (at.0, *value)).collect::<Vec<_>>(), [(5, 'd'), (7, 'e')]);
    }
}
