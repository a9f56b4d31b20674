//! Fixed events for the golden files: every event with the fewest and with the most of its fields,
//! and every code of every enumeration. What stands here belongs to a format: add, never change.

use std::fmt::Debug;

use amends_core::choreography::Said;
use amends_core::definition::Fence;
use amends_core::event::{CommandRef, Ending, NewRound, Started};
use amends_core::saga::{
    Act, Cause, Exception, ExceptionReason, Fault, Pinned, Reason, Status, Terms,
};
use amends_core::{Direction, Event, Millis, RunRef, SagaId, StepIx, Time};

use super::code::All;

/// The time of every sample's frame.
pub(super) const AT: Time = Time(1_760_000_000_000);

/// A golden file's line: its label, and the events of its frame.
pub(super) type Sample = (String, Vec<Event>);

type Labelled = (&'static str, Vec<Event>);

/// All of them.
pub(super) fn samples() -> Vec<Sample> {
    let labelled = [
        beginnings(),
        attempts(),
        answers(),
        undoing(),
        of_the_saga(),
        heard(),
        by_hand(),
        frames(),
    ];
    let labelled = labelled.into_iter().flatten().map(|(label, events)| (label.into(), events));
    labelled.chain(codes()).collect()
}

fn beginnings() -> Vec<Labelled> {
    let hash = std::array::from_fn(|i| i as u8);
    let lean = Started {
        saga_id: SagaId(0x0199_c3f1_2ab4_7cde_8f01_2345_6789_abcd),
        pinned: Pinned { saga_type: "Order".into(), version: 1, hash },
        steps: 4,
        data: "{}".into(),
        business_key: None,
        deadline: None,
        choreographed: false,
    };
    let choreographed = Started { choreographed: true, ..lean.clone() };
    let mut full = lean.clone();
    full.pinned.version = 300;
    full.business_key = Some("köln-7".into());
    full.deadline = Some(in_ms(86_400_000));
    let inputs = vec![None, Some("".into()), Some(r#"{"n":1}"#.into())];
    let readied = |for_each, inputs| Event::Readied { step: STEP, deadline: DUE, for_each, inputs };
    let failed = |failed, fault| Event::ExpressionFailed { step: STEP, failed, fault };
    vec![
        ("Started lean", vec![Event::Started(lean)]),
        ("Started full", vec![Event::Started(full)]),
        ("Started among services", vec![Event::Started(choreographed)]),
        ("Readied lean", vec![readied(false, vec![None])]),
        ("Readied full", vec![readied(true, inputs)]),
        ("Readied without a run", vec![readied(true, Vec::new())]),
        ("Skipped lean", vec![Event::Skipped { step: STEP, for_each: false }]),
        ("Skipped full", vec![Event::Skipped { step: STEP, for_each: true }]),
        ("ExpressionFailed lean", vec![failed(false, wordless())]),
        ("ExpressionFailed full", vec![failed(true, fault())]),
        ("UnboundFound lean", vec![Event::UnboundFound { run: ONLY }]),
        ("UnboundFound full", vec![Event::UnboundFound { run: THIRD }]),
    ]
}

fn attempts() -> Vec<Labelled> {
    let sent = |command, attempt, deadline, terms| Event::Sent {
        command,
        attempt,
        until: in_ms(10_000),
        deadline,
        terms,
    };
    let ended = |command, attempt, fault| Event::AttemptEnded {
        command,
        attempt,
        ending: Ending::NamedTransient,
        next_at: in_ms(200),
        fault,
    };
    let not_sent =
        |command, attempt, fault| Event::NotSent { command, attempt, next_at: in_ms(200), fault };
    let accepted = |command, attempt| Event::Accepted { command, attempt, until: in_ms(120_000) };
    let no_terms = Terms { fence: None, flat: false };
    let terms = Terms { fence: Some(Fence::Barrier), flat: true };
    vec![
        ("Sent lean", vec![sent(ACTION, 1, None, no_terms)]),
        ("Sent full", vec![sent(SECOND_UNDO, 300, Some(DUE), terms)]),
        ("NotSent lean", vec![not_sent(ACTION, 1, wordless())]),
        ("NotSent full", vec![not_sent(SECOND_UNDO, 2, fault())]),
        ("Accepted lean", vec![accepted(ACTION, 1)]),
        ("Accepted full", vec![accepted(SECOND_UNDO, 2)]),
        ("AttemptEnded lean", vec![ended(ACTION, 1, None)]),
        ("AttemptEnded full", vec![ended(SECOND_UNDO, 2, Some(fault()))]),
    ]
}

fn answers() -> Vec<Labelled> {
    let refused = |run, attempt, settled, fault| Event::Refused {
        run,
        attempt,
        settled,
        leaves: Status::Failed,
        next_at: AT,
        fault,
    };
    vec![
        ("ContractBroken lean", vec![Event::ContractBroken { run: ONLY, note: "".into() }]),
        ("ContractBroken full", vec![Event::ContractBroken { run: THIRD, note: "302".into() }]),
        ("Completed lean", vec![Event::Completed { run: ONLY, result: "".into() }]),
        ("Completed full", vec![Event::Completed { run: THIRD, result: r#"{"id":7}"#.into() }]),
        ("Refused lean", vec![refused(ONLY, None, false, wordless())]),
        ("Refused full", vec![refused(THIRD, Some(1), true, fault())]),
        ("GivenUp lean", vec![Event::GivenUp { run: ONLY, unreachable: false }]),
        ("GivenUp full", vec![Event::GivenUp { run: THIRD, unreachable: true }]),
        ("Overdue lean", vec![Event::Overdue { run: ONLY }]),
        ("Overdue full", vec![Event::Overdue { run: THIRD }]),
    ]
}

fn undoing() -> Vec<Labelled> {
    let opened = |command, why| Event::RoundOpened { command, next_at: AT, why };
    let edited = NewRound::Edited { body: r#"{"n":2}"#.into(), act: act() };
    let dead = |run, redrives| Event::DeadLettered { run, redrives, next_at: in_ms(10_000) };
    let poisoned = |run| Event::Poisoned { run, next_at: in_ms(3_600_000) };
    let said = |undone| Event::UndoAcknowledged { run: THIRD, undone };
    vec![
        ("RoundOpened refused", vec![opened(ACTION, NewRound::Refused)]),
        ("RoundOpened late success", vec![opened(SECOND_UNDO, NewRound::LateSuccess)]),
        ("RoundOpened edited", vec![opened(SECOND_UNDO, edited)]),
        ("UndoAcknowledged lean", vec![Event::UndoAcknowledged { run: ONLY, undone: None }]),
        ("UndoAcknowledged full", vec![said(Some(false)), said(Some(true))]),
        ("DeadLettered lean", vec![dead(ONLY, 0)]),
        ("DeadLettered full", vec![dead(THIRD, 5)]),
        ("Poisoned lean", vec![poisoned(ONLY)]),
        ("Poisoned full", vec![poisoned(THIRD)]),
    ]
}

fn of_the_saga() -> Vec<Labelled> {
    let body = r#"{"approved":true}"#;
    let refused = |fault| Event::SignalRefused { step: STEP, fault };
    let turned = |cause| Event::Turned { cause };
    let excepted = |run, note: &str| {
        Event::Excepted(Exception { run, reason: ExceptionReason::Unproven, note: note.into() })
    };
    vec![
        ("SignalReceived", vec![Event::SignalReceived { name: "ok".into(), body: body.into() }]),
        ("SignalRefused lean", vec![refused(wordless())]),
        ("SignalRefused full", vec![refused(fault())]),
        ("Turned for a step", vec![turned(Cause::Step(ONLY)), turned(Cause::Step(THIRD))]),
        ("Turned by a cancel", vec![turned(Cause::Cancelled(act()))]),
        ("Turned by the deadline", vec![turned(Cause::Deadline)]),
        ("OutageEnded", vec![Event::OutageEnded { lasted: Millis(5_001) }]),
        ("Excepted lean", vec![excepted(ONLY, "")]),
        ("Excepted full", vec![excepted(THIRD, "no answer")]),
    ]
}

/// Of a saga that its services run among themselves.
fn heard() -> Vec<Labelled> {
    let heard = |said, result, fault, cause| Event::Heard {
        said,
        by: "Payment".into(),
        said_at: in_ms(7),
        result,
        fault,
        cause,
    };
    let of_a_step = [Said::Completed, Said::Skipped, Said::NeverRan, Said::Compensated];
    let words = [Said::Started, Said::Failed].into_iter();
    let words = words.chain(of_a_step.map(|said| said(STEP)));
    let cause = Cause::Cancelled(act());
    vec![
        ("Heard lean", words.map(|said| heard(said, None, None, None)).collect()),
        ("Heard with a result", vec![heard(Said::Completed(STEP), Some("{}".into()), None, None)]),
        ("Heard full", vec![heard(Said::Failed, None, Some(fault()), Some(Cause::Step(THIRD)))]),
        ("EndAsked", vec![Event::EndAsked { cause }]),
    ]
}

fn by_hand() -> Vec<Labelled> {
    let extended = |run| Event::Extended { run, deadline: DUE, act: act() };
    let retried = |run, direction| Event::RetriedByHand { run, direction, act: act() };
    let resolved = |run, result| Event::ActionResolved { run, result, act: act() };
    let settled = |run, skipped| Event::UndoSettledByHand { run, skipped, act: act() };
    let skipped = |run| Event::ActionSkipped { run, act: act() };
    let cleared = |run, direction, act| Event::AttentionCleared {
        run,
        direction,
        reason: Reason::Contradicted,
        act,
    };
    vec![
        ("Paused", vec![Event::Paused(act())]),
        ("Resumed", vec![Event::Resumed(Act { by: "".into(), reason: "".into() })]),
        ("Extended lean", vec![extended(None)]),
        ("Extended full", vec![extended(Some(THIRD))]),
        ("RetriedByHand lean", vec![retried(ONLY, Direction::Action)]),
        ("RetriedByHand full", vec![retried(THIRD, Direction::Compensation)]),
        ("ActionResolved lean", vec![resolved(ONLY, None)]),
        ("ActionResolved full", vec![resolved(THIRD, Some("{}".into()))]),
        ("ActionSkipped lean", vec![skipped(ONLY)]),
        ("ActionSkipped full", vec![skipped(THIRD)]),
        ("UndoSettledByHand lean", vec![settled(ONLY, false)]),
        ("UndoSettledByHand full", vec![settled(THIRD, true)]),
        ("DeadlineMoved", vec![Event::DeadlineMoved { deadline: AT }]),
        ("AttentionCleared lean", vec![cleared(None, Direction::Action, None)]),
        ("AttentionCleared full", vec![cleared(Some(THIRD), Direction::Compensation, Some(act()))]),
    ]
}

/// Every code of every enumeration.
fn codes() -> Vec<Sample> {
    let ended = |state| Event::Ended { state };
    let raised =
        |reason| Event::AttentionRaised { run: None, direction: Direction::Action, reason };
    let directed =
        |direction| Event::AttentionRaised { run: Some(ONLY), direction, reason: Reason::Poison };
    let proven = |reason| Event::Proven { run: ONLY, reason };
    let ending = |ending| Event::AttemptEnded {
        command: ACTION,
        attempt: 1,
        ending,
        next_at: AT,
        fault: None,
    };
    let fence = |fence| Event::Sent {
        command: ACTION,
        attempt: 1,
        until: AT,
        deadline: None,
        terms: Terms { fence: Some(fence), flat: false },
    };
    let leaves = |leaves| Event::Refused {
        run: ONLY,
        attempt: None,
        settled: false,
        leaves,
        next_at: AT,
        fault: wordless(),
    };
    [
        each("direction", directed),
        each("ending", ending),
        each("exception", proven),
        each("fence", fence),
        each("attention", raised),
        each("state", ended),
        each("status", leaves),
    ]
    .concat()
}

/// What the framing itself has to hold.
fn frames() -> Vec<Labelled> {
    let text = "a".repeat(200);
    let long = Event::ContractBroken { run: ONLY, note: text.as_str().into() };
    let extreme = |deadline| Event::Extended { run: None, deadline, act: act() };
    vec![
        ("a frame of more than 127 bytes", vec![long]),
        (
            "instants before the frame and at the limit",
            vec![extreme(Time(AT.0 - 1)), extreme(Time(0)), extreme(Time(u64::MAX))],
        ),
    ]
}

const STEP: StepIx = StepIx(2);
const ONLY: RunRef = RunRef::only(StepIx(0));
const THIRD: RunRef = RunRef { step: StepIx(63), run: 2 };
const ACTION: CommandRef = CommandRef { run: ONLY, direction: Direction::Action, round: 1 };
const SECOND_UNDO: CommandRef =
    CommandRef { run: THIRD, direction: Direction::Compensation, round: 2 };
const DUE: Time = in_ms(120_000);

const fn in_ms(n: u64) -> Time {
    Time(AT.0 + n)
}

fn wordless() -> Fault {
    Fault { code: None, message: "".into() }
}

fn fault() -> Fault {
    Fault::new("LOCKED", "row 7 is locked")
}

fn act() -> Act {
    Act { by: "ann".into(), reason: "ticket 12".into() }
}

fn each<T: All + Copy + Debug>(what: &str, event: impl Fn(T) -> Event) -> Vec<Sample> {
    T::ALL.iter().map(|&code| (format!("{what} {code:?}"), vec![event(code)])).collect()
}
