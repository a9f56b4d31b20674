//! The engine embedded: functions end in their three ways, steps are computed, data folders last.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends_core::definition::Fence;
use amends_core::saga::{State, Status};
use amends_definition::Saga;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;

/// Longer than any of these takes; a saga that hangs fails its test.
const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize)]
struct Trip {
    seats: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Booking {
    number: u32,
}

fn trip() -> Saga {
    Saga::named("Trip")
        .service("Rail", Fence::Barrier)
        .service("Hotel", Fence::Barrier)
        .step("rail", |s| s.action("Rail.Book").compensation("Rail.Cancel"))
        .step("hotel", |s| s.action("Hotel.Book").compensation("Hotel.Cancel"))
}

/// What the undo of the train was told.
type Told = Arc<std::sync::Mutex<Vec<Option<Booking>>>>;

fn functions(builder: Builder, told: &Told) -> Builder {
    let told = Arc::clone(told);
    let tries = Arc::new(AtomicU32::new(0));
    builder
        .action("Rail.Book", |call: Call<Trip>| async move {
            assert_eq!(call.idempotency_key(), format!("{}/rail/action", call.saga_id()));
            Ok(Booking { number: call.data.seats })
        })
        .compensation("Rail.Cancel", move |undo: Undo<Trip, Booking>| {
            told.lock().expect("no test panics with it").push(undo.original_result);
            async { Ok(UndoEnd::Undone) }
        })
        .action("Hotel.Book", move |call: Call<Trip>| {
            let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                match call.data.seats {
                    0 => Err(Refused::code("NO_GUESTS").because("nobody travels").into()),
                    _ if first => Err(NotNow::because("the desk is closed"))?,
                    _ => Ok(json!({ "room": 12 })),
                }
            }
        })
        .compensation("Hotel.Cancel", |_: Undo<Trip, Value>| async { Ok(()) })
}

async fn engine(told: &Told) -> Engine {
    functions(Engine::builder(), told).saga(trip()).start().await.expect("an engine")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_completes_a_step_and_is_read_back_typed() {
    let engine = engine(&Told::default()).await;
    let view = engine.run("Trip", &Trip { seats: 2 }, LONG).await.expect("a start");
    assert!(view.completed() && view.clean());
    let booking: Booking = view.result("rail").expect("a result").expect("a booking");
    assert_eq!(booking, Booking { number: 2 });
    assert_eq!(view.status("hotel"), Some(Status::Completed));
    assert!(view.result::<Value>("no_such_step").is_none());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_turns_the_saga_and_the_undo_gets_the_original_result() {
    let told = Told::default();
    let engine = engine(&told).await;
    let view = engine.run("Trip", &Trip { seats: 0 }, LONG).await.expect("a start");
    assert_eq!((view.state(), view.clean()), (State::Failed, true));
    assert_eq!(view.error("hotel"), Some((Some("NO_GUESTS"), "nobody travels")));
    assert_eq!(*told.lock().expect("no panic"), [Some(Booking { number: 0 })]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_error_leaves_the_outcome_unknown_and_is_tried_again_under_the_same_key() {
    let (send, mut keys) = tokio::sync::mpsc::unbounded_channel();
    let saga = Saga::named("Once")
        .service("S", Fence::Barrier)
        .step("only", |s| s.action("S.Do").compensation("S.Undo"));
    let engine = Engine::builder()
        .action("S.Do", move |call: Call<Value>| {
            let _ = send.send(call.idempotency_key());
            async move {
                if call.attempt() == 1 {
                    std::fs::read("/no/such/file")?;
                }
                Ok(())
            }
        })
        .compensation("S.Undo", |_: Undo<Value, Value>| async { Ok(()) })
        .saga(saga)
        .start()
        .await
        .expect("an engine");
    let view = engine.run("Once", &json!({}), LONG).await.expect("a start");
    assert!(view.completed());
    let (first, second) = (keys.recv().await, keys.recv().await);
    assert!(first.is_some() && first == second && keys.is_empty());
    engine.stop().await;
}

fn computed(versions_max: usize) -> Builder {
    Engine::builder()
        .action("S.Do", |_: Call<Value>| async { Ok(()) })
        .compensation("S.Undo", |_: Undo<Value, Value>| async { Ok(()) })
        .define_steps("Plan", |data| {
            let steps = data["steps"].as_u64().unwrap_or(1);
            (0..steps).fold(Saga::named("Plan").service("S", Fence::Barrier), |saga, n| {
                saga.step(&format!("step-{n}"), |s| s.action("S.Do").compensation("S.Undo"))
            })
        })
        .versions_max(versions_max)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_computed_steps_are_the_same_version_and_there_is_a_limit() {
    let engine = computed(2).start().await.expect("an engine");
    let run = async |steps: u32| {
        let data = json!({ "steps": steps });
        engine.run("Plan", &data, LONG).await.map(|view| (view.version(), view.completed()))
    };
    assert_eq!(run(2).await.expect("a start"), (1, true));
    assert_eq!(run(3).await.expect("a start"), (2, true));
    assert_eq!(run(2).await.expect("a start"), (1, true));
    let error = run(4).await.expect_err("a third version");
    assert!(matches!(error, StartError::Plan(PlanError::TooManyVersions { versions_max: 2, .. })));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn computed_steps_that_cannot_run_are_refused_at_the_start() {
    let engine = Engine::builder()
        .define_steps("Plan", |data| {
            let name = data["name"].as_str().unwrap_or("Plan");
            let saga = Saga::named(name);
            match data["step"].as_str() {
                Some(command) => saga.step("only", |s| s.action(command).reads_only()),
                None => saga,
            }
        })
        .start()
        .await
        .expect("an engine");
    let refused = async |data: Value| match engine.start("Plan", &data).await {
        Err(StartError::Plan(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused(json!({})).await, PlanError::IllFormed { .. }));
    let foreign = refused(json!({ "name": "Other", "step": "S.Do" })).await;
    assert!(matches!(foreign, PlanError::Foreign { .. }), "{foreign}");
    let unknown = refused(json!({ "step": "S.Do" })).await;
    let function = Missing::Function("S.Do".to_owned());
    assert!(matches!(&unknown, PlanError::Missing { missing, .. } if *missing == function));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_without_its_functions_is_refused_before_anything_starts() {
    let built = Engine::builder().saga(trip()).start().await;
    let error = built.err().expect("no function");
    let missing = |error| match error {
        BuildError::Missing { missing, .. } => missing,
        other => panic!("{other}"),
    };
    assert_eq!(missing(error), Missing::Function("Rail.Book".to_owned()));
    let unfenced = Saga::named("Bare").step("s", |s| s.action("S.Do").reads_only());
    let error = computed(2).saga(unfenced).start().await.err().expect("no fence");
    assert_eq!(missing(error), Missing::Fence("S".to_owned()));
    let twice = computed(2).saga(Saga::named("Plan").step("s", |s| s.action("S.Do").reads_only()));
    let error = twice.start().await.err().expect("two kinds of steps");
    assert!(matches!(error, BuildError::Twice(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_waited_for_and_a_cancel_turns_the_saga() {
    let saga = Saga::named("Approval").signal("approval", |s| s.or_refuse_after(LONG));
    let engine = Engine::builder().saga(saga).start().await.expect("an engine");
    let first = engine.start("Approval", &json!({})).await.expect("a start");
    engine.signal(first, "approval", &json!({ "by": "me" })).await.expect("a signal");
    let ended = engine.wait(first, LONG).await.expect("an answer").expect("a saga");
    assert!(ended.completed());
    let second = engine.start("Approval", &json!({})).await.expect("a start");
    engine.cancel(second, "me", "changed my mind").await.expect("a cancel");
    let ended = engine.wait(second, LONG).await.expect("an answer").expect("a saga");
    assert_eq!(ended.state(), State::Failed);
    engine.stop().await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_keeps_sagas_versions_and_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let on = |max| computed(max).data_folder(folder.path());
    let engine = on(2).start().await.expect("an engine");
    let data = json!({ "steps": 2 });
    let first = engine.start_once("Plan", "key", &data).await.expect("a start");
    let ended = engine.wait(first, LONG).await.expect("an answer").expect("a saga");
    assert!(ended.completed());
    engine.stop().await;
    // The limit counts what the folder holds; the same steps are no new version.
    let engine = on(1).start().await.expect("an engine");
    assert_eq!(engine.start_once("Plan", "key", &data).await.expect("a start"), first);
    let other = engine.start("Plan", &json!({ "steps": 1 })).await;
    assert!(matches!(other, Err(StartError::Plan(PlanError::TooManyVersions { .. }))));
    let view = engine.get(first).await.expect("an answer").expect("a saga");
    assert_eq!((view.version(), view.completed()), (1, true));
    engine.stop().await;
}
