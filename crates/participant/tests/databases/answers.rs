//! What is answered over HTTP to what is no good, and that nothing is half done.

use amends_participant::{BODY_BYTES_MAX, Http, Participant, RESULT_BYTES_MAX};
use amends_wire::signature::{Secret, sign};
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use bytes::Bytes;
use futures_util::FutureExt;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tower::ServiceExt;

use crate::bed::{Bed, RESULT, SERVICE, Saga, Tested, Work, on_each_database};

on_each_database! {
    a_command_is_answered_with_its_result_and_its_undo
    each_kind_of_bad_input_has_its_answer
    data_that_the_type_cannot_hold_is_refused_for_an_action_and_a_breach_for_an_undo
    data_whose_type_panics_as_it_is_read_is_not_now
    a_result_that_no_undo_could_bring_again_is_not_now
    where_a_secret_is_set_only_signed_commands_are_taken
}

/// A type that panics as it is read.
struct Fuse;

impl<'de> Deserialize<'de> for Fuse {
    fn deserialize<R: Deserializer<'de>>(_: R) -> Result<Self, R::Error> {
        panic!("as the test has it")
    }
}

/// Status, content type, `Retry-After`, body.
struct Heard {
    status: u16,
    content_type: String,
    body: String,
}

impl Heard {
    fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

async fn post(http: Http<impl Tested>, path: &str, headers: &[(&str, &str)], body: Bytes) -> Heard {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = http.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Heard { status, content_type, body: String::from_utf8(body.to_vec()).unwrap() }
}

impl<D: Tested> Bed<D> {
    async fn post(&self, path: &str, body: Bytes) -> Heard {
        post(Http::new(self.participant.clone()), path, &[], body).await
    }

    async fn rows(&self, saga: Saga) -> i64 {
        let id = saga.0.to_string();
        let sql = format!("UPDATE amends_guard SET round = round WHERE saga_id = '{id}'");
        D::run(&self.pool, sql).await.unwrap() as i64
    }
}

async fn a_command_is_answered_with_its_result_and_its_undo<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let http = Http::new(bed.participant.clone());
    let done = post(http, "/Act", &[("amends-attempt", "3")], saga.action()).await;
    assert_eq!((done.status, done.content_type.as_str()), (200, "application/json"));
    assert_eq!(done.body, r#"{"amount":5,"attempt":3}"#, "the handler sees the attempt");
    let undone = bed.post("/Undo", saga.undo()).await;
    assert_eq!((undone.status, undone.body.as_str()), (200, r#"{"undone":true}"#));
    let refused = bed.post("/Act", Saga::new().action_that("refuse")).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "NO"));
    let failed = bed.post("/Act", Saga::new().action_that("fail")).await;
    let body: Value = serde_json::from_str(&failed.body).unwrap();
    assert_eq!((failed.status, &body["retryable"]), (503, &Value::Bool(true)));
}

async fn each_kind_of_bad_input_has_its_answer<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let body = String::from_utf8(saga.action().to_vec()).unwrap();
    let undo = String::from_utf8(saga.undo().to_vec()).unwrap();
    let other = |from: &str, to: &str| Bytes::from(body.replace(from, to));
    for (path, bytes, code) in [
        ("/Act", Bytes::from("{\"saga_id\":"), "NOT_JSON"),
        ("/Act", Bytes::from("[1]"), "NOT_JSON"),
        ("/Act", other("\"saga_type\":\"Test\",", ""), "MISSING_FIELD"),
        ("/Act", other("\"step_name\":\"step\"", "\"step_name\":7"), "BAD_FIELD"),
        ("/Act", other(SERVICE, "PaymentService"), "FOREIGN_COMMAND"),
        ("/Undo", other("none", "none"), "WRONG_PATH"),
        ("/Act", other("/step/", "/other/"), "BAD_KEY"),
        (
            "/Act",
            Bytes::from(undo.replace("LedgerService.Undo", "LedgerService.Act")),
            "WRONG_DIRECTION",
        ),
    ] {
        let heard = bed.post(path, bytes).await;
        assert_eq!((heard.status, heard.code().as_str()), (400, code));
    }
    let unknown = bed.post("/Other", saga.action()).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.content_type.starts_with("text/plain"), "JSON would say: nothing to undo");
    let long = Bytes::from(vec![b' '; BODY_BYTES_MAX + 1]);
    assert_eq!(bed.post("/Act", long).await.status, 413);
    assert_eq!(bed.effects(saga).await, (0, 0));
    assert_eq!(bed.rows(saga).await, 0);
}

async fn data_that_the_type_cannot_hold_is_refused_for_an_action_and_a_breach_for_an_undo<
    D: Tested,
>(
    bed: &Bed<D>,
) {
    let saga = Saga::new();
    let body = String::from_utf8(saga.action().to_vec()).unwrap();
    let wrong = Bytes::from(body.replace("{\"amount\":5", "{\"amount\":\"4111 1111\""));
    for _ in 0..2 {
        let heard = bed.post("/Act", wrong.clone()).await;
        assert_eq!((heard.status, heard.code().as_str()), (422, "BAD_DATA"));
        assert!(!heard.body.contains("4111"), "what stands there is nobody's: {}", heard.body);
    }
    assert_eq!(bed.rows(saga).await, 1, "it is stored");
    let other = Saga::new();
    let undo = other.undo_of(1, Some(b"{\"amount\":\"four\"}"));
    let heard = bed.post("/Undo", undo).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "BAD_DATA"));
    assert_eq!(bed.rows(other).await, 0, "nothing is stored, so a repaired one may come");
    let repaired = other.undo_of(1, Some(RESULT.as_bytes()));
    assert_eq!(bed.post("/Undo", repaired).await.status, 200);
    assert_eq!(bed.effects(other).await, (0, 1));
}

async fn data_whose_type_panics_as_it_is_read_is_not_now<D: Tested>(bed: &Bed<D>) {
    let participant = Participant::builder(SERVICE, bed.pool.clone())
        .action_boxed("Act", |_, _: Fuse, _| async { Ok(()) }.boxed())
        .compensation_boxed("Undo", |_, _: Fuse, _| async { Ok(()) }.boxed())
        .build();
    let saga = Saga::new();
    let undo = saga.undo_of(1, Some(RESULT.as_bytes()));
    for (path, body) in [("/Act", saga.action()), ("/Undo", undo)] {
        let heard = post(Http::new(participant.clone()), path, &[], body).await;
        assert_eq!((heard.status, heard.code().as_str()), (503, "HANDLER_FAILED"), "{path}");
    }
    assert_eq!(bed.rows(saga).await, 0);
}

async fn a_result_that_no_undo_could_bring_again_is_not_now<D: Tested>(bed: &Bed<D>) {
    let participant = Participant::builder(SERVICE, bed.pool.clone())
        .action_boxed("Act", |_, work: Work, _| {
            // With its quotes.
            async move { Ok("x".repeat(work.amount as usize - 2)) }.boxed()
        })
        .compensation_boxed("Undo", |_, _: String, _| async { Ok(()) }.boxed())
        .build();
    let http = || Http::new(participant.clone());
    let most = i64::try_from(RESULT_BYTES_MAX).unwrap();
    let (saga, other) = (Saga::new(), Saga::new());
    let of = |saga: Saga, amount| saga.action_of(1, Work { amount, ..Work::default() });
    let heard = post(http(), "/Act", &[], of(other, most + 1)).await;
    assert_eq!((heard.status, heard.code().as_str()), (503, "HANDLER_FAILED"));
    assert_eq!(bed.rows(other).await, 0);
    let done = post(http(), "/Act", &[], of(saga, most)).await;
    assert_eq!((done.status, done.body.len()), (200, RESULT_BYTES_MAX));
    // With the most data that an engine sends, which stands in a body twice.
    let undo = saga.undo_of(1, Some(done.body.as_bytes()));
    let data = format!("{{\"more\":\"{}\",", "x".repeat(512 * 1024));
    let undo = Bytes::from([data.as_bytes(), &undo[1..]].concat());
    assert_eq!(post(http(), "/Undo", &[], undo).await.body, r#"{"undone":true}"#);
}

async fn where_a_secret_is_set_only_signed_commands_are_taken<D: Tested>(bed: &Bed<D>) {
    let signed =
        || Http::new(bed.participant.clone()).secret("the old").unwrap().secret("s").unwrap();
    let saga = Saga::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = now.to_string();
    let signature = sign(&[Secret::new("s").unwrap()], "id", now, &saga.action());
    let headers = [
        ("webhook-id", "id"),
        ("webhook-timestamp", at.as_str()),
        ("webhook-signature", signature.as_str()),
    ];
    assert_eq!(post(signed(), "/Act", &[], saga.action()).await.status, 401);
    assert_eq!(post(signed(), "/Act", &headers, saga.undo()).await.status, 401);
    assert_eq!(bed.effects(saga).await, (0, 0));
    assert_eq!(post(signed(), "/Act", &headers, saga.action()).await.status, 200);
    assert!(Http::new(bed.participant.clone()).secret("").is_err());
}
