//! Callbacks as participants post them: twice, early, to the wrong place, too many.

use std::sync::Arc;

use amends_transport::{Patience, Ticket};
use amends_wire::{Direction, FailureCodes};
use bytes::Bytes;

use super::*;

const SAGA: u128 = 7;

/// Longer than any test, which never waits for it.
const LONG: Duration = Duration::from_secs(3_600);

fn sending(direction: Direction) -> Outgoing {
    Outgoing {
        ticket: Ticket { saga_id: SAGA, step: 0, run: 0, direction, round: 1, attempt: 1 },
        service: "X".into(),
        command: "X.Do".into(),
        saga_type: "S".into(),
        step_name: "pay".into(),
        body: Bytes::from_static(b"{}"),
        deadline_unix_ms: 0,
        patience: Patience { timeout: LONG, keep_open_for: LONG },
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(FailureCodes::default()),
    }
}

struct Stage {
    callbacks: Callbacks,
}

impl Stage {
    fn new() -> Self {
        let callbacks = Callbacks::at("http://us:1/", &[7; 32]).expect("a long key");
        Self { callbacks }
    }

    fn send(&self) -> (Place, String) {
        let mut outgoing = sending(Direction::Action);
        let place = self.callbacks.open(&mut outgoing);
        (place, outgoing.reply_to.expect("an address"))
    }

    /// Posts a reply to an address, as the door hands it on.
    fn post(&self, address: &str, body: &str) -> Result<(), Refusal> {
        let token = address.strip_prefix("http://us:1/v1/replies/").expect("an address of ours");
        let command = self.callbacks.0.key.verify(token).expect("a token of ours");
        let body = Bytes::from(body.to_owned());
        let reply = Reply::find(&(), &body).map_err(|error| error.to_string());
        let reply = reply.and_then(|reply| reply.ok_or_else(|| "no reply by name".to_owned()));
        self.callbacks.take(Posted { command, reply, body })
    }
}

fn done(result: u32) -> String {
    format!(r#"{{"type": "SagaStepCompleted", "result": {result}}}"#)
}

fn result(callback: Option<&Callback>) -> String {
    match callback.map(|callback| &callback.says) {
        Some(Ok(Outcome::Completed { result: Some(result), .. })) => {
            String::from_utf8_lossy(result).into_owned()
        }
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_sending_has_an_address_of_its_own_and_is_answered_there() {
    let stage = Stage::new();
    let ((first, to_first), (second, to_second)) = (stage.send(), stage.send());
    assert_ne!(to_first, to_second);
    stage.post(&to_second, &done(2)).unwrap();
    stage.post(&to_first, &done(1)).unwrap();
    stage.post(&to_first, &done(1)).unwrap();
    let answer = stage.callbacks.answer(first, LONG).await;
    assert_eq!(result(answer.as_ref()), "1");
    assert_eq!(result(stage.callbacks.answer(second, LONG).await.as_ref()), "2");
    let (_, all) = stage.callbacks.settle(first).expect("it was open");
    assert_eq!(all.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_callback_answers_two_copies_and_an_old_one_no_new_sending() {
    let stage = Stage::new();
    let ((first, _), (_, to_second)) = (stage.send(), stage.send());
    stage.post(&to_second, &done(1)).unwrap();
    let answer = stage.callbacks.answer(first, LONG).await.expect("the copy's");
    assert!(answer.to_copy);
    assert_eq!(result(Some(&answer)), "1");
    let (third, _) = stage.send();
    assert!(stage.callbacks.answer(third, LONG).await.is_none(), "it was answered before");
    // Later in the day the service answers the third at the first address that it was told.
    stage.post(&to_second, &done(1)).unwrap();
    assert!(stage.callbacks.answer(third, LONG).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_not_now_speaks_for_its_own_sending_alone() {
    let stage = Stage::new();
    let ((first, to_first), (second, _)) = (stage.send(), stage.send());
    let not_now = r#"{"type": "SagaStepFailed", "error": "busy", "retryable": true}"#;
    stage.post(&to_first, not_now).unwrap();
    assert!(stage.callbacks.answer(second, LONG).await.is_none());
    let answer = stage.callbacks.answer(first, LONG).await.expect("its own");
    assert!(matches!(answer.says, Ok(Outcome::Transient { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_and_shown_and_is_no_answer() {
    let stage = Stage::new();
    let (place, address) = stage.send();
    for (body, words) in [
        (r#"{"type": "SagaCompensationCompleted"}"#, "the other direction"),
        (r#"{"type": "SagaStepCompleted", "step_name": "ship"}"#, "another step"),
        (r#"{"type": "SagaStepCompleted", "saga_id": "00000000-0000-0000-0000-000000000001"}"#, ""),
    ] {
        let refusal = stage.post(&address, body).expect_err(body);
        assert_eq!(refusal.code, Code::MadeUpReply);
        assert!(refusal.detail.contains(words), "{refusal:?}");
    }
    stage.post(&address, "{}").expect("the door itself refuses it");
    assert!(stage.callbacks.answer(place, LONG).await.is_none());
    let (_, all) = stage.callbacks.settle(place).expect("it was open");
    assert_eq!(all.iter().filter(|callback| callback.says.is_err()).count(), 4);
}

#[test]
fn callbacks_have_a_bound_and_give_their_room_back() {
    let stage = Stage::new();
    let (place, address) = stage.send();
    for _ in 0..PER_SENDING_MAX {
        stage.post(&address, &done(1)).unwrap();
    }
    let refusal = stage.post(&address, &done(1)).expect_err("one too many");
    assert_eq!(refusal.code, Code::Overloaded);
    assert!(stage.callbacks.book().bytes > 0);
    stage.callbacks.settle(place).expect("it was open");
    assert_eq!(stage.callbacks.book().bytes, 0);
    assert_eq!(stage.post(&address, &done(1)), Ok(()), "late, and nobody's");
    assert!(stage.callbacks.settle(place).is_none());

    let (_, address) = stage.send();
    let large = format!(r#"{{"type": "SagaStepCompleted", "result": "{}"}}"#, "x".repeat(1 << 19));
    let mut taken = 0;
    let (mut address, mut refusal) = (address, Ok(()));
    while refusal.is_ok() && taken < BYTES_MAX {
        refusal = stage.post(&address, &large);
        taken += large.len();
        address = stage.send().1;
    }
    assert_eq!(refusal.expect_err("too much").code, Code::Overloaded);
    assert_eq!(taken, (BYTES_MAX / large.len() + 1) * large.len());
}
