//! The end of a run: faults are over, everybody answers, and every saga has come to rest or to a
//! person where the rules say so.

use std::collections::BTreeSet;

use amends_core::definition::{Fence, Kind};
use amends_core::saga::{
    Attention, ExceptionReason, Reason, Run, Settled, State, StepState, UndoEnd,
};
use amends_core::{Direction, RunRef, Saga, SagaId, effects, rules};

use super::truth::Known;
use super::{Inner, Judge, Law, Place};

impl Judge {
    /// Has every saga come to rest?
    pub fn at_rest(&self) -> bool {
        let inner = self.inner();
        inner.truth.sagas.values().all(|known| inner.rests(self, known))
    }

    /// Has the redriver given any undo up that is still owed?
    pub fn any_poisoned(&self) -> bool {
        let inner = self.inner();
        let poison =
            |known: &Known| known.saga.attention.iter().any(|a| a.reason == Reason::Poison);
        inner.truth.sagas.values().any(poison)
    }

    /// The faults are over and the time is up, or everything is at rest: what is wrong now is wrong.
    pub fn judge_end(&self, faults_ended_at: u64) {
        let mut inner = self.inner();
        let ids: Vec<SagaId> = inner.truth.sagas.keys().copied().collect();
        // A run that broke a law is not brought to its end.
        let to_the_end = inner.violations.is_empty();
        for id in ids {
            for (law, broken) in inner.end_of(self, id, faults_ended_at, to_the_end) {
                inner.check(&self.trace, law, Some(id), broken);
            }
        }
    }

    /// The sagas that ended under that opening, with the numbers of their ends.
    pub fn ended_by(&self, opening: u64) -> Vec<SagaId> {
        let inner = self.inner();
        let by = |(id, known): (&SagaId, &Known)| (known.ended_by == Some(opening)).then_some(*id);
        inner.truth.sagas.iter().filter_map(by).collect()
    }

    /// Every saga there is, durably.
    pub fn sagas(&self) -> Vec<(SagaId, Saga)> {
        let inner = self.inner();
        inner.truth.sagas.iter().map(|(id, known)| (*id, known.saga.clone())).collect()
    }
}

impl Inner {
    fn rests(&self, judge: &Judge, known: &Known) -> bool {
        let saga = &known.saga;
        let over = saga.state.ended() && !rules::live(&known.definition, saga);
        let dismissed = saga.attention.iter().all(|a| a.reason == Reason::Contradicted);
        (over && dismissed) || self.persons(judge, known)
    }

    /// Does it wait for a person by rule? For a service that can neither repeat an answer nor fence,
    /// for one that breaks its promises, for an expression that failed after the point of no return, and
    /// for a point of no return that was passed after the turn. Nothing else may still be owed or be out.
    fn persons(&self, judge: &Judge, known: &Known) -> bool {
        let waits: BTreeSet<RunRef> = self.waits_for_persons(judge, known).collect();
        let (definition, saga) = (&known.definition, &known.saga);
        let out = |(at, run): &(RunRef, &Run)| {
            [Direction::Action, Direction::Compensation].into_iter().any(|direction| {
                run.sendings(direction).is_some_and(|sendings| sendings.open.is_some())
                    && effects::waited_for(definition, saga, *at, direction)
            })
        };
        let out = saga.runs().filter(out).map(|(at, _)| at);
        let owed = effects::owed(&known.definition, &known.saga).map(|owed| owed.run);
        !waits.is_empty() && out.chain(owed).all(|at| waits.contains(&at))
    }

    /// The runs that wait for a person.
    fn waits_for_persons<'a>(
        &'a self,
        judge: &'a Judge,
        known: &'a Known,
    ) -> impl Iterator<Item = RunRef> + 'a {
        let waits = move |attention: &Attention| {
            let run = attention.run?;
            let lied_to = self.lied_to(&judge.plan, Place { saga: known.saga.id, run });
            let action = known.saga.run(run).and_then(|run| run.action.as_ref());
            let fence = action.and_then(|action| action.terms.fence);
            let waits = lied_to
                || match attention.reason {
                    Reason::Expression => true,
                    Reason::OutcomeUnknown | Reason::PivotUnknown | Reason::RetriableSlow => {
                        fence == Some(Fence::None)
                    }
                    Reason::Contradicted => self.done_after_all(known, run),
                    _ => false,
                };
            waits.then_some(run)
        };
        known.saga.attention.iter().filter_map(waits)
    }

    /// Has a step that is never undone been done after its refusal was settled, by the other copy of its
    /// only sending? Then nothing is undone any more (S11), nothing revives the saga, and it is a person's.
    fn done_after_all(&self, known: &Known, at: RunRef) -> bool {
        let place = Place { saga: known.saga.id, run: at };
        let copied = self.ledgers.steps.get(&place).is_some_and(|ledger| ledger.twin);
        let kind = known.definition.step(at.step).kind;
        known.saga.turned.is_some() && copied && matches!(kind, Kind::Pivot | Kind::Retriable)
    }

    fn end_of(
        &self,
        judge: &Judge,
        id: SagaId,
        since: u64,
        to_the_end: bool,
    ) -> Vec<(Law, Option<String>)> {
        let Some(known) = self.truth.saga(id) else { return Vec::new() };
        let saga = &known.saga;
        let rests = self.rests(judge, known);
        let mut found = vec![];
        let why = (!rests).then(|| {
            let owed: Vec<_> = effects::owed(&known.definition, saga)
                .map(|owed| format!("{}/{:?}", owed.run.step.0, owed.direction))
                .collect();
            let attention: Vec<_> = saga.attention.iter().map(|a| a.reason).collect();
            format!("it is {:?}, owes {owed:?}, attention {attention:?}", saga.state)
        });
        let moved = known.moved_at > since;
        if to_the_end {
            let unseen = saga.attention.is_empty();
            found.push((Law::L1, why.clone().filter(|_| unseen)));
            found.push((Law::L2, why.clone()));
            found.extend(saga.turned.is_some().then(|| (Law::L3, why.clone())));
            found.extend((!moved).then_some((Law::L4, why)));
        }
        if rests {
            found.extend(self.effects_of(judge, known));
        }
        found
    }

    /// S1, S2, S6 and S13: what the ledgers say of a saga that is at rest.
    fn effects_of(&self, judge: &Judge, known: &Known) -> Vec<(Law, Option<String>)> {
        let saga = &known.saga;
        let mut found = vec![];
        for exception in &saga.exceptions {
            if exception.reason == ExceptionReason::Unproven {
                let run = exception.run;
                let is_proven = proven(saga, run);
                found.push((Law::S6, is_proven.then(|| format!("step {} is proven", run.step.0))));
            }
        }
        let over = saga.state.ended() && !rules::live(&known.definition, saga);
        for (at, run) in saga.runs() {
            let place = Place { saga: saga.id, run: at };
            let step = known.definition.step(at.step);
            if self.lied_to(&judge.plan, place) || saga.exceptions.iter().any(|e| e.run == at) {
                continue;
            }
            let none = super::StepLedger::default();
            let ledger = self.ledgers.steps.get(&place).unwrap_or(&none);
            let stands = format!("{}: done {}, undone {}", step.name, ledger.done, ledger.undone);
            let forward = matches!(step.kind, Kind::Pivot | Kind::Retriable);
            if over && saga.state == State::Failed && step.compensation().is_some() {
                let owes = ledger.done != ledger.undone;
                found.push((Law::S1, owes.then(|| stands.clone())));
            }
            if saga.turned.is_some() && forward {
                let seen = saga.attention.iter().any(|a| a.run == Some(at));
                let lost = ledger.done > 0 && !seen;
                found.push((Law::S13, lost.then(|| format!("{stands}, and nobody is told"))));
            }
            let command = step.action().is_some();
            let needed = forward || step.kind == Kind::Compensatable;
            if saga.state == State::Completed && command && needed && !run.resolved {
                let lacks = ledger.done != 1 || ledger.undone != 0;
                found.push((Law::S2, lacks.then_some(stands)));
            }
        }
        let waiting = saga.steps.iter().any(|step| matches!(step, StepState::Waiting { .. }));
        if saga.state == State::Completed {
            found.push((Law::S2, waiting.then(|| "a step of it was never reached".to_owned())));
        }
        found
    }
}

/// Is there an answer that leaves nothing unproven?
fn proven(saga: &Saga, at: amends_core::RunRef) -> bool {
    let Some(run) = saga.run(at) else { return false };
    let ended = run.undo.as_ref().and_then(|undo| undo.end.as_ref());
    match ended {
        Some(UndoEnd::Acknowledged { undone: Some(false) }) => false,
        Some(UndoEnd::Acknowledged { undone: Some(true) }) => true,
        _ => matches!(run.settled, Settled::Succeeded | Settled::Refused),
    }
}
