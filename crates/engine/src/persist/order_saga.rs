//! A saga of four steps as the machine runs it: what the tests and the example measure by.

use std::sync::Arc;

use amends_core::definition::{
    Backoff, Command, Computed, Fence, Jitter, Kind, Retry, Step, UndoPolicy, Work,
};
use amends_core::event::Started;
use amends_core::input::{Answer, Outcome};
use amends_core::saga::{Fault, Pinned, Terms};
use amends_core::{
    Definition, Direction, Event, Input, Millis, Moment, Payload, Saga, SagaId, StepIx, StepSet,
    Time, decide, effects, start,
};

/// What each decision recorded, and when.
pub type Decisions = Vec<(Time, Vec<Event>)>;

/// About 200 bytes, as in the benchmarks.
const DATA: &str = r#"{"order_id":"ord-2024-000417","customer_id":"cus-88121","currency":"EUR","total":12995,"items":[{"sku":"A-1001","quantity":2,"price":4500},{"sku":"B-2002","quantity":1,"price":3995}],"express":false}"#;
const RESULT: &str = r#"{"reference":"ref-7f3a09c2","status":"ok"}"#;

/// Runs a saga to its end: the step `refused` refuses, every other command is answered "completed"
/// three milliseconds after it was sent.
pub fn run(refused: Option<StepIx>) -> (Saga, Decisions) {
    let def = definition();
    let mut now = Moment { at: Time(1_760_000_000_000), jitter: 0 };
    let (mut saga, facts) = start(&def, started(&def), now);
    let mut decisions = vec![(now.at, facts)];
    loop {
        let Some(owed) = effects::owed(&def, &saga).next() else {
            return (saga, decisions);
        };
        let terms = Terms { fence: Some(Fence::Barrier), flat: true };
        let room = Input::Room { run: owed.run, direction: owed.direction, terms };
        let outcome = if refused == Some(owed.run.step) && owed.direction == Direction::Action {
            Outcome::Refused(Fault::new("OUT_OF_STOCK", "two of A-1001 are not there"))
        } else {
            Outcome::Completed { result: RESULT.into(), undone: None }
        };
        let answer = Answer {
            run: owed.run,
            direction: owed.direction,
            round: Some(1),
            attempt: Some(1),
            own_exchange: true,
            outcome,
        };
        for (pause, input) in [(1, room), (3, Input::Answer(answer))] {
            now.at = now.at + Millis(pause);
            let mut facts = Vec::new();
            decide(&def, &mut saga, now, input, &mut facts).expect("the saga takes its own course");
            decisions.push((now.at, facts));
        }
    }
}

/// How many bytes of these events are payloads: the user's own, which no encoding can shorten.
pub fn payload_bytes(decisions: &Decisions) -> usize {
    let size = |payload: &Payload| payload.bytes().len();
    let of_event = |event: &Event| match event {
        Event::Started(started) => size(&started.data),
        Event::Completed { result, .. } => size(result),
        _ => 0,
    };
    decisions.iter().flat_map(|(_, events)| events).map(of_event).sum()
}

fn started(def: &Definition) -> Started {
    let pinned =
        Pinned { saga_type: Arc::clone(def.saga_type()), version: def.version(), hash: [0xa5; 32] };
    Started {
        saga_id: SagaId(0x0199_c3f1_2ab4_7cde_8f01_2345_6789_abcd),
        pinned,
        steps: def.steps().len() as u8,
        data: DATA.into(),
        business_key: Some("ord-2024-000417".into()),
        deadline: None,
        choreographed: false,
    }
}

fn definition() -> Definition {
    let names = ["reserve_inventory", "process_payment", "create_shipment", "send_confirmation"];
    let mut before = StepSet::EMPTY;
    let steps = (0..).zip(names).map(|(i, name)| {
        let step = step(name, before);
        before = [StepIx(i)].into_iter().collect();
        step
    });
    Definition::new("OrderFulfillment".into(), 3, None, steps.collect()).expect("well-formed")
}

fn step(name: &str, after: StepSet) -> Step {
    let command = |name: &str| Command { service: "Service".into(), name: name.into() };
    let backoff = Backoff {
        initial: Millis(200),
        factor_percent: 200,
        max: Millis::secs(10),
        jitter: Jitter::Full,
    };
    Step {
        name: name.into(),
        kind: Kind::Compensatable,
        work: Work::Command { action: command("Do"), compensation: Some(command("Undo")) },
        after,
        computed: Computed::default(),
        timeout: Millis::secs(10),
        accepted_timeout: None,
        deadline: Millis::mins(2),
        retry: Retry { max_attempts: None, backoff },
        fence: None,
        undo: UndoPolicy { timeout: Millis::secs(30), max_attempts: 10, backoff },
    }
}
