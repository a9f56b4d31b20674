//! What comes of a saga once its faults stop: an end that means what it says, or a person.

use amends_core::definition::{Kind, Work};
use amends_core::input::{Answer, Evaluation, Verb};
use amends_core::saga::{Act, Reason, State};
use amends_core::{Direction, Input, effects, rules};

use crate::Watched;
use crate::inputs_drawn::completed;

/// Rounds of room, answers and timers in which a saga must settle once the faults have stopped:
/// a few for each step and for each redrive.
const SETTLING_ROUNDS_MAX: usize = 400;

impl Watched {
    /// The faults are over: whoever is asked answers, whatever waits is given, time passes. Asserts
    /// that the saga ends, or waits for a person by rule (L1, L3).
    pub fn faults_stop(&mut self) {
        if self.saga.paused.is_some() {
            let act = Act { by: "kim".into(), reason: "the faults are over".into() };
            self.give(Input::Verb { verb: Verb::Resume, act }).expect("it is paused");
        }
        for _ in 0..SETTLING_ROUNDS_MAX {
            if !rules::live(&self.def, &self.saga) {
                return;
            }
            for step in effects::evaluations(&self.def, &self.saga) {
                let value = match &self.def.step(step).work {
                    Work::Signal { .. } => Evaluation::Judged { refused: false },
                    Work::Command { .. } => Evaluation::Inputs(vec![None]),
                };
                self.give(Input::Evaluated { step, value }).expect("it is to be evaluated");
            }
            self.room_for_all();
            for open in self.open_attempts() {
                let undo = open.direction == Direction::Compensation;
                let outcome = completed(undo.then_some(true));
                self.give(Input::Answer(Answer {
                    run: open.run,
                    direction: open.direction,
                    round: Some(open.round),
                    attempt: Some(open.number),
                    own_exchange: true,
                    outcome,
                }))
                .expect("the answer is taken");
            }
            if let Some(due) = effects::next_due(&self.def, &self.saga, self.now) {
                self.now = self.now.max(due);
                self.tick();
            }
        }
        // What is left waits for a person by rule, not for want of an answer.
        let by_rule = [Reason::OutcomeUnknown, Reason::Expression, Reason::Contradicted];
        let person = self.saga.attention.iter().any(|a| by_rule.contains(&a.reason));
        assert!(person, "L3: neither an end nor a person's: {:#?}", self.saga);
    }

    /// Asserts what an end promises, as far as the saga itself can tell (S1, S2).
    pub fn assert_end_means_what_it_says(&self) {
        let runs = || self.saga.runs().map(|(at, run)| (self.def.step(at.step), run));
        match self.saga.state {
            State::Completed => {
                for (step, run) in runs().filter(|(step, _)| step.kind != Kind::BestEffort) {
                    let by_hand = run.by.is_some();
                    assert!(by_hand || run.result.is_some(), "S2: {} is not done", step.name);
                    let name = &step.name;
                    assert!(run.undo.is_none(), "S2: {name} was undone in a completed saga");
                }
            }
            State::Failed if !rules::live(&self.def, &self.saga) => {
                for (step, run) in runs().filter(|(step, _)| step.compensation().is_some()) {
                    let undone = run.undo.as_ref().is_some_and(|undo| undo.end.is_some());
                    assert!(run.result.is_none() || undone, "S1: {} stands", step.name);
                }
            }
            _ => {}
        }
    }
}
