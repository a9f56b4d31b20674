//! Sagas and time: retries, time-outs, deadlines of days, parking, dead letters. The runtime's clock
//! is paused, so that a wait takes no time and the same test is the same every time.

mod shop;

use std::time::Duration;

use amends_core::saga::{ExceptionReason, Reason, State, Status};
use amends_engine::{Ask, AskError, Engine, Handle, ReplyIn, SagaVerb};
use amends_store::memory::Disk;
use amends_store::{Query, StuckFilter};
use bytes::Bytes;
use serde_json::json;
use shop::{
    Ledger, begin, deployment, end, engine, engine_with, look, participants_by_message, run, verb,
};

const ORDER: &str = r#"
saga: Order
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

const APPROVAL: &str = r#"
saga: Order
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - name: approve
    signal: approval
    deadline: 3d
    on_deadline: refuse
    refuse_when: "${ signal.approved == false }"
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_tried_again_with_the_same_key_and_bytes() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let saga = run(&engine.handle(), json!({"Payment.Charge": "busy 3"})).await;
    assert_eq!(saga.state, State::Completed);
    let asked: Vec<_> =
        ledger.asked(saga.id).into_iter().filter(|e| e.command == "Payment.Charge").collect();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|e| e.key == asked[0].key && e.body == asked[0].body));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_step_that_never_answers_is_given_up_and_undone() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let saga = run(&engine.handle(), json!({"Payment.Charge": "hang"})).await;
    assert_eq!((saga.state, saga.clean()), (State::Failed, true));
    let did = ledger.done(saga.id);
    assert_eq!(did, ["Inventory.Reserve", "Payment.Refund", "Inventory.Release"]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_attempts_time_out_still_counts() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let saga = run(&engine.handle(), json!({"Payment.Charge": "late 1"})).await;
    assert_eq!(saga.state, State::Completed);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_does_not_come_in_three_days_refuses() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, APPROVAL).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({})).await;
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    assert_eq!(handle.health().sagas_in_memory, 0, "it is parked");
    assert!(!look(&handle, saga).await.state.ended());
    let ended = end(&handle, saga).await;
    assert_eq!(ended.state, State::Failed);
    let days = ended.ended_at.unwrap().since(ended.created_at).0 as f64 / 86_400_000.0;
    assert!((3.0..3.01).contains(&days), "{days} days");
    assert_eq!(ledger.done(saga), ["Inventory.Reserve", "Inventory.Release"]);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_saga_takes_its_signal() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, APPROVAL).await;
    let handle = engine.handle();
    for (body, state) in
        [(r#"{"approved":true}"#, State::Completed), (r#"{"approved":false}"#, State::Failed)]
    {
        let saga = begin(&handle, json!({})).await;
        tokio::time::sleep(Duration::from_secs(60 * 60)).await;
        assert_eq!(handle.health().sagas_in_memory, 0, "it is parked");
        let signal = Ask::Signal { name: "approval".into(), body: body.into() };
        handle.ask(saga, signal, None).await.unwrap();
        assert_eq!(end(&handle, saga).await.state, state);
    }
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_for_ever_is_a_dead_letter_then_poison_and_a_person_resolves_it() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    let data = json!({"Payment.Charge": "refuse", "Inventory.Release": "busy"});
    let saga = begin(&handle, data).await;
    let reasons = attention_until(&handle, saga, Reason::Poison).await;
    assert!(reasons.contains(&Reason::CompensationFailed), "{reasons:?}");
    let tries =
        ledger.asked(saga).iter().filter(|entry| entry.command == "Inventory.Release").count();
    assert_eq!(tries, 10 + 5, "ten by the undo policy, five by the redriver");
    let resolve =
        SagaVerb::Resolve { step: "reserve".into(), completed: Some("null".into()), force: false };
    handle.ask(saga, verb(resolve), None).await.unwrap();
    let ended = end(&handle, saga).await;
    assert_eq!(ended.state, State::Failed);
    assert_eq!(ended.exceptions[0].reason, ExceptionReason::ByHand);
    assert!(ended.attention.is_empty());
    engine.stop().await;
}

/// Every reason that the saga had attention for until it had this one.
async fn attention_until(
    handle: &Handle,
    saga: amends_core::SagaId,
    reason: Reason,
) -> Vec<Reason> {
    let mut seen = Vec::new();
    for _ in 0..10_000 {
        for attention in &look(handle, saga).await.attention {
            if !seen.contains(&attention.reason) {
                seen.push(attention.reason);
            }
        }
        if seen.contains(&reason) {
            return seen;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{reason:?} never came: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_accepted_command_is_answered_by_callback() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"Payment.Charge": "later"})).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(look(&handle, saga).await.state, State::Pending, "its time-out has passed");
    let body = json!({
        "type": "SagaStepCompleted",
        "saga_id": saga.to_string(),
        "step_name": "pay",
        "result": {"payment_id": "p-1"},
    });
    let raw = Bytes::from(body.to_string());
    let reply = amends_wire::Reply::parse(&(), &raw).unwrap();
    let source = "callback".to_owned();
    let reply_in = ReplyIn { reply, token: None, services: None, source, raw };
    handle.reply(reply_in.clone()).await.unwrap();
    assert_eq!(end(&handle, saga).await.state, State::Completed);
    let before = look(&handle, saga).await.seq;
    handle.reply(reply_in).await.expect("a duplicate is taken");
    assert_eq!(look(&handle, saga).await.seq, before, "and changes nothing");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_saga_sends_nothing_until_it_is_resumed() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"Inventory.Reserve": "busy 3"})).await;
    handle.ask(saga, verb(SagaVerb::Pause), None).await.unwrap();
    let asked = ledger.asked(saga).len();
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    assert_eq!(ledger.asked(saga).len(), asked);
    let again = handle.ask(saga, verb(SagaVerb::Pause), None).await.unwrap_err();
    assert_eq!(again, AskError::Refused(amends_core::Refusal::AlreadyPaused));
    handle.ask(saga, verb(SagaVerb::Resume), None).await.unwrap();
    assert_eq!(end(&handle, saga).await.state, State::Completed);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_step_for_each_item_runs_side_by_side_and_is_undone_item_by_item() {
    let ledger = Ledger::default();
    let definition = r#"
saga: Order
steps:
  - name: reserve
    for_each: "${ data.items }"
    action: Inventory.Reserve
    compensation: Inventory.Release
    input: { sku: "${ item }" }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;
    let engine = engine(&Disk::new(), &ledger, definition).await;
    let handle = engine.handle();
    let saga = run(&handle, json!({"items": ["a", "b", "c"], "Payment.Charge": "refuse"})).await;
    assert_eq!(saga.state, State::Failed);
    let keys: Vec<String> = ledger
        .asked(saga.id)
        .into_iter()
        .filter(|entry| entry.command == "Inventory.Release")
        .map(|entry| entry.step)
        .collect();
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(sorted, ["reserve.0", "reserve.1", "reserve.2"]);
    let none = run(&handle, json!({"items": []})).await;
    assert_eq!(none.state, State::Completed);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_without_a_transport_asks_for_a_person_and_goes_on_once_it_has_one() {
    let ledger = Ledger::default();
    let nobody = ORDER.replace("Payment", "Nobody");
    let engine = engine(&Disk::new(), &ledger, &nobody).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({})).await;
    attention_until(&handle, saga, Reason::UnboundService).await;
    handle.ask(saga, verb(SagaVerb::Cancel), None).await.unwrap();
    assert_eq!(end(&handle, saga).await.state, State::Failed);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_stays_with_the_version_it_was_started_with() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, APPROVAL).await;
    let handle = engine.handle();
    let old = begin(&handle, json!({})).await;
    handle.deploy(vec![deployment(ORDER)]).await.unwrap();
    assert_eq!(handle.current_versions(), [("Order".into(), 2)]);
    let new = run(&handle, json!({})).await;
    assert_eq!((new.pinned.version, new.state), (2, State::Completed));
    let signal = Ask::Signal { name: "approval".into(), body: r#"{"approved":true}"#.into() };
    handle.ask(old, signal, None).await.unwrap();
    let old = end(&handle, old).await;
    assert_eq!((old.pinned.version, old.state), (1, State::Completed));
    // The same content again is the same version; a removed file starts nothing more.
    handle.deploy(vec![deployment(APPROVAL)]).await.unwrap();
    assert_eq!(handle.current_versions(), [("Order".into(), 1)]);
    handle.deploy(Vec::new()).await.unwrap();
    assert!(handle.start(shop::order(json!({}))).await.is_err());
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_down_for_long_fails_the_step_and_not_the_others() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, ORDER).await;
    let handle = engine.handle();
    let stuck = begin(&handle, json!({"Payment.Charge": "hang"})).await;
    let quick = run(&handle, json!({})).await;
    assert_eq!(quick.state, State::Completed);
    let ended = end(&handle, stuck).await;
    assert!(ended.runs().all(|(_, run)| run.status == Status::Compensated));
    engine.stop().await;
}

/// The sagas that are stuck by then, in the list and in the metric.
async fn stuck(handle: &Handle, by: u64) -> (usize, bool) {
    let query = Query { stuck: Some(StuckFilter::By(by)), ..Query::default() };
    let listed = handle.list(query, None).await.unwrap().rows.len();
    let gauge = "saga_stuck_count{saga_type=\"Order\",state=\"pending\"} 1";
    (listed, handle.metrics().encode().contains(gauge))
}

#[tokio::test(start_paused = true)]
async fn a_saga_without_progress_is_stuck_in_the_list_and_in_the_metric_alike() {
    let ledger = Ledger::default();
    let slow = "deadline: 1d, retry: { backoff: { initial: 3h, max: 3h, jitter: none } },";
    let definition = ORDER.replace("{ name: pay,", &format!("{{ name: pay, {slow}"));
    let definition = format!("{definition}alerts: {{ stuck: {{ after: 20m }} }}\n");
    let engine = engine(&Disk::new(), &ledger, &definition).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"Payment.Charge": "busy 1"})).await;
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    assert_eq!(handle.health().sagas_in_memory, 0, "it is parked");
    let moved = look(&handle, saga).await.updated_at.0;
    let patience = 20 * 60 * 1_000;
    assert_eq!(stuck(&handle, moved + patience - 1).await, (0, false));
    tokio::time::sleep(Duration::from_secs(11 * 60)).await;
    assert_eq!(stuck(&handle, moved + patience).await, (1, true));
    assert_eq!(handle.health().sagas_in_memory, 0, "parked still");
    // A paused saga is never stuck, and one that goes on is not any more.
    handle.ask(saga, verb(SagaVerb::Pause), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stuck(&handle, u64::MAX).await, (0, false));
    handle.ask(saga, verb(SagaVerb::Resume), None).await.unwrap();
    assert_eq!(end(&handle, saga).await.state, State::Completed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stuck(&handle, u64::MAX).await, (0, false));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_for_a_signal_is_not_stuck_and_one_that_needs_a_person_is() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, APPROVAL).await;
    let handle = engine.handle();
    begin(&handle, json!({})).await;
    tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
    let query = |by| Query { stuck: Some(StuckFilter::By(by)), ..Query::default() };
    assert_eq!(handle.list(query(u64::MAX), None).await.unwrap().rows, []);
    let refused = json!({"Inventory.Release": "busy"});
    let saga = begin(&handle, refused).await;
    let signal = Ask::Signal { name: "approval".into(), body: r#"{"approved":false}"#.into() };
    handle.ask(saga, signal, None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    let since = look(&handle, saga).await.attention[0].since.0;
    let rows = handle.list(query(since), None).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.saga).collect::<Vec<_>>(), [saga.0]);
    assert_eq!(rows[0].stuck_at, Some(since));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_needs_a_person_is_stuck_also_while_another_branch_waits_for_a_signal() {
    let ledger = Ledger::default();
    let definition = r#"
saga: Order
steps:
  - parallel:
      - { name: approve, signal: approval, deadline: 3d, on_deadline: refuse }
      - { name: pay, action: Payment.Charge, compensation: Payment.Refund, deadline: 1m }
services:
  Payment: { fence: none }
"#;
    let engine = engine(&Disk::new(), &ledger, definition).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"Payment.Charge": "hang"})).await;
    attention_until(&handle, saga, Reason::OutcomeUnknown).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let seen = look(&handle, saga).await;
    let approve = seen.runs().find(|(at, _)| at.step.get() == 0).map(|(_, run)| run.status);
    assert_eq!((seen.state, approve), (State::Pending, Some(Status::Pending)), "it waits");
    let since = seen.attention[0].since.0;
    assert_eq!(stuck(&handle, since).await, (1, true));
    // Once nobody is needed any more, the wait for the signal is in its time again.
    let done = SagaVerb::Resolve { step: "pay".into(), completed: Some("{}".into()), force: false };
    handle.ask(saga, verb(done), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stuck(&handle, u64::MAX).await, (0, false));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_verb_that_does_not_fit_is_refused_with_the_one_that_does() {
    let ledger = Ledger::default();
    let definition = r#"
saga: Order
steps:
  - parallel:
      - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
      - { name: pay, action: Payment.Charge, compensation: Payment.Refund, deadline: 1m }
services:
  Inventory: { fence: barrier }
  Payment: { fence: none }
"#;
    let engine = engine(&Disk::new(), &ledger, definition).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"Payment.Charge": "hang"})).await;
    attention_until(&handle, saga, Reason::OutcomeUnknown).await;
    let refused = async |verb_asked| {
        let refused = handle.ask(saga, verb(verb_asked), None).await.unwrap_err();
        assert!(matches!(refused, AskError::DoesNotFit(_)), "{refused:?}");
        refused.to_string()
    };
    let skip = |step: &str| SagaVerb::Skip { step: step.into(), force: false };
    let later = amends_core::Time(u64::MAX / 2);
    let extend = SagaVerb::Extend { step: None, deadline: later };
    assert!(refused(extend).await.contains("no deadline of its own"));
    assert!(refused(skip("reserve")).await.contains("cancel the saga"));
    let acknowledge = SagaVerb::Acknowledge { step: "pay".into() };
    assert!(refused(acknowledge).await.contains("nothing that contradicts"));
    // Before the turn and after it: only whoever looked knows what the step came to.
    for _ in 0..2 {
        let edit = SagaVerb::Edit { step: "pay".into(), body: "{}".into(), force: false };
        for asked in [skip("pay"), edit, SagaVerb::Retry { step: "pay".into() }] {
            let why = refused(asked).await;
            assert!(why.contains("resolve it as completed or refused"), "{why}");
        }
        let _ = handle.ask(saga, verb(SagaVerb::Cancel), None).await;
    }
    let resolve = SagaVerb::Resolve { step: "pay".into(), completed: None, force: false };
    handle.ask(saga, verb(resolve), None).await.unwrap();
    assert_eq!(end(&handle, saga).await.state, State::Failed);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_did_is_in_the_audit_and_in_the_saga_s_history() {
    let ledger = Ledger::default();
    let engine = engine(&Disk::new(), &ledger, APPROVAL).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({})).await;
    handle.ask(saga, verb(SagaVerb::Pause), None).await.unwrap();
    handle.ask(saga, verb(SagaVerb::Pause), None).await.unwrap_err();
    handle.ask(saga, verb(SagaVerb::Resume), None).await.unwrap();
    let audits = handle.audits(Some(saga), 0, 10).await.unwrap();
    let acts: Vec<_> = audits.iter().map(|entry| entry.audit.action.as_str()).collect();
    assert_eq!(acts, ["pause", "resume"], "what was refused is not an act");
    assert!(audits.iter().all(|entry| entry.audit.actor == "me"));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_callback_to_a_parked_saga_sends_is_sent_once() {
    let ledger = Ledger::default();
    let definition =
        ORDER.replace("{ name: pay,", "{ name: pay, retry: { max_attempts: 1 }, timeout: 10s,");
    let definition = definition.replace("{ name: reserve,", "{ name: reserve, deadline: 1d,");
    let engine = engine(&Disk::new(), &ledger, &definition).await;
    let handle = engine.handle();
    let saga = begin(&handle, json!({"Inventory.Reserve": "later"})).await;
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    assert_eq!(handle.health().sagas_in_memory, 0, "it is parked");
    let body = json!({
        "type": "SagaStepCompleted", "saga_id": saga.to_string(), "step_name": "reserve",
    });
    let raw = Bytes::from(body.to_string());
    let reply = amends_wire::Reply::parse(&(), &raw).unwrap();
    let source = "callback".to_owned();
    handle.reply(ReplyIn { reply, token: None, services: None, source, raw }).await.unwrap();
    assert_eq!(end(&handle, saga).await.state, State::Completed);
    let charged = ledger.asked(saga).iter().filter(|e| e.command == "Payment.Charge").count();
    assert_eq!(charged, 1);
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_the_middle_of_the_only_attempt_is_followed_by_another() {
    let (disk, ledger) = (Disk::new(), Ledger::default());
    let definition = ORDER.replace("{ name: pay,", "{ name: pay, retry: { max_attempts: 1 },");
    let first = engine(&disk, &ledger, &definition).await;
    let saga = begin(&first.handle(), json!({"Payment.Charge": "hang 1"})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(first);
    let second = engine(&disk, &ledger, &definition).await;
    let ended = end(&second.handle(), saga).await;
    assert_eq!(ended.state, State::Completed);
    let charged = ledger.asked(saga).iter().filter(|e| e.command == "Payment.Charge").count();
    assert_eq!(charged, 2);
    second.stop().await;
}

/// How often the payment was asked for.
fn charged(ledger: &Ledger, saga: amends_core::SagaId) -> usize {
    ledger.asked(saga).iter().filter(|entry| entry.command == "Payment.Charge").count()
}

/// The only attempt of a payment is out, and its answer comes by message.
async fn paying(disk: &Disk, ledger: &Ledger) -> (Engine, amends_core::SagaId) {
    let engine = by_message(disk, ledger).await;
    let saga = begin(&engine.handle(), json!({"Payment.Charge": "hang 1"})).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(charged(ledger, saga), 1);
    (engine, saga)
}

async fn by_message(disk: &Disk, ledger: &Ledger) -> Engine {
    let definition = ORDER.replace("{ name: pay,", "{ name: pay, retry: { max_attempts: 1 },");
    engine_with(disk, participants_by_message(ledger), &definition).await
}

/// The same after a crash, of an engine that is back at once.
async fn crashed(ledger: &Ledger) -> (Engine, amends_core::SagaId) {
    let disk = Disk::new();
    let (first, saga) = paying(&disk, ledger).await;
    drop(first);
    (by_message(&disk, ledger).await, saga)
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_no_answer_away_that_comes_by_message_so_it_is_waited_for() {
    let ledger = Ledger::default();
    let (engine, saga) = crashed(&ledger).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let paid = json!({
        "type": "SagaStepCompleted", "saga_id": saga.to_string(), "step_name": "pay",
    });
    let raw = Bytes::from(paid.to_string());
    let reply = amends_wire::Reply::parse(&(), &raw).unwrap();
    let source = "a message".to_owned();
    let reply_in = ReplyIn { reply, token: None, services: None, source, raw };
    engine.handle().reply(reply_in).await.unwrap();
    assert_eq!(end(&engine.handle(), saga).await.state, State::Completed);
    assert_eq!(charged(&ledger, saga), 1, "it was not asked again");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_by_message_that_does_not_come_after_a_crash_is_a_time_out_like_any_other() {
    let ledger = Ledger::default();
    let (engine, saga) = crashed(&ledger).await;
    let ended = end(&engine.handle(), saga).await;
    assert_eq!(ended.state, State::Failed);
    assert_eq!(charged(&ledger, saga), 1, "its one attempt had all of its time");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_takes_the_time_of_an_answer_by_message_so_it_is_asked_for_once_more() {
    let ledger = Ledger::default();
    let (engine, saga) = paying(&Disk::new(), &ledger).await;
    // Nothing of the engine runs meanwhile, as when its machine is stopped.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(end(&engine.handle(), saga).await.state, State::Completed);
    assert_eq!(charged(&ledger, saga), 2);
    engine.stop().await;
}
