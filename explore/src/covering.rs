//! Covering arrays: of many shapes a few, in which every two pieces meet at every two places.

use std::collections::BTreeSet;

use crate::shape::{Piece, Shape};

/// Two pieces at two places of one order.
type Meeting = ((usize, Piece), (usize, Piece));

/// Of these shapes so many that whatever two pieces stand at two places of an order in any of
/// them, stand there in one that is chosen. What goes wrong between two steps is met in one of
/// these; what takes three to go wrong in a certain way may not be. Each is the one that brings the
/// most that is new, so that they are few.
pub fn every_meeting(shapes: Vec<Shape>) -> Vec<Shape> {
    let mut chosen = Vec::new();
    let mut rest = shapes;
    while let Some(first) = rest.first() {
        let order = first.after.clone();
        let (of_order, others) = rest.into_iter().partition(|shape| shape.after == order);
        chosen.extend(of_one_order(of_order));
        rest = others;
    }
    chosen
}

fn of_one_order(shapes: Vec<Shape>) -> Vec<Shape> {
    let candidates: Vec<Vec<Meeting>> = shapes.iter().map(meetings).collect();
    let mut missing: BTreeSet<Meeting> = candidates.iter().flatten().copied().collect();
    let mut chosen = Vec::new();
    let most = candidates.first().map_or(0, Vec::len);
    // What brings less than the most that is to be had is looked at again when that is no more.
    for gain_min in (1..=most).rev() {
        for (shape, meetings) in shapes.iter().zip(&candidates) {
            let gain = meetings.iter().filter(|meeting| missing.contains(meeting)).count();
            if gain >= gain_min {
                meetings.iter().for_each(|meeting| {
                    missing.remove(meeting);
                });
                chosen.push(shape.clone());
            }
        }
    }
    chosen
}

fn meetings(shape: &Shape) -> Vec<Meeting> {
    let places: Vec<(usize, Piece)> = shape.steps.iter().copied().enumerate().collect();
    let with_later = |i: usize| places[i + 1..].iter().map(move |&later| (i, later));
    let pairs = (0..places.len()).flat_map(with_later);
    pairs.map(|(i, later)| (places[i], later)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Policy, every, pieces};

    #[test]
    fn every_two_pieces_meet_wherever_they_can() {
        let mut shapes = every(3, &pieces(true));
        shapes.retain(|shape| shape.define(Policy::Plain).is_ok());
        let met = |shapes: &[Shape]| -> BTreeSet<(Vec<Vec<u8>>, Meeting)> {
            let of = |shape: &Shape| {
                let after = shape.after.clone();
                meetings(shape).into_iter().map(move |meeting| (after.clone(), meeting))
            };
            shapes.iter().flat_map(of).collect()
        };
        let chosen = every_meeting(shapes.clone());
        assert_eq!(met(&chosen), met(&shapes));
        assert!(chosen.len() < shapes.len() / 3, "{} of {}", chosen.len(), shapes.len());
    }
}
