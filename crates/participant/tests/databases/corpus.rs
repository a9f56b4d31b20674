//! The commands of `testbed/answers.json`, which the kit for Python answers the same: each as it
//! is written there, in its order, over HTTP and by message.

use std::collections::{BTreeMap, BTreeSet};

use amends_participant::{Channel, Http, Serving};
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use sqlx::Pool;
use tower::ServiceExt;

use crate::bed::{Bed, Gate, Tested, on_each_database};
use crate::messages::Served;

on_each_database! {
    alone
    each_command_has_its_answer_over_http
    each_breach_goes_to_the_dead_letters_by_message
}

/// One command, and what it is answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// POST where none is said.
    method: Option<String>,
    /// None for what can come by message only.
    path: Option<String>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    /// For what is no text.
    body_hex: Option<String>,
    /// With so many bytes, the last of them spaces.
    padded_to: Option<usize>,
    /// The service takes only what is signed with it.
    secret: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    /// The body of the answer, byte for byte.
    answer: Option<String>,
}

impl Entry {
    fn all() -> Vec<Self> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testbed/answers.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    fn body(&self) -> Bytes {
        let mut body = self.body.clone().unwrap_or_default().into_bytes();
        if let Some(hex) = &self.body_hex {
            let digits = hex.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
            body = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
        }
        body.resize(self.padded_to.unwrap_or(body.len()), b' ');
        body.into()
    }

    /// Where it says one.
    fn saga_id(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body()).ok()?;
        body["saga_id"].as_str().map(str::to_owned)
    }

    /// Nothing is to come of it, not even a row.
    fn is_a_breach(&self) -> bool {
        !matches!(self.status, Some(200 | 422 | 503))
    }
}

/// How much has been written: by the business, and by the guard.
async fn written<D: Tested>(bed: &Bed<D>) -> (i64, i64) {
    let count = async |sql| D::number(&bed.pool, sql).await.unwrap();
    let ledger = count("SELECT count(*) FROM ledger").await;
    (ledger, count("SELECT count(*) FROM amends_guard").await)
}

async fn each_command_has_its_answer_over_http<D: Tested>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    for entry in Entry::all() {
        let (Some(path), name) = (&entry.path, &entry.name) else { continue };
        let before = written(&bed).await;
        let mut http = Http::new(bed.participant.clone());
        if let Some(secret) = &entry.secret {
            http = http.secret(secret).unwrap();
        }
        let mut request = Request::builder().uri(path);
        request = request.method(entry.method.as_deref().unwrap_or("POST"));
        for (name, value) in &entry.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(entry.body())).unwrap();
        let response = http.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
        let is_json = content_type.as_deref() == Some("application/json");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert_eq!(Some(status), entry.status, "{name}: {body}");
        assert_eq!(is_json, !matches!(status, 404 | 405), "{name}: {content_type:?}");
        if let Some(answer) = &entry.answer {
            assert_eq!(body, *answer, "{name}");
        }
        if let Some(code) = &entry.code {
            let said: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(said["error"]["code"], **code, "{name}: {body}");
            assert!(said["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{name}");
            assert_eq!(said.get("retryable"), (status == 503).then_some(&Value::Bool(true)));
            assert!(!body.contains("five"), "{name}: no value is repeated: {body}");
        }
        if entry.is_a_breach() {
            assert_eq!(written(&bed).await, before, "{name} has changed something");
        }
    }
}

async fn each_breach_goes_to_the_dead_letters_by_message<D: Tested>(pool: Pool<D>) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let serving =
        |broker: std::sync::Arc<dyn Channel>| Serving::new(bed.participant.clone(), broker);
    let open = Served::start(serving);
    let mut closed: BTreeMap<String, Served> = BTreeMap::new();
    let mut told_to_closed = BTreeSet::new();
    for entry in Entry::all() {
        let name = &entry.name;
        let is_of_the_path =
            matches!(entry.status, Some(404 | 405)) || entry.code.as_deref() == Some("WRONG_PATH");
        if is_of_the_path {
            continue;
        }
        let served = match &entry.secret {
            None => &open,
            Some(secret) => closed
                .entry(secret.clone())
                .or_insert_with(|| Served::start(|broker| serving(broker).secret(secret).unwrap())),
        };
        if entry.secret.is_some() {
            told_to_closed.extend(entry.saga_id());
        }
        let before = written(&bed).await;
        let dead = served.broker.dead_letters().len();
        served.put_with(entry.body(), entry.headers.clone().into_iter().collect()).await;
        let letters = served.broker.dead_letters();
        if entry.is_a_breach() {
            let why = &letters.get(dead).unwrap_or_else(|| panic!("{name}: no dead letter")).1;
            let code = entry.code.as_deref().unwrap();
            assert!(why.starts_with(&format!("{code}: ")), "{name}: {why}");
            assert!(!why.contains(char::is_control), "{name}: {why}");
            assert_eq!(written(&bed).await, before, "{name} has changed something");
        } else {
            assert_eq!(letters.len(), dead, "{name}: {letters:?}");
        }
    }
    let _ = open.end().await;
    for served in closed.into_values() {
        let mut heard = served.end().await;
        // They have one outbox, and each relays what any of them has answered.
        heard.retain(|reply| {
            reply.saga_id.is_some_and(|id| told_to_closed.contains(&id.to_string()))
        });
        assert_eq!(heard, []);
    }
}

/// Whoever reads the page finds every code that can be heard.
#[test]
fn the_page_names_each_code() {
    let page = include_str!("../../../../docs/guard.md");
    for entry in Entry::all() {
        // The business's own refusal.
        let Some(code) = entry.code.filter(|code| code != "NO") else { continue };
        assert!(page.contains(&format!("| `{code}` |")), "docs/guard.md does not name {code}");
    }
}
