//! What flows from event to event: who says and reads what, circles, and the fields on the way.

use super::model::{Reactions, Trigger};
use super::set::Set;

/// A circle: reactions each of which may set off the next, and the last the first.
pub(crate) fn circle(of: &Reactions) -> Option<Vec<usize>> {
    let mut done = Set::EMPTY;
    (0..of.len()).find_map(|from| circle_from(of, from, &mut Vec::new(), &mut done))
}

fn circle_from(
    of: &Reactions,
    at: usize,
    way: &mut Vec<usize>,
    done: &mut Set,
) -> Option<Vec<usize>> {
    if let Some(first) = way.iter().position(|before| *before == at) {
        return Some(way[first..].to_vec());
    }
    if done.has(at) {
        return None;
    }
    way.push(at);
    let next = of.reactions[at].says().flat_map(|event| of.readers(event));
    let found = next.into_iter().find_map(|next| circle_from(of, next, way, done));
    way.pop();
    *done = done.with(at);
    found
}

/// The ways to each event on which nobody has said a field. The reactions have no circle.
pub(crate) struct Without<'r> {
    of: &'r Reactions,
    field: &'r str,
    /// Of each event that was asked for: the events before it on such a way and itself, if there is one.
    known: Vec<Option<Option<Vec<usize>>>>,
}

impl<'r> Without<'r> {
    pub(crate) fn new(of: &'r Reactions, field: &'r str) -> Self {
        Self { of, field, known: vec![None; of.events.len()] }
    }

    /// The way from the first event on, on which the reaction has nothing to read; `None` when each
    /// way brings the field.
    pub(crate) fn way(&mut self, reaction: usize) -> Option<Vec<usize>> {
        match &self.of.reactions[reaction].on {
            // All of them have come, and each has brought what it carries.
            Trigger::All(events) => {
                let ways: Option<Vec<_>> = events.iter().map(|event| self.to(*event)).collect();
                ways?.into_iter().next()
            }
            Trigger::Any(events) => events.iter().find_map(|event| self.to(*event)),
        }
    }

    fn to(&mut self, event: usize) -> Option<Vec<usize>> {
        if let Some(known) = &self.known[event] {
            return known.clone();
        }
        let of = self.of;
        let way = if of.events[event].fields.contains(self.field) {
            None
        } else if event == of.start {
            Some(vec![event])
        } else {
            let way = of.writers(event).find_map(|writer| self.way(writer));
            way.map(|way| way.into_iter().chain([event]).collect())
        };
        self.known[event] = Some(way.clone());
        way
    }
}
