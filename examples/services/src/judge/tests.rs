//! The judge, on ledgers made by hand: the good ones pass, and each way to break a promise is
//! found and named.

use super::*;
use crate::evidence::{Call, Effect, Word};

/// A ledger that is told as a story, a call a line, each later than the one before.
#[derive(Default)]
struct Story {
    evidence: Evidence,
    now_ns: i64,
}

impl Story {
    fn call(mut self, step: &str, is_undo: bool, answer: Word) -> Self {
        let direction = if is_undo { "compensation" } else { "action" };
        self.now_ns += 10;
        let arrived_ns = self.now_ns;
        self.now_ns += 10;
        self.evidence.calls.push(Call {
            entry: arrived_ns,
            arrived_ns,
            answered_ns: (!answer.is_silence()).then_some(self.now_ns),
            saga_id: "s".to_owned(),
            step: step.to_owned(),
            is_undo,
            key: format!("s/{step}/{direction}"),
            body_sha256: format!("{step}{is_undo}"),
            attempt: 1,
            status: 200,
            answer,
        });
        self
    }

    fn effect(mut self, step: &str, forward: u32, undone: u32) -> Self {
        let (saga_id, step) = ("s".to_owned(), step.to_owned());
        self.evidence.effects.push(Effect { saga_id, step, forward, undone });
        self
    }

    fn done(self, step: &str) -> Self {
        self.call(step, false, Word::Completed).effect(step, 1, 0)
    }

    fn undone(self, step: &str) -> Self {
        self.call(step, true, Word::Undone).effect(step, 0, 1)
    }

    fn nothing(mut self, step: &str) -> Self {
        self.evidence.tombstones.push(("s".to_owned(), step.to_owned()));
        self.call(step, true, Word::NothingToUndo)
    }

    fn last(mut self, change: impl FnOnce(&mut Call)) -> Self {
        change(self.evidence.calls.last_mut().unwrap());
        self
    }
}

fn saga(ending: Ending) -> SagaFacts {
    SagaFacts::sequence("s", ending, &["a", "b", "c"])
}

fn check(saga: &SagaFacts, story: Story, expected: &[(Rule, &str)]) {
    let verdict = judge(std::slice::from_ref(saga), &[story.evidence]);
    let mut found: Vec<(Rule, &str)> =
        verdict.violations.iter().map(|v| (v.rule, v.step.as_str())).collect();
    found.dedup();
    assert_eq!(found, expected, "{verdict}");
}

fn all_done() -> Story {
    Story::default().done("a").done("b").done("c")
}

#[test]
fn a_completed_saga_with_each_effect_once_holds() {
    check(&saga(Ending::Completed), all_done(), &[]);
}

#[test]
fn a_completed_saga_must_have_every_effect() {
    check(&saga(Ending::Completed), Story::default().done("a").done("b"), &[(Rule::S2, "c")]);
}

#[test]
fn a_completed_saga_has_nothing_undone() {
    check(&saga(Ending::Completed), all_done().undone("c"), &[(Rule::S2, "c")]);
}

#[test]
fn a_step_whose_condition_was_false_did_not_run() {
    let mut saga = saga(Ending::Completed);
    saga.steps[1].wanted = false;
    check(&saga, Story::default().done("a").done("c"), &[]);
    check(&saga, all_done(), &[(Rule::S2, "b")]);
}

#[test]
fn a_saga_rolled_back_in_reverse_holds() {
    let refused = Story::default().done("a").done("b").call("c", false, Word::Refused);
    check(&saga(Ending::Failed), refused.undone("b").undone("a"), &[]);
}

#[test]
fn a_lost_reply_and_its_undo_hold() {
    let story = Story::default().done("a").call("b", false, Word::Lost).effect("b", 1, 0);
    check(&saga(Ending::Failed), story.undone("b").undone("a"), &[]);
}

#[test]
fn an_undo_of_what_never_ran_holds() {
    let story = Story::default().done("a").call("b", false, Word::Unanswered);
    let story = story.nothing("b").undone("a").call("b", false, Word::Refused);
    check(&saga(Ending::Failed), story, &[]);
}

#[test]
fn an_effect_left_behind_is_found_unless_the_saga_is_not_clean() {
    let story = || Story::default().done("a").call("b", false, Word::Refused);
    check(&saga(Ending::Failed), story(), &[(Rule::S1, "a")]);
    let unclean = SagaFacts { clean: false, ..saga(Ending::Failed) };
    check(&unclean, story(), &[]);
    let mut by_hand = saga(Ending::Failed);
    by_hand.steps[0].decided_by_hand = true;
    check(&by_hand, story(), &[]);
}

#[test]
fn an_effect_twice_is_found_in_every_state() {
    for ending in [Ending::Running, Ending::Completed, Ending::Failed] {
        let twice = Story::default().done("a").effect("a", 1, 0);
        let verdict = judge(&[saga(ending)], &[twice.evidence]);
        assert!(verdict.violations.iter().any(|v| v.rule == Rule::S4 && v.step == "a"));
    }
    let undone_twice = Story::default().done("a").undone("a").effect("a", 1, 1);
    check(&saga(Ending::Running), undone_twice, &[(Rule::S4, "a")]);
}

#[test]
fn two_bodies_under_one_key_are_found() {
    let story = all_done().call("c", false, Word::Conflict);
    let story = story.last(|call| call.body_sha256 = "other".to_owned());
    check(&saga(Ending::Completed), story, &[(Rule::S4, "c")]);
}

#[test]
fn a_key_that_is_not_the_steps_own_is_found_and_a_second_round_is_its_own() {
    let story = || Story::default().done("a").undone("a").call("a", true, Word::Undone);
    let round = story().last(|call| call.key = "s/a/compensation/2".to_owned());
    check(&saga(Ending::Failed), round, &[]);
    let foreign = story().last(|call| call.key = "s/b/compensation".to_owned());
    check(&saga(Ending::Failed), foreign, &[(Rule::S4, "a")]);
}

#[test]
fn an_undo_before_its_dependents_acknowledgement_is_found() {
    let story = || Story::default().done("a").done("b");
    check(&saga(Ending::Failed), story().undone("a").undone("b"), &[(Rule::S8, "a")]);
    // It was undone, but nobody could know: the acknowledgement came with the repeat.
    let lost = story().call("b", true, Word::Lost).effect("b", 0, 1).undone("a");
    check(&saga(Ending::Failed), lost.call("b", true, Word::Undone), &[(Rule::S8, "a")]);
}

#[test]
fn an_undo_that_overlaps_its_dependents_undo_is_found() {
    let story = Story::default().done("a").done("b").undone("b");
    let story = story.last(|call| call.answered_ns = Some(call.arrived_ns + 25)).undone("a");
    check(&saga(Ending::Failed), story, &[(Rule::S8, "a")]);
}

#[test]
fn the_order_is_that_of_dependence_not_of_the_file() {
    let mut parallel = saga(Ending::Failed);
    parallel.steps[0].dependents = vec!["c".to_owned()];
    parallel.steps[1].dependents = vec!["c".to_owned()];
    let story = || Story::default().done("a").done("b").call("c", false, Word::Refused);
    check(&parallel, story().undone("a").undone("b"), &[]);
}

#[test]
fn dependence_goes_through_what_lies_between() {
    let mut chained = saga(Ending::Failed);
    chained.steps[0].dependents = vec!["b".to_owned()];
    chained.steps[1].promise = Promise::ReadOnly;
    let story = all_done().undone("a").undone("c");
    check(&chained, story, &[(Rule::S8, "a")]);
}

#[test]
fn a_dependent_done_after_the_undo_is_found() {
    let story = Story::default().done("a").undone("a").done("b").undone("b");
    check(&saga(Ending::Failed), story, &[(Rule::S7, "a"), (Rule::S8, "a")]);
}

#[test]
fn a_repeat_of_a_dependent_after_the_undo_is_no_new_effect() {
    let story = Story::default().done("a").done("b").undone("b").undone("a");
    check(&saga(Ending::Failed), story.call("b", false, Word::Completed), &[]);
}

#[test]
fn an_undo_that_changed_what_never_ran_is_found() {
    check(&saga(Ending::Failed), Story::default().undone("a"), &[(Rule::S1, "a"), (Rule::S9, "a")]);
}

#[test]
fn an_undo_of_nothing_without_a_tombstone_is_found() {
    let story = Story::default().call("a", true, Word::NothingToUndo);
    check(&saga(Ending::Failed), story, &[(Rule::S9, "a")]);
}

#[test]
fn an_action_after_a_tombstone_is_found() {
    let story = Story::default().nothing("a").done("a");
    check(&saga(Ending::Failed), story, &[(Rule::S1, "a"), (Rule::S10, "a")]);
    let told_done = Story::default().nothing("a").call("a", false, Word::Completed);
    check(&saga(Ending::Failed), told_done, &[(Rule::S10, "a")]);
}

#[test]
fn an_undo_after_the_pivot_is_found() {
    let mut with_pivot = saga(Ending::Completed);
    with_pivot.steps[2].promise = Promise::Pivot;
    check(&with_pivot, all_done(), &[]);
    let undone = all_done().undone("a");
    check(&with_pivot, undone, &[(Rule::S2, "a"), (Rule::S8, "a"), (Rule::S11, "c")]);
}

#[test]
fn a_failure_after_the_pivot_is_found_though_nothing_was_undone() {
    let mut with_pivot = saga(Ending::Failed);
    with_pivot.steps.remove(0);
    with_pivot.steps.remove(0);
    with_pivot.steps[0].promise = Promise::Pivot;
    check(&with_pivot, Story::default().done("c"), &[(Rule::S11, "c")]);
}

#[test]
fn a_command_of_nobodys_saga_is_found() {
    let mut other = saga(Ending::Completed);
    other.saga_id = "t".to_owned();
    let expected = [(Rule::S2, "a"), (Rule::S2, "b"), (Rule::S2, "c")];
    let expected: Vec<_> = expected.into_iter().chain([(Rule::S5, "a")]).collect();
    check(&other, Story::default().done("a"), &expected);
    let unknown_step = all_done().call("d", false, Word::Completed);
    check(&saga(Ending::Completed), unknown_step, &[(Rule::S5, "d")]);
}

#[test]
fn a_saga_on_its_way_is_judged_only_by_what_always_holds() {
    check(&saga(Ending::Running), Story::default().done("a"), &[]);
    check(&saga(Ending::Running), Story::default().done("a").done("b").undone("b"), &[]);
}

#[test]
fn a_violation_reads_as_a_sentence() {
    let story = Story::default().done("a").effect("a", 1, 0);
    let verdict = judge(&[saga(Ending::Running)], &[story.evidence]);
    assert_eq!(
        verdict.to_string(),
        "S4 (no effect twice, no key with two bodies): saga s, step a: it was done 2 times\n\
         1 sagas, 2 effects, 1 calls: 1 violation"
    );
}
