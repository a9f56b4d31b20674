//! The laws: `semantics.md` section 6, judged by what the participants really did and not by what
//! the machine believes.

use amends_core::definition::Fence;
use amends_core::event::{Ending, Event};
use amends_core::input::{Answer, Input, Moment, Outcome};
use amends_core::saga::{
    Exception, ExceptionReason, Reason, Run, Settled, State, Status, StepState, UndoEnd,
};
use amends_core::{Direction, Millis, RunRef, Saga, StepIx, Time, decide, effects, rules};

use crate::attention;
use crate::cast::{Part, Role};
use crate::known::Standing;
use crate::model::Scene;
use crate::world::{Ledger, Leg, NOW, Packet, World};

macro_rules! laws {
    ($($law:ident: $words:literal,)*) => {
        /// A law of `semantics.md` section 6.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Law { $(#[doc = $words] $law,)* }

        impl Law {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$law),*];

            /// Its number and what it says.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$law => concat!(stringify!($law), ": ", $words),)* }
            }
        }
    };
}
pub(crate) use laws;

laws! {
    S1: "failed and clean: every effect is undone, once",
    S2: "completed: every effect stands, once",
    S3: "at most one end, and nothing left executing at it",
    S4: "one effect each way, and the same bytes under one key",
    S5: "no command without a durable intent",
    S6: "unproven until it is proven, and no longer",
    S7: "no undo of what is known absent, or may still be settled by asking",
    S8: "no undo before those of the steps that depend on it",
    S9: "undoing what never ran changes nothing",
    S11: "no undo while the point of no return is held",
    S12: "no first command after the decision",
    S13: "a success that nobody may undo is a person's",
    S15: "a made-up reply changes nothing",
    S16: "any input twice is once",
    S17: "the state rebuilt is the state before the crash",
    S21: "one attention for each cause, and none without",
    S22: "no timer early, none twice, no due time earlier",
    L1: "an end or attention is reachable",
    L3: "once faults stop, it ends or waits for a person by rule",
    Pause: "while it is paused nothing is sent and no attempt times out",
}

const MOMENT: Moment = Moment { at: NOW, jitter: 0 };

/// A year: longer than any time that a shape names.
const FOR_EVER: Millis = Millis(365 * 24 * 3_600_000);

/// What these facts, which led from one state to another, break. An input that is refused has none.
pub fn broken_by(before: &Saga, facts: &[Event], after: &Saga, taken: bool) -> Option<Law> {
    if !taken && (!facts.is_empty() || before != after) {
        return Some(Law::S15);
    }
    let mut replayed = before.clone();
    let fits = facts.iter().all(|event| replayed.apply(NOW, event).is_ok());
    if !fits || replayed != *after {
        return Some(Law::S17);
    }
    let end = |event: &Event| matches!(event, Event::Ended { .. });
    if before.state.ended() && (after.state != before.state || facts.iter().any(end)) {
        return Some(Law::S3);
    }
    let active = |event: &Event| {
        let timed_out = |ending: &Ending| *ending == Ending::TimedOut;
        matches!(event, Event::Sent { .. })
            || matches!(event, Event::AttemptEnded { ending, .. } if timed_out(ending))
    };
    if before.paused.is_some() && after.paused.is_some() && facts.iter().any(active) {
        return Some(Law::Pause);
    }
    let first_sending = |event: &Event| match event {
        Event::Sent { command, .. } if command.direction == Direction::Action => before
            .run(command.run)
            .and_then(|run| run.sendings(Direction::Action))
            .is_none_or(|sendings| !sendings.intent),
        _ => false,
    };
    if before.turned.is_some() && facts.iter().any(first_sending) {
        return Some(Law::S12);
    }
    let pairs = || after.runs().filter_map(|(at, run)| Some((before.run(at)?, run)));
    if pairs().any(|(was, is)| other_bytes(was, is)) {
        return Some(Law::S4);
    }
    let earlier = pairs().any(|(was, is)| is.deadline < was.deadline);
    let saga_earlier = match (before.deadline, after.deadline) {
        (Some(was), Some(is)) => is < was,
        (was, is) => was != is,
    };
    (earlier || saga_earlier).then_some(Law::S22)
}

/// Does a round, once it has its intent, carry anything else than it did, or is a number used again?
fn other_bytes(was: &Run, is: &Run) -> bool {
    [Direction::Action, Direction::Compensation].into_iter().any(|direction| {
        let (Some(before), Some(after)) = (was.sendings(direction), is.sendings(direction)) else {
            return false;
        };
        let original = |run: &Run| run.undo.as_ref().and_then(|undo| undo.original_result.clone());
        let carries = direction == Direction::Compensation && original(was) != original(is);
        let differs = before.body != after.body || before.terms != after.terms || carries;
        let restarted = after.attempts < before.attempts || after.round < before.round;
        restarted || (before.round == after.round && before.intent && differs)
    })
}

/// What sending the undo of this run now would break.
pub fn broken_by_undo(scene: &Scene, world: &World, run: RunRef) -> Option<Law> {
    let saga = &world.saga;
    if !may_stand(saga, run) || !past_settling(scene, saga, run) {
        return Some(Law::S7);
    }
    let rules_out = |other: RunRef, ledger: &Ledger| {
        ledger.twin || excused(saga, other) || saga.run(other).is_none()
    };
    for (at, ledger) in scene.runs().zip(&world.ledgers) {
        if rules_out(at, ledger) {
            continue;
        }
        let may_still_act = world.packets.iter().any(|packet| {
            let remembered = ledger.answer(Direction::Action, packet.round).is_some();
            packet.run == at && packet.may_act() && !remembered && !ledger.tombstone
        }) && ledger.done == 0;
        if scene.decisive(at) && (ledger.done > 0 || may_still_act) {
            return Some(Law::S11);
        }
        let depends = scene.def.descendants(run.step).contains(at.step);
        let undoable = scene.part(at).role == Role::Compensatable;
        if depends && undoable && (ledger.done > ledger.undone || may_still_act) {
            return Some(Law::S8);
        }
    }
    None
}

/// Is the step in the undo set, as long as its undo has not begun? It is by a success that was heard
/// or said by a person, and by a sending that may have left, unless a settled refusal was heard.
fn may_stand(saga: &Saga, at: RunRef) -> bool {
    saga.run(at).is_some_and(|run| {
        let left = run.action.as_ref().is_some_and(|action| action.left > 0);
        let may = match run.settled {
            Settled::Succeeded => true,
            Settled::Refused => false,
            Settled::Open | Settled::GivenUp | Settled::Unreachable => left,
        };
        may || run.undo.is_some()
    })
}

/// Has asking on told, or stopped? A barrier needs no asking; transients leave nothing to ask.
fn past_settling(scene: &Scene, saga: &Saga, at: RunRef) -> bool {
    let fenced = scene.part(at).fence == Some(Fence::Barrier);
    let Some(run) = saga.run(at).filter(|run| !fenced && run.undo.is_none()) else { return true };
    let asked = run.action.as_ref();
    let told = run.settled == Settled::Succeeded || asked.is_none_or(|a| a.doubtful.is_empty());
    // Without a fence only an answer will do.
    told || (scene.part(at).fence.is_none_or(|fence| fence != Fence::None)
        && run.settled == Settled::GivenUp)
}

/// What the arrival of this packet at its participant shows to be broken.
pub fn broken_by_arrival(world: &World, packet: &Packet) -> Option<Law> {
    let sendings = world.saga.run(packet.run).and_then(|run| run.sendings(packet.direction));
    let durable = sendings.is_some_and(|sendings| {
        packet.round <= sendings.round && packet.attempt <= sendings.attempts
    });
    (!durable).then_some(Law::S5)
}

/// What a tick breaks by what it says short of the next due time, or ever, where there is none.
fn broken_by_early_tick(scene: &Scene, saga: &Saga) -> Option<Law> {
    let wait = effects::next_due(&scene.def, saga, NOW).map_or(FOR_EVER, |due| due.since(NOW));
    let at = NOW + Millis(wait.0.checked_sub(1)?);
    let facts = told_by_tick(scene, &mut saga.clone(), at)?;
    let ends = facts.iter().any(|fact| matches!(fact, Event::Ended { .. }));
    Some(if ends && saga.state.ended() { Law::S3 } else { Law::S22 })
}

/// What a second tick at the same time would break.
pub fn broken_by_second_tick(scene: &Scene, saga: &Saga) -> Option<Law> {
    let mut saga = saga.clone();
    let again = told_by_tick(scene, &mut saga, NOW).is_some();
    let spins = effects::next_due(&scene.def, &saga, NOW).is_some_and(|due| due <= NOW);
    (again || spins).then_some(Law::S22)
}

/// What a tick says, if anything.
fn told_by_tick(scene: &Scene, saga: &mut Saga, at: Time) -> Option<Vec<Event>> {
    let (moment, mut facts) = (Moment { at, ..MOMENT }, Vec::new());
    let taken = decide(&scene.def, saga, moment, Input::Tick, &mut facts);
    (taken.is_err() || !facts.is_empty()).then_some(facts)
}

/// What is broken in a saga, whatever the participants did.
pub fn broken_in_saga(scene: &Scene, saga: &Saga) -> Option<Law> {
    let same = |a: &amends_core::saga::Attention, b: &amends_core::saga::Attention| {
        (a.run, a.direction, a.reason) == (b.run, b.direction, b.reason)
    };
    let twice = |(i, a)| saga.attention[..i].iter().any(|b| same(a, b));
    if saga.attention.iter().enumerate().any(twice) || attention::amiss(scene, saga) {
        return Some(Law::S21);
    }
    let owes = rules::live(&scene.def, saga);
    let busy = |run: &Run| match run.status {
        Status::Executing => true,
        Status::Compensating => !owes,
        _ => false,
    };
    if saga.state.ended() && saga.runs().any(|(_, run)| busy(run)) {
        return Some(Law::S3);
    }
    let wrongly = |e: &Exception| e.reason == ExceptionReason::Unproven && proven(saga, e.run);
    if saga.exceptions.iter().any(wrongly) {
        return Some(Law::S6);
    }
    let over = |at: StepIx| {
        matches!(saga.steps[at.get()], StepState::Skipped { .. } | StepState::Runs { .. })
    };
    if saga.state == State::Completed && !scene.def.indices().all(over) {
        return Some(Law::S2);
    }
    if !forged_changes_nothing(scene, saga) {
        return Some(Law::S15);
    }
    broken_by_early_tick(scene, saga)
}

/// What each ledger is judged by.
pub fn standings(scene: &Scene, saga: &Saga) -> Vec<Standing> {
    let standing = |at| Standing {
        ran: saga.run(at).is_some(),
        in_doubt: saga.run(at).is_some_and(|run| undone_in_doubt(scene, at, run)),
        excused: excused(saga, at),
        contradicted: seen_by_person(saga, at),
    };
    scene.runs().map(standing).collect()
}

/// What is broken in a state, whatever led there, by what the participants did.
pub fn broken_in(scene: &Scene, world: &World) -> Option<Law> {
    let saga = &world.saga;
    let (owes, turned) = (saga.live, saga.turned.is_some());
    for ((at, ledger), standing) in scene.runs().zip(&world.ledgers).zip(&saga.standings) {
        let Part { role, fence, .. } = scene.part(at);
        if ledger.undone > ledger.done {
            return Some(Law::S9);
        }
        let promised = fence.is_some() || !ledger.twin;
        if ledger.undone > 1 || (ledger.done > 1 && promised) {
            return Some(Law::S4);
        }
        if standing.excused {
            continue;
        }
        // Had anything been undone, its acknowledgement may have been heard late.
        if standing.in_doubt && ledger.undone == 0 {
            return Some(Law::S6);
        }
        let quiet = || !world.packets.iter().any(|packet| packet.run == at);
        let stands = ledger.done != ledger.undone;
        if saga.state == State::Failed && !owes && role == Role::Compensatable && stands && quiet()
        {
            return Some(Law::S1);
        }
        // A person may have seen and dismissed it.
        let acknowledged = world.left.verbs < scene.left.verbs;
        let forward_only = matches!(role, Role::Pivot | Role::Retriable);
        let told = standing.contradicted || acknowledged;
        if turned && forward_only && ledger.done > 0 && !told && quiet() {
            return Some(Law::S13);
        }
        let needed = forward_only || role == Role::Compensatable;
        let done = ledger.undone == 0 && ledger.done >= 1;
        if saga.state == State::Completed && standing.ran && needed && !done {
            return Some(Law::S2);
        }
    }
    None
}

/// Is there an answer that leaves nothing unproven? An undo that was answered 404 is none, whatever
/// else is known.
fn proven(saga: &Saga, at: RunRef) -> bool {
    let Some(run) = saga.run(at) else { return false };
    let ended = run.undo.as_ref().and_then(|undo| undo.end.as_ref());
    match ended {
        Some(UndoEnd::Acknowledged { undone: Some(false) }) => false,
        Some(UndoEnd::Acknowledged { undone: Some(true) }) => true,
        _ => matches!(run.settled, Settled::Succeeded | Settled::Refused),
    }
}

/// Was the step undone without anybody ever saying what its action came to? A barrier makes that
/// harmless, and so does an acknowledgement that something was undone.
fn undone_in_doubt(scene: &Scene, at: RunRef, run: &Run) -> bool {
    let fenced = scene.part(at).fence == Some(Fence::Barrier);
    let unheard = !matches!(run.settled, Settled::Succeeded | Settled::Refused);
    let in_doubt = run.action.as_ref().is_some_and(|action| !action.unresolved.is_empty());
    let ended = run.undo.as_ref().and_then(|undo| undo.end.as_ref());
    let unsaid = matches!(ended, Some(UndoEnd::Acknowledged { undone }) if *undone != Some(true));
    !fenced && unheard && in_doubt && unsaid
}

/// Does the saga say that it does not vouch for this run?
fn excused(saga: &Saga, at: RunRef) -> bool {
    saga.exceptions.iter().any(|exception| exception.run == at)
}

fn seen_by_person(saga: &Saga, at: RunRef) -> bool {
    saga.attention.iter().any(|a| a.run == Some(at) && a.reason == Reason::Contradicted)
}

/// S15: replies to what was never sent, by every name they could give it.
fn forged_changes_nothing(scene: &Scene, known: &Saga) -> bool {
    let mut saga = known.clone();
    let mut facts = Vec::new();
    let mut refused = |run: RunRef, direction, round, attempt| {
        let outcome = Outcome::Completed { result: scene.result.clone(), undone: Some(true) };
        let answer = Answer { run, direction, round, attempt, own_exchange: false, outcome };
        decide(&scene.def, &mut saga, MOMENT, Input::Answer(answer), &mut facts).is_err()
    };
    let beyond = RunRef::only(StepIx(scene.parts.len() as u8));
    let refused_all = known.runs().map(|(at, _)| at).chain([beyond]).all(|run| {
        [Direction::Action, Direction::Compensation].into_iter().all(|direction| {
            let sendings = known.run(run).and_then(|run| run.sendings(direction));
            let Some(sendings) = sendings else { return refused(run, direction, None, None) };
            refused(run, direction, Some(sendings.round + 1), None)
                && refused(run, direction, Some(sendings.round), Some(sendings.attempts + 1))
                && refused(run, direction, Some(0), None)
        })
    });
    refused_all && saga == *known
}

/// Is a run unproven?
pub fn unproven(saga: &Saga) -> bool {
    saga.exceptions.iter().any(|exception| exception.reason == ExceptionReason::Unproven)
}

/// Is a job, or an answer to one, under way?
pub fn is_callback(packet: &Packet) -> bool {
    matches!(packet.leg, Leg::Job | Leg::Callback(_))
}
