//! What a function of the process can say, and what is made of it.

use std::sync::Arc;
use std::time::Duration;

use amends_transport::{
    Answer, CommandView, Delivery, Fail, InProcess, Outgoing, Patience, RawJson, Replies, Ticket,
    Transport,
};
use amends_wire::{
    ActionOutcome, CommandBody, Direction, FailureCodes, Fault, Outcome, SagaId, Undo,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

const DATA: &[u8] = br#"{"order_id":"o-1","n":2}"#;

fn outgoing(direction: Direction) -> Outgoing {
    let undo = Undo {
        action_round: 1,
        outcome: ActionOutcome::Completed,
        original_result: Some(br#"{"id":"r-1"}"#),
    };
    let body = CommandBody {
        saga_id: SagaId(1),
        saga_type: "T",
        step_name: "s",
        command: "S.Act",
        round: 1,
        data: DATA,
        flat: true,
        undo: (direction == Direction::Compensation).then_some(undo),
    };
    Outgoing {
        ticket: Ticket { saga_id: 1, step: 0, run: 0, direction, round: 1, attempt: 3 },
        service: "S".into(),
        command: "S.Act".into(),
        saga_type: "T".into(),
        step_name: "s".into(),
        body: body.render().unwrap(),
        deadline_unix_ms: 5,
        patience: Patience {
            timeout: Duration::from_secs(60),
            keep_open_for: Duration::from_secs(60),
        },
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(FailureCodes::default()),
    }
}

async fn comes_to(transport: InProcess, direction: Direction) -> Outcome {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let replies = Replies::new(move |delivery| {
        let _ = sender.send(delivery);
    });
    transport.send(outgoing(direction), replies);
    match ended.recv().await.unwrap() {
        Delivery::Ended { outcome, .. } => outcome,
        other => panic!("{other:?}"),
    }
}

async fn answering<A: Into<Answer> + Send + 'static>(
    direction: Direction,
    answer: Result<A, Fail>,
) -> Outcome
where
    Result<A, Fail>: Clone + Sync,
{
    let transport = InProcess::new(Handle::current()).handle("S.Act", move |_| {
        let answer = answer.clone();
        async move { answer }
    });
    comes_to(transport, direction).await
}

#[tokio::test]
async fn a_function_reads_its_command() {
    let act = |command: CommandView| async move {
        let data: Value = command.data_as()?;
        assert_eq!(command.data(), DATA);
        assert_eq!(command.saga_id(), "00000000-0000-0000-0000-000000000001");
        assert_eq!(command.idempotency_key(), format!("{}/s/compensation", command.saga_id()));
        assert_eq!((command.saga_type(), command.step_name(), command.attempt()), ("T", "s", 3));
        assert_eq!(command.original_result().as_deref(), Some(br#"{"id":"r-1"}"#.as_slice()));
        Ok(json!({ "order": data["order_id"] }))
    };
    let transport = InProcess::new(Handle::current()).handle("S.Act", act);
    let result = Some(Bytes::from_static(br#"{"order":"o-1"}"#));
    let outcome = comes_to(transport, Direction::Compensation).await;
    assert_eq!(outcome, Outcome::Completed { result, undone: None });
}

#[tokio::test]
async fn input_that_does_not_fit_is_refused() {
    let act = |command: CommandView| async move {
        let _: Vec<u8> = command.data_as()?;
        Ok(())
    };
    let transport = InProcess::new(Handle::current()).handle("S.Act", act);
    match comes_to(transport, Direction::Action).await {
        Outcome::Refused { error } => assert_eq!(error.code.as_deref(), Some("BAD_INPUT")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_panic_before_or_after_the_first_wait_is_unknown() {
    let early = InProcess::new(Handle::current()).handle("S.Act", |command| {
        assert_eq!(command.attempt(), 0, "breaks before there is a future");
        async { Ok(()) }
    });
    let late = InProcess::new(Handle::current()).handle("S.Act", |command| async move {
        tokio::task::yield_now().await;
        assert_eq!(command.attempt(), 0, "breaks in the middle");
        Ok(())
    });
    for transport in [early, late] {
        let outcome = comes_to(transport, Direction::Action).await;
        assert!(matches!(outcome, Outcome::Unknown { contract: None, .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn any_error_that_is_passed_on_is_unknown() {
    let act = |_| async {
        let number: u8 = "many".parse()?;
        Ok(json!(number))
    };
    let transport = InProcess::new(Handle::current()).handle("S.Act", act);
    let outcome = comes_to(transport, Direction::Action).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_command_that_nobody_carries_out_is_not_sent() {
    let outcome = comes_to(InProcess::new(Handle::current()), Direction::Action).await;
    assert_eq!(outcome, Outcome::not_sent("no function carries out S.Act; register one"));
}

#[tokio::test]
async fn a_result_must_be_json_of_a_bearable_size() {
    let raw = |text: &str| Ok(RawJson(Bytes::from(text.to_owned())));
    let outcome = answering(Direction::Action, raw("null")).await;
    assert_eq!(outcome, Outcome::Completed { result: None, undone: None });
    let large = format!("\"{}\"", "x".repeat(amends_wire::REPLY_BYTES_MAX));
    for text in ["", "{", "1 2", &large] {
        let outcome = answering(Direction::Action, raw(text)).await;
        assert!(matches!(outcome, Outcome::Unknown { contract: Some(_), .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_action_has_nothing_to_undo() {
    for answer in [Answer::Undone, Answer::Gone] {
        let outcome = answering(Direction::Action, Ok(answer)).await;
        assert!(matches!(outcome, Outcome::Unknown { contract: Some(_), .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_running_first_copy_is_no_word_of_no_effect() {
    let running = Fault::coded("IN_PROGRESS", "");
    let fail = Fail::Transient { error: running.clone(), retry_after: None };
    let outcome = answering::<()>(Direction::Action, Err(fail)).await;
    let expected = Outcome::Transient { error: running, named: false, retry_after: None };
    assert_eq!(outcome, expected);
}
