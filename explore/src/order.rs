//! Every partial order of a few steps, one of each form, with what makes its steps alike.

/// A partial order of steps; each stands after all that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// For each step, the steps it waits for directly.
    pub after: Vec<Vec<u8>>,
    /// Every way to exchange steps that leaves the order as it is: where each step's part goes.
    symmetries: Vec<Vec<usize>>,
    /// How many steps stand side by side at most.
    pub width: usize,
}

/// One order of each form. Every set of pairs (earlier, later) is tried; those that are no order,
/// and those that only name the steps of an earlier one anew, are left out.
pub fn orders(steps: usize) -> Vec<Order> {
    let pairs: Vec<(usize, usize)> =
        (0..steps).flat_map(|later| (0..later).map(move |earlier| (earlier, later))).collect();
    let namings = permutations(steps);
    let mut forms: Vec<Before> = Vec::new();
    for chosen in 0..1usize << pairs.len() {
        let mut before: Before = vec![vec![false; steps]; steps];
        for (i, &(earlier, later)) in pairs.iter().enumerate() {
            before[earlier][later] = chosen >> i & 1 == 1;
        }
        let known = |naming: &Vec<usize>| forms.contains(&renamed(&before, naming));
        if transitive(&before) && !namings.iter().any(known) {
            forms.push(before);
        }
    }
    forms.into_iter().map(|before| Order::of(&before, &namings)).collect()
}

/// Which step is before which.
type Before = Vec<Vec<bool>>;

impl Order {
    fn of(before: &Before, namings: &[Vec<usize>]) -> Self {
        let steps = before.len();
        let between = |a: usize, c: usize| (0..steps).any(|b| before[a][b] && before[b][c]);
        let directly = |later: usize| {
            let is = |&earlier: &usize| before[earlier][later] && !between(earlier, later);
            (0..steps).filter(is).map(|earlier| earlier as u8).collect()
        };
        let side_by_side = |set: usize| {
            let within = |i: usize| set >> i & 1 == 1;
            let apart = |a: usize, b: usize| !(within(a) && within(b) && before[a][b]);
            (0..steps).all(|a| (0..steps).all(|b| apart(a, b)))
        };
        let sets = (0..1usize << steps).filter(|&set| side_by_side(set));
        Self {
            after: (0..steps).map(directly).collect(),
            symmetries: namings
                .iter()
                .filter(|naming| renamed(before, naming) == *before)
                .cloned()
                .collect(),
            width: sets.map(|set| set.count_ones() as usize).max().unwrap_or(0),
        }
    }

    /// Of all ways to give the order's steps these parts that are one and the same shape, the first.
    pub fn first_alike<T: Copy + Ord>(&self, parts: &[T]) -> Vec<T> {
        let exchanged =
            |symmetry: &Vec<usize>| symmetry.iter().map(|&from| parts[from]).collect::<Vec<T>>();
        self.symmetries.iter().map(exchanged).min().unwrap_or_else(|| parts.to_vec())
    }
}

fn transitive(before: &Before) -> bool {
    let steps = before.len();
    let all = |test: &dyn Fn(usize) -> bool| (0..steps).all(test);
    all(&|a| all(&|b| all(&|c| !(before[a][b] && before[b][c]) || before[a][c])))
}

fn renamed(before: &Before, naming: &[usize]) -> Before {
    let row = |a: &usize| naming.iter().map(|&b| before[*a][b]).collect();
    naming.iter().map(row).collect()
}

fn permutations(length: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..length {
        let with_next = |shorter: &Vec<usize>| {
            let shorter = shorter.clone();
            (0..=shorter.len()).map(move |at| {
                let mut longer = shorter.clone();
                longer.insert(at, next);
                longer
            })
        };
        all = all.iter().flat_map(with_next).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_orders_as_mathematicians_count() {
        let counts: Vec<usize> = (1..=4).map(|steps| orders(steps).len()).collect();
        assert_eq!(counts, [1, 2, 5, 16]);
    }

    #[test]
    fn steps_that_an_order_does_not_tell_apart_are_exchanged() {
        let side_by_side = orders(2).remove(0);
        assert_eq!(side_by_side.after, [vec![], vec![]]);
        assert_eq!(side_by_side.first_alike(&[2, 1]), [1, 2]);
        let one_after_the_other = orders(2).remove(1);
        assert_eq!(one_after_the_other.first_alike(&[2, 1]), [2, 1]);
    }

    #[test]
    fn a_diamond_is_two_wide() {
        let wide = |order: &Order| order.after == [vec![], vec![0], vec![0], vec![1, 2]];
        let diamond = orders(4).into_iter().find(wide);
        assert_eq!(diamond.map(|order| order.width), Some(2));
    }
}
