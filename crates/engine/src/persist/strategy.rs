//! Arbitrary events: one strategy for each variant, so that none is left to chance.

use std::ops::Range;
use std::sync::Arc;

use amends_core::choreography::Said;
use amends_core::event::{CommandRef, NewRound, Started};
use amends_core::saga::{Act, Cause, Exception, Fault, Pinned, Terms};
use amends_core::{Event, Millis, Payload, RunRef, SagaId, StepIx, Time};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::code::All;

/// So many frames of arbitrary events.
pub(super) fn history(frames: Range<usize>) -> impl Strategy<Value = Vec<(Time, Vec<Event>)>> {
    vec((time(), vec(event(), 1..6)), frames)
}

/// Any event, each variant as often as the others.
pub(super) fn event() -> impl Strategy<Value = Event> {
    Union::new(events())
}

macro_rules! strategies {
    ($($name:ident { $($member:tt: $strategy:expr),+ $(,)? })+) => {
        /// A strategy for each variant.
        pub(super) fn events() -> Vec<BoxedStrategy<Event>> {
            vec![$(one!($name { $($member: $strategy),+ })),+]
        }
    };
}

macro_rules! one {
    ($name:ident { 0: $strategy:expr }) => {
        $strategy.prop_map(Event::$name).boxed()
    };
    ($name:ident { $($member:ident: $strategy:expr),+ }) => {
        ($($strategy,)+).prop_map(|($($member,)+)| Event::$name { $($member),+ }).boxed()
    };
}

strategies! {
    Started { 0: started() }
    Readied { step: step(), deadline: time(), for_each: flag(), inputs: vec(of(payload()), 0..5) }
    Skipped { step: step(), for_each: flag() }
    ExpressionFailed { step: step(), failed: flag(), fault: fault() }
    Sent {
        command: command(),
        attempt: number(),
        until: time(),
        deadline: of(time()),
        terms: terms(),
    }
    NotSent { command: command(), attempt: number(), next_at: time(), fault: fault() }
    Accepted { command: command(), attempt: number(), until: time() }
    AttemptEnded {
        command: command(),
        attempt: number(),
        ending: code(),
        next_at: time(),
        fault: of(fault()),
    }
    ContractBroken { run: run(), note: text() }
    UnboundFound { run: run() }
    Completed { run: run(), result: payload() }
    Refused {
        run: run(),
        attempt: of(number()),
        settled: flag(),
        leaves: code(),
        next_at: time(),
        fault: fault(),
    }
    GivenUp { run: run(), unreachable: flag() }
    Overdue { run: run() }
    RoundOpened { command: command(), next_at: time(), why: new_round() }
    UndoAcknowledged { run: run(), undone: of(flag()) }
    DeadLettered { run: run(), redrives: number(), next_at: time() }
    Poisoned { run: run(), next_at: time() }
    SignalReceived { name: text(), body: payload() }
    SignalRefused { step: step(), fault: fault() }
    Turned { cause: cause() }
    Ended { state: code() }
    Paused { 0: act() }
    Resumed { 0: act() }
    OutageEnded { lasted: any::<u64>().prop_map(Millis) }
    Extended { run: of(run()), deadline: time(), act: act() }
    RetriedByHand { run: run(), direction: code(), act: act() }
    ActionResolved { run: run(), result: of(payload()), act: act() }
    ActionSkipped { run: run(), act: act() }
    UndoSettledByHand { run: run(), skipped: flag(), act: act() }
    AttentionRaised { run: of(run()), direction: code(), reason: code() }
    AttentionCleared { run: of(run()), direction: code(), reason: code(), act: of(act()) }
    Excepted { 0: exception() }
    Proven { run: run(), reason: code() }
    DeadlineMoved { deadline: time() }
    Heard {
        said: said(),
        by: text(),
        said_at: time(),
        result: of(payload()),
        fault: of(fault()),
        cause: of(cause()),
    }
    EndAsked { cause: cause() }
}

/// Near one another as in life, or anywhere at all.
pub(super) fn time() -> impl Strategy<Value = Time> {
    let near = 1_760_000_000_000..1_760_000_200_000u64;
    prop_oneof![4 => near, 1 => any::<u64>(), 1 => select(vec![0, u64::MAX])].prop_map(Time)
}

fn started() -> impl Strategy<Value = Started> {
    let pinned = (text(), number(), any::<[u8; 32]>())
        .prop_map(|(saga_type, version, hash)| Pinned { saga_type, version, hash });
    (any::<u128>(), pinned, any::<u8>(), payload(), of(text()), of(time()), flag()).prop_map(
        |(id, pinned, steps, data, business_key, deadline, choreographed)| Started {
            saga_id: SagaId(id),
            pinned,
            steps,
            data,
            business_key,
            deadline,
            choreographed,
        },
    )
}

fn exception() -> impl Strategy<Value = Exception> {
    let parts = (run(), code(), text());
    parts.prop_map(|(run, reason, note)| Exception { run, reason, note })
}

fn flag() -> impl Strategy<Value = bool> {
    any::<bool>()
}

fn step() -> impl Strategy<Value = StepIx> {
    prop_oneof![3 => 0..4u8, 1 => any::<u8>()].prop_map(StepIx)
}

fn run() -> impl Strategy<Value = RunRef> {
    (step(), prop_oneof![Just(0), any::<u8>()]).prop_map(|(step, run)| RunRef { step, run })
}

fn command() -> impl Strategy<Value = CommandRef> {
    let parts = (run(), code(), number());
    parts.prop_map(|(run, direction, round)| CommandRef { run, direction, round })
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..3u32, any::<u32>()]
}

fn terms() -> impl Strategy<Value = Terms> {
    (of(code()), any::<bool>()).prop_map(|(fence, flat)| Terms { fence, flat })
}

fn fault() -> impl Strategy<Value = Fault> {
    (of(text()), text()).prop_map(|(code, message)| Fault { code, message })
}

fn act() -> impl Strategy<Value = Act> {
    (text(), text()).prop_map(|(by, reason)| Act { by, reason })
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        run().prop_map(Cause::Step),
        act().prop_map(Cause::Cancelled),
        Just(Cause::Deadline)
    ]
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        Just(Said::Started),
        step().prop_map(Said::Completed),
        step().prop_map(Said::Skipped),
        step().prop_map(Said::NeverRan),
        step().prop_map(Said::Compensated),
        Just(Said::Failed),
    ]
}

fn new_round() -> impl Strategy<Value = NewRound> {
    prop_oneof![
        Just(NewRound::Refused),
        Just(NewRound::LateSuccess),
        (payload(), act()).prop_map(|(body, act)| NewRound::Edited { body, act }),
    ]
}

fn text() -> impl Strategy<Value = Arc<str>> {
    ".{0,40}".prop_map(Arc::from)
}

fn payload() -> impl Strategy<Value = Payload> {
    vec(any::<u8>(), 0..200).prop_map(Payload::from)
}

fn code<T: All + Copy + std::fmt::Debug>() -> impl Strategy<Value = T> {
    select(T::ALL)
}
