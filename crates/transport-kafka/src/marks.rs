//! How far each partition is settled: the mark that is told to the cluster stands before the first
//! message that is not.

use std::collections::{BTreeMap, BTreeSet};

/// The partitions that an end has, each with what is open there.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    assignments: u64,
    partitions: BTreeMap<i32, Open>,
}

#[derive(Debug)]
struct Open {
    /// A partition that went and came back is another: what was held of it before is somebody
    /// else's.
    assignment: u64,
    offsets: BTreeSet<i64>,
    /// Behind the last message that came.
    next: i64,
    told: i64,
}

impl Marks {
    /// The partition is ours.
    pub(crate) fn assigned(&mut self, partition: i32) {
        self.assignments += 1;
        let open =
            Open { assignment: self.assignments, offsets: BTreeSet::new(), next: 0, told: 0 };
        self.partitions.insert(partition, open);
    }

    /// It is ours no more.
    pub(crate) fn revoked(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Which are ours.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.partitions.keys().copied()
    }

    /// A message came; says in which assignment, `None` where the partition is not ours.
    pub(crate) fn came(&mut self, partition: i32, offset: i64) -> Option<u64> {
        let open = self.partitions.get_mut(&partition)?;
        open.offsets.insert(offset);
        open.next = open.next.max(offset + 1);
        Some(open.assignment)
    }

    /// A message of this assignment is settled; says the mark, where it moved.
    pub(crate) fn settled(&mut self, partition: i32, assignment: u64, offset: i64) -> Option<i64> {
        let open = self.partitions.get_mut(&partition)?;
        if open.assignment != assignment || !open.offsets.remove(&offset) {
            return None;
        }
        let mark = open.offsets.first().copied().unwrap_or(open.next);
        let moved = mark > open.told;
        open.told = open.told.max(mark);
        moved.then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stays_before_what_is_open() {
        let mut marks = Marks::default();
        marks.assigned(0);
        let assignment = marks.came(0, 5).unwrap();
        marks.came(0, 6);
        marks.came(0, 9); // a broker may leave numbers out
        assert_eq!(marks.settled(0, assignment, 6), Some(5), "nothing before the first is open");
        assert_eq!(marks.settled(0, assignment, 9), None);
        assert_eq!(marks.settled(0, assignment, 5), Some(10));
        assert_eq!(marks.settled(0, assignment, 5), None, "it was settled before");
    }

    #[test]
    fn a_partition_that_went_and_came_back_is_another() {
        let mut marks = Marks::default();
        marks.assigned(3);
        let before = marks.came(3, 7).unwrap();
        marks.revoked(3);
        assert_eq!(marks.settled(3, before, 7), None);
        assert_eq!(marks.came(3, 8), None, "it is not ours");
        marks.assigned(3);
        let after = marks.came(3, 7).unwrap();
        assert_eq!(marks.settled(3, before, 7), None);
        assert_eq!(marks.settled(3, after, 7), Some(8));
    }
}
