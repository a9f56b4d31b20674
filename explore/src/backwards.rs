//! Backwards over a graph: from which states a goal can, and from which it must, be reached.
//!
//! Looking for a path that never gets there would have to look for circles too; looking backwards
//! from the goals does not. It takes each move once.

/// A graph, with its moves turned round.
pub struct Backwards<'a> {
    /// Where the moves of each state end among all moves, one state after the other.
    ends: &'a [usize],
    /// The states before each state, one state after the other, and where those of each begin.
    before: Vec<u32>,
    begins: Vec<usize>,
}

impl<'a> Backwards<'a> {
    /// Turns the moves round: given are where each leads to, and where those of each state end.
    pub fn new(ends: &'a [usize], moves: &[u32]) -> Self {
        let states = ends.len();
        let mut begins = vec![0usize; states + 1];
        moves.iter().for_each(|&to| begins[to as usize + 1] += 1);
        for i in 1..=states {
            begins[i] += begins[i - 1];
        }
        let (mut before, mut places) = (vec![0u32; moves.len()], begins.clone());
        let mut begin = 0;
        for (from, &end) in ends.iter().enumerate() {
            for &to in &moves[begin..end] {
                before[places[to as usize]] = from as u32;
                places[to as usize] += 1;
            }
            begin = end;
        }
        Self { ends, before, begins }
    }

    /// The first state from which no way leads to a goal.
    pub fn never_reach(&self, goals: &[bool]) -> Option<usize> {
        self.counted(goals, |_| 1).iter().position(|counts| !counts)
    }

    /// The first state from which some way, however long, leads to no goal: it ends elsewhere, or goes
    /// round in a circle.
    pub fn may_miss(&self, goals: &[bool]) -> Option<usize> {
        self.must_reach(goals).iter().position(|reaches| !reaches)
    }

    /// By state, whether every way leads to a goal.
    pub fn must_reach(&self, goals: &[bool]) -> Vec<bool> {
        let begin = |state: usize| if state == 0 { 0 } else { self.ends[state - 1] };
        self.counted(goals, |state| self.ends[state] - begin(state))
    }

    /// By state, whether it counts, when a state does as soon as so many of its moves lead to one
    /// that counts.
    fn counted(&self, goals: &[bool], needed: impl Fn(usize) -> usize) -> Vec<bool> {
        let mut counts = goals.to_vec();
        let mut needed: Vec<usize> = (0..counts.len()).map(needed).collect();
        let mut reached: Vec<usize> = (0..counts.len()).filter(|&state| counts[state]).collect();
        while let Some(state) = reached.pop() {
            for &from in &self.before[self.begins[state]..self.begins[state + 1]] {
                let from = from as usize;
                needed[from] = needed[from].saturating_sub(1);
                if needed[from] == 0 && !counts[from] {
                    counts[from] = true;
                    reached.push(from);
                }
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 goes to 1 and to 2; 2 and 3 go to each other.
    const ENDS: [usize; 4] = [2, 2, 3, 4];
    const MOVES: [u32; 4] = [1, 2, 3, 2];

    #[test]
    fn a_circle_without_a_way_out_never_gets_there() {
        let backwards = Backwards::new(&ENDS, &MOVES);
        let goals = [false, true, false, false];
        assert_eq!(backwards.never_reach(&goals), Some(2));
        assert_eq!(backwards.may_miss(&goals), Some(0), "0 may choose the circle");
        let goals = [false, true, false, true];
        assert_eq!(backwards.may_miss(&goals), None);
    }

    #[test]
    fn a_circle_with_a_way_out_gets_there_but_may_not() {
        let backwards = Backwards::new(&[2, 2], &[0, 1]);
        assert_eq!(backwards.never_reach(&[false, true]), None);
        assert_eq!(backwards.may_miss(&[false, true]), Some(0));
    }

    #[test]
    fn a_state_that_nothing_follows_is_there_or_stuck() {
        let backwards = Backwards::new(&[0], &[]);
        assert_eq!(backwards.may_miss(&[false]), Some(0));
        assert_eq!(backwards.never_reach(&[false]), Some(0));
        assert_eq!(backwards.may_miss(&[true]), None);
    }
}
