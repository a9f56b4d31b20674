//! Files that are right, and what they compile to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use amends_core::definition::{Backoff, Fence, Jitter, Kind, OnDeadline, Work};
use amends_core::{Millis, StepIx};
use amends_definition::{
    Broker, Checked, Compiled, Context, EnvVar, Queues, Saga, Severity, StepInputs, Surroundings,
    Transport, check, render,
};
use serde_json::{Value as Json, json};

fn good_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good")
}

fn check_good(name: &str) -> Checked {
    let folder = good_folder();
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let surroundings = Surroundings::none().with_folder(&folder).with_env(|name| match name {
        "INVENTORY_URL" => EnvVar::Set("https://inventory.example".to_owned()),
        "INVENTORY_SECRET" => EnvVar::Set("hunter2".to_owned()),
        _ => EnvVar::NotAllowed,
    });
    check(&bytes, name, &surroundings)
}

fn compile(text: &str) -> Compiled {
    let checked = check(text.as_bytes(), "test.yaml", &Surroundings::none());
    let shown = render(&checked, false);
    checked.compiled.unwrap_or_else(|| panic!("{shown}"))
}

#[test]
fn the_seed_passes_with_one_note_a_service_about_its_fence() {
    let checked = check_good("seed.yaml");
    let found: Vec<_> = checked.findings.iter().map(|f| (f.id.id(), f.severity, f.line)).collect();
    let note = |line| ("A100", Severity::Note, line);
    assert_eq!(found, [note(18), note(19), note(20), note(21)]);
    let compiled = checked.compiled.unwrap();
    assert_eq!(compiled.said_version, None);
    let steps = compiled.definition.steps();
    // Five minutes where nothing is said; a step that says only `timeout` has it as its deadline.
    let times: Vec<_> = steps.iter().map(|s| (s.timeout, s.deadline)).collect();
    let plain = (Millis::secs(10), Millis::mins(5));
    assert_eq!(times, [plain, plain, (Millis::mins(15), Millis::mins(15)), plain]);
    assert!(steps.iter().all(|s| s.kind == Kind::Compensatable && s.compensation().is_some()));
    assert_eq!(compiled.definition.ancestors(StepIx(3)).iter().count(), 3);
}

/// Nobody reaches its services: each has its handlers by itself, or its sidecar is told where they are.
#[test]
fn a_choreography_passes_without_a_word_about_transports() {
    let checked = check_good("choreography.yaml");
    assert_eq!(checked.findings.len(), 0, "{}", render(&checked, false));
    assert!(checked.compiled.is_some());
}

#[test]
fn the_long_form_compiles_to_what_it_says() {
    let checked = check_good("long.yaml");
    // The saga's own deadline of a day is shorter than the three days an approval may take.
    let ids: Vec<_> = checked.findings.iter().map(|f| (f.id.id(), f.line)).collect();
    assert_eq!(ids, [("A067", 5), ("A100", 11), ("A100", 12)], "{}", render(&checked, false));
    let compiled = checked.compiled.unwrap();
    let definition = &compiled.definition;
    assert_eq!((compiled.said_version, definition.version()), (Some(3), 3));
    assert_eq!(definition.deadline(), Some(Millis(86_400_000)));
    let step = |name: &str| definition.step(definition.find(name).unwrap());
    let kinds: Vec<_> = definition.steps().iter().map(|s| (&*s.name, s.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("reserve_inventory", Kind::Compensatable),
            ("authorize_payment", Kind::Compensatable),
            ("quote_shipping", Kind::Compensatable),
            ("approve", Kind::Compensatable),
            ("capture_payment", Kind::Pivot),
            ("create_shipment", Kind::Retriable),
            ("send_confirmation", Kind::BestEffort),
        ]
    );
    assert_eq!(step("approve").after.iter().collect::<Vec<_>>(), [StepIx(1), StepIx(2)]);
    assert_eq!(step("authorize_payment").undo.timeout, Millis::mins(1));
    assert_eq!(step("authorize_payment").undo.max_attempts, 10);
    assert_eq!(step("create_shipment").deadline, Millis::mins(120), "its own breach");
    assert_eq!(step("capture_payment").deadline, Millis::mins(2), "the default");
    assert_eq!(
        step("capture_payment").retry.backoff,
        Backoff {
            initial: Millis(200),
            factor_percent: 200,
            max: Millis::secs(10),
            jitter: Jitter::Full
        }
    );
    let Work::Signal { signal, on_deadline, judged } = &step("approve").work else { panic!() };
    assert_eq!((&**signal, on_deadline, *judged), ("approval", &OnDeadline::Refuse, true));
    assert_eq!(step("approve").deadline, Millis(3 * 86_400_000));
    let inventory = compiled.bindings.get("InventoryService").unwrap();
    assert_eq!(inventory.fence, Some(Fence::Barrier));
    assert_eq!(inventory.owner.as_deref(), Some("team-warehouse"));
    assert_eq!(inventory.secret_env.as_deref(), Some("INVENTORY_SECRET"));
    let url = Some("https://inventory.example".to_owned());
    assert!(inventory.transport == Some(Transport::Http { url }));
    assert!(!format!("{compiled:?}").contains("hunter2"), "no secret is held");
    assert_eq!(compiled.extras[0].failures.permanent, ["OUT_OF_STOCK"]);
    assert_eq!(compiled.extras[1].redact, ["token"]);
    assert_eq!(compiled.extras[5].sla.warn, Some(Millis::mins(10)));
    assert_eq!(compiled.alerts.stuck_after, Some(Millis::mins(10)));
    let messaging = compiled.messaging.as_ref().unwrap();
    let (commands, replies) = ("orders.commands".to_owned(), "orders.replies".to_owned());
    assert_eq!(messaging.broker, Broker::Kafka);
    assert_eq!(messaging.queues, Some(Queues { commands, replies }));
    assert_eq!(messaging.events.as_deref(), Some("orders.events"));
    assert!(messaging.transitions);
    let schema = compiled.data_schema.as_ref().unwrap();
    assert_eq!(schema.violations(&json!({"order_id": "o"})), [""; 0]);
    let wrong = schema.violations(&json!({"order_id": 4242}));
    assert!(wrong.len() == 1 && !wrong[0].contains("4242"), "{wrong:?}");
}

#[test]
fn the_long_form_evaluates() {
    let compiled = check_good("long.yaml").compiled.unwrap();
    let data = json!({"order_id": "o-1", "total": 9_007_199_254_740_993_i64, "card_token": "t", "physical": false, "parcels": [1, 2]});
    let result =
        json!({"authorize_payment": {"auth_id": 7}, "quote_shipping": null, "approve": {}});
    let context =
        Context { data: &data, result: &result, saga_id: "s", saga_type: "OrderFulfillment" };
    let ready = |name: &str| {
        compiled.expressions.ready(compiled.definition.find(name).unwrap(), &context).unwrap()
    };
    let one = |input: Json| StepInputs::Inputs(vec![Some(input)]);
    assert_eq!(ready("reserve_inventory"), StepInputs::Data);
    assert_eq!(
        ready("authorize_payment"),
        one(json!({"amount": 9_007_199_254_740_993_i64, "token": "t"}))
    );
    assert_eq!(ready("quote_shipping"), StepInputs::Skipped);
    assert_eq!(ready("capture_payment"), one(json!({"auth_id": 7})));
    assert_eq!(ready("create_shipment"), StepInputs::Inputs(vec![None, None]));
    assert_eq!(compiled.expressions.business_key(&data).unwrap().as_deref(), Some("o-1"));
    let approve = compiled.definition.find("approve").unwrap();
    let judge = |signal: Json| compiled.expressions.judge_signal(approve, &context, &signal);
    assert_eq!(judge(json!({"approved": false})), Ok(true));
    assert_eq!(judge(json!({"approved": true})), Ok(false));
    assert_eq!(judge(json!({})).unwrap_err().place, "approve.refuse_when");
}

const STEP: &str = "saga: A\nsteps:\n  - name: a\n    action: S.Do\n    compensation: S.Undo\n";

fn times(more_step: &str, more: &str) -> (u64, u64) {
    let compiled = compile(&format!("{STEP}{more_step}{more}"));
    let step = compiled.definition.step(StepIx(0));
    (step.timeout.0 / 1_000, step.deadline.0 / 1_000)
}

#[test]
fn a_deadline_comes_from_the_nearest_word() {
    let check = |step: &str, defaults: &str, expected: (u64, u64)| {
        assert_eq!(times(step, defaults), expected, "{step:?} {defaults:?}");
    };
    check("", "", (10, 300));
    check("", "defaults: { timeout: 20s }\n", (20, 240));
    check("", "defaults: { deadline: 2m }\n", (10, 120));
    check("", "defaults: { deadline: 4s }\n", (4, 4));
    check("", "defaults: { timeout: 20s, deadline: 2m }\n", (20, 120));
    check("    timeout: 15m\n", "defaults: { timeout: 20s, deadline: 2m }\n", (900, 900));
    check("    timeout: 15s\n    deadline: 1m\n", "", (15, 60));
    check("    sla: { breach: 2h }\n", "defaults: { deadline: 2m }\n", (10, 7_200));
    check("    deadline: 1m\n    sla: { breach: 2h }\n", "", (10, 60));
}

#[test]
fn a_policy_is_merged_key_by_key() {
    let compiled = compile(&format!(
        "{STEP}    retry: {{ backoff: {{ factor: 1.5 }} }}\ndefaults:\n  retry: {{ max_attempts: 3, backoff: {{ initial: 1s, jitter: none }} }}\n  undo_policy: {{ retry: {{ max_attempts: 4 }} }}\n"
    ));
    let step = compiled.definition.step(StepIx(0));
    assert_eq!(step.retry.max_attempts, Some(3));
    let backoff = step.retry.backoff;
    assert_eq!(
        (backoff.initial, backoff.factor_percent, backoff.max),
        (Millis::secs(1), 150, Millis::secs(10))
    );
    assert_eq!(backoff.jitter, Jitter::None);
    assert_eq!((step.undo.max_attempts, step.undo.timeout), (4, Millis::secs(30)));
}

#[test]
fn what_is_pinned_does_not_change_with_bindings() {
    let hash = |more: &str| compile(&format!("{STEP}{more}")).hash_hex();
    let plain = hash("");
    // The pinned form is stored with every saga: were it to change, every definition would get a
    // new version.
    insta::assert_snapshot!(String::from_utf8(compile(STEP).pinned.to_vec()).unwrap(), @r#"{"saga":"A","steps":[{"action":"S.Do","compensation":"S.Undo","name":"a"}]}"#);
    insta::assert_snapshot!(plain, @r#"cb085426aaad784c96748482edca19514175255057bdf8d22f22e232a3ffdded"#);
    for same in [
        "services: { S: { owner: team, fence: barrier, http: { url: \"http://x\" } } }\n",
        "alerts: { stuck: { after: 1h } }\n",
        "version: 7\n",
        "pattern: orchestration\n",
        "# a comment\n",
        "defaults: {}\n",
    ] {
        assert_eq!(hash(same), plain, "{same}");
    }
    for other in [
        "    timeout: 1m\n",
        "deadline: 1h\n",
        "defaults: { timeout: 1m }\n",
        "business_key: \"${ data.id }\"\n",
        "data: { schema: { type: object } }\n",
    ] {
        assert_ne!(hash(other), plain, "{other}");
    }
    assert_eq!(hash("    timeout: 60s\n"), hash("    timeout: 1m\n"), "the same time");
    let folded = STEP.replace("S.Undo", "{ command: S.Undo }");
    assert_eq!(compile(&folded).hash_hex(), plain, "the same compensation");
}

#[test]
fn json_is_the_same_definition() {
    let json = r#"{"$schema": "x", "saga": "A", "steps": [{"name": "a", "action": "S.Do", "compensation": "S.Undo"}]}"#;
    assert_eq!(compile(json).hash, compile(STEP).hash);
}

#[test]
fn the_builder_compiles_to_the_same_thing() {
    let built = Saga::named("OrderFulfillment")
        .step("reserve_inventory", |s| {
            s.action("InventoryService.ReserveItems")
                .compensation("InventoryService.ReleaseReservation")
        })
        .step("process_payment", |s| {
            s.action("PaymentService.ProcessPayment").compensation("PaymentService.RefundPayment")
        })
        .step("create_shipment", |s| {
            s.action("ShippingService.CreateShipment")
                .compensation("ShippingService.CancelShipment")
                .timeout(Duration::from_secs(15 * 60))
        })
        .step("send_confirmation", |s| {
            s.action("NotificationService.SendOrderConfirmation")
                .compensation("NotificationService.SendCancellationNotice")
        })
        .build()
        .unwrap();
    let seed = check_good("seed.yaml").compiled.unwrap();
    assert_eq!(built.definition, seed.definition);
    assert_eq!(built.hash, seed.hash);
    let error = Saga::named("A").step("a", |s| s.action("S.Do")).build().unwrap_err();
    assert!(error.findings().iter().any(|f| f.id.id() == "A031"));
    assert!(error.to_string().contains("error[A031]"), "{error}");
}

#[test]
fn a_value_of_the_environment_is_used_and_not_shown() {
    let text = format!("{STEP}    input: {{ key: \"${{ env.KEY }}\" }}\n");
    let surroundings = Surroundings::none().with_env(|_| EnvVar::Set("hunter2".to_owned()));
    let compiled = check(text.as_bytes(), "test.yaml", &surroundings).compiled.unwrap();
    let nothing = json!({});
    let context = Context { data: &nothing, result: &nothing, saga_id: "i", saga_type: "A" };
    let ready = compiled.expressions.ready(StepIx(0), &context);
    assert_eq!(ready, Ok(StepInputs::Inputs(vec![Some(json!({"key": "hunter2"}))])));
    assert!(!format!("{compiled:?}").contains("hunter2"));
    assert!(!String::from_utf8_lossy(&compiled.pinned).contains("hunter2"));
}

#[test]
fn a_version_can_be_given_later() {
    let compiled = compile(STEP);
    assert_eq!((compiled.said_version, compiled.definition.version()), (None, 1));
    let (hash, steps) = (compiled.hash, compiled.definition.steps().to_vec());
    let compiled = compiled.with_version(9);
    assert_eq!(compiled.definition.version(), 9);
    assert_eq!((compiled.hash, compiled.definition.steps()), (hash, &steps[..]));
}

#[test]
fn what_is_compiled_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Compiled>();
}

#[test]
fn expressions_fill_inputs_at_any_depth() {
    let compiled = compile(
        "saga: A\nsteps:\n  - name: a\n    action: S.Do\n    compensation: S.Undo\n    for_each: \"${ data.xs }\"\n    input:\n      n: 5\n      f: 1.5\n      t: \"5\"\n      nothing: ~\n      text: \"order ${ data.id }/${ item }\"\n      deep: [{ it: \"${ item * 2 }\" }, true]\n",
    );
    let run = |data: Json| {
        let context = Context { data: &data, result: &json!({}), saga_id: "i", saga_type: "A" };
        compiled.expressions.ready(StepIx(0), &context)
    };
    let input = |x: i64| {
        Some(
            json!({"n": 5, "f": 1.5, "t": "5", "nothing": null, "text": format!("order 7/{x}"), "deep": [{"it": 2 * x}, true]}),
        )
    };
    assert_eq!(
        run(json!({"id": 7, "xs": [1, 2]})),
        Ok(StepInputs::Inputs(vec![input(1), input(2)]))
    );
    assert_eq!(run(json!({"id": 7, "xs": []})), Ok(StepInputs::Inputs(vec![])));
    assert!(run(json!({"id": 7, "xs": 3})).unwrap_err().message.contains("no list"));
    assert!(run(json!({"id": 7, "xs": vec![0; 65]})).unwrap_err().message.contains("65"));
    assert!(run(json!({"id": {}, "xs": [1]})).unwrap_err().message.contains("no text form"));
    let big = "x".repeat(300_000);
    assert!(run(json!({"id": big, "xs": [1]})).unwrap_err().message.contains("262144"));
}
