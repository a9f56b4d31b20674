//! A server's router over an engine whose participants do what the data tells them.

use std::sync::Arc;

use amends_definition::{Binding, Surroundings, check};
use amends_engine::{Binder, Carrier, Deployment, Engine, Handle};
use amends_store::memory::Disk;
use amends_transport::{Answer, CommandView, Fail, InProcess};
use amends_wire::TokenKey;
use amends_wire::signature::Secret;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::app::App;
use crate::options::{Options, Secrets};
use crate::router;
use crate::tokens::Tokens;

/// `Order` runs three steps; its data says by command what a participant does instead of its work:
/// `refuse`, `accept` (the answer comes later), `later` (not now), and the same with what it was sent
/// quoted: `echo`, `echo_later`.
pub const ORDER: &str = r#"
saga: Order
defaults:
  undo_policy: { timeout: 5s, retry: { max_attempts: 1 } }
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund, deadline: 10m }
  - { name: ship, action: Shipping.Create, compensation: Shipping.Cancel }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
  Shipping: { fence: barrier }
"#;

const KEYED: &str = r#"
saga: Keyed
business_key: "${ data.order_id }"
steps:
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund, deadline: 10m }
services:
  Payment: { fence: barrier }
"#;

const APPROVAL: &str = r#"
saga: Approval
steps:
  - { name: approve, signal: approval, deadline: 1d, on_deadline: refuse }
  - { name: pay, action: Payment.Charge, compensation: Payment.Refund }
services:
  Payment: { fence: barrier }
"#;

const SECRETIVE: &str = r#"
saga: Secretive
steps:
  - name: pay
    action: Payment.Charge
    compensation: Payment.Refund
    input: { amount: "${ data.total }", token: "${ data.card }" }
    redact: [token]
services:
  Payment: { fence: barrier }
"#;

/// Its participants quote what they were sent.
const ECHOING: &str = r#"
saga: Echoing
business_key: "${ data.card }"
defaults:
  undo_policy: { timeout: 5s, retry: { max_attempts: 1 } }
steps:
  - { name: reserve, action: Inventory.Reserve, compensation: Inventory.Release }
  - name: pay
    action: Payment.Charge
    compensation: Payment.Refund
    input: { token: "${ data.card }", pin: 9876543, "Payment.Charge": "${ data.how }" }
    redact: [token, pin]
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
"#;

/// Every run of its step does what its own parcel says.
const PARCELS: &str = r#"
saga: Parcels
steps:
  - name: ship
    action: Shipping.Create
    compensation: Shipping.Cancel
    deadline: 10m
    for_each: "${ data.parcels }"
    input: "${ item }"
  - { name: pay, kind: pivot, action: Payment.Charge }
  - { name: notify, kind: best_effort, action: Inventory.Reserve }
services:
  Inventory: { fence: barrier }
  Payment: { fence: barrier }
  Shipping: { fence: barrier }
"#;

/// The tokens of a server that has some.
pub const TOKENS: &str = r#"
[[token]]
name = "vera"
role = "viewer"
token = "viewer-viewer-viewer"
[[token]]
name = "stan"
role = "starter"
token = "starter-starter-starter"
[[token]]
name = "olga"
role = "operator"
token = "operator-operator-operator"
[[token]]
name = "adam"
role = "admin"
token = "admin-admin-admin-admin"
[[token]]
name = "pay"
role = "participant"
services = ["Payment"]
token = "participant-participant"
"#;

/// What `Payment` signs with.
pub const PAYMENT_SECRET: &str = "whsec_cGF5bWVudC1wYXltZW50LXBheW1lbnQ=";

pub struct Bench {
    pub engine: Engine,
    pub router: Router,
    pub stop: watch::Sender<bool>,
    pub key: TokenKey,
    pub disk: Disk,
}

pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    /// The JSON answer.
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a problem, after a look at its form.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{:?}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| text.len() > 3), "{problem}");
        }
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

impl Bench {
    /// Without tokens, as on loopback.
    pub async fn open() -> Self {
        Self::with(None).await
    }

    /// With [`TOKENS`].
    pub async fn guarded() -> Self {
        Self::with(Some(Tokens::parse(TOKENS).unwrap())).await
    }

    async fn with(tokens: Option<Tokens>) -> Self {
        Self::on(Disk::new(), tokens).await
    }

    /// On what a disk holds.
    pub async fn on(disk: Disk, tokens: Option<Tokens>) -> Self {
        let key = TokenKey::new(&[7; 32]).unwrap();
        let engine = engine(&disk, &key).await;
        let (stop, stopping) = watch::channel(false);
        let options = Options {
            tokens,
            token_key: Some(key.clone()),
            secrets: Arc::new(OneSecret),
            ..Options::default()
        };
        let app = App::new(engine.handle(), options, stopping);
        Self { engine, router: router::router(Arc::new(app)), stop, key, disk }
    }

    pub fn handle(&self) -> Handle {
        self.engine.handle()
    }

    /// Sends a request with these header lines.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Got {
        let response = self.open_response(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Got { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The same, with the body still to be read.
    pub async fn open_response(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:7100");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Got {
        self.send("POST", path, &[JSON], body.to_string()).await
    }

    /// Starts a saga and answers its id.
    pub async fn start(&self, saga_type: &str, data: &Value) -> String {
        let got = self.post(&format!("/v1/sagas/{saga_type}"), data).await;
        assert_eq!(got.status, 201, "{:?}", got.body);
        got.json()["saga_id"].as_str().unwrap().to_owned()
    }

    /// The saga once it is as it should be. It is looked at after every transition.
    pub async fn until(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut transitions = self.handle().transitions();
        loop {
            let saga = self.get(&format!("/v1/sagas/{id}")).await.json();
            if is(&saga) {
                return saga;
            }
            let moved = tokio::time::timeout(PATIENCE, transitions.recv()).await;
            assert!(moved.is_ok(), "the saga stays as it is: {saga:#}");
        }
    }

    /// The saga at its end.
    pub async fn ended(&self, id: &str) -> Value {
        self.until(id, |saga| !saga["ended_at"].is_null()).await
    }
}

/// How long a test waits for what must come.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

pub const JSON: (&str, &str) = ("content-type", "application/json");

/// The header with a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The step of that name.
pub fn step<'s>(saga: &'s Value, name: &str) -> &'s Value {
    let steps = saga["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("{saga:#}"))
}

/// An engine with the definitions above.
pub async fn engine(disk: &Disk, key: &TokenKey) -> Engine {
    let mut participants = InProcess::new(tokio::runtime::Handle::current());
    for command in [
        "Inventory.Reserve",
        "Inventory.Release",
        "Payment.Charge",
        "Payment.Refund",
        "Shipping.Create",
        "Shipping.Cancel",
    ] {
        participants = participants.handle(command, carry_out);
    }
    let binder = OneCarrier(Arc::new(participants));
    let options = amends_engine::Options {
        public_url: Some("http://localhost:7100".to_owned()),
        token_key: Some(key.clone()),
        ..amends_engine::Options::default()
    };
    let engine = Engine::start(options, disk.open(), Arc::new(binder)).await.unwrap();
    let files = [ORDER, KEYED, APPROVAL, SECRETIVE, ECHOING, PARCELS].map(|file| {
        let checked = check(file.as_bytes(), "test.yaml", &Surroundings::none());
        let compiled = checked.compiled.unwrap_or_else(|| panic!("{:#?}", checked.findings));
        Deployment { compiled }
    });
    engine.handle().deploy(files.into()).await.unwrap();
    engine
}

async fn carry_out(command: CommandView) -> Result<Answer, Fail> {
    let data: Value = serde_json::from_slice(&command.data())?;
    match data.get(command.command()).and_then(Value::as_str) {
        Some("refuse") => Err(Fail::refused_with("NO", "it is refused")),
        Some("accept") => Ok(Answer::Accepted),
        Some("echo") => Err(Fail::refused_with(quoted(&data), format!("no {}", quoted(&data)))),
        Some("echo_later") => Err(Fail::transient(format!("not now: {}", quoted(&data)))),
        Some("later") => Err(Fail::transient("not now")),
        _ if data.get("token").is_some() => Ok(serde_json::json!({"token": data["token"]}).into()),
        _ => Ok(serde_json::json!({"did": command.command()}).into()),
    }
}

/// The card as a careless participant quotes it.
fn quoted(data: &Value) -> String {
    let card = data.get("token").or_else(|| data.get("card")).and_then(Value::as_str);
    format!("CARD_{}", card.unwrap_or_default())
}

struct OneCarrier(Arc<InProcess>);

impl Binder for OneCarrier {
    fn bind(&self, _service: &str, _binding: &Binding) -> Option<Carrier> {
        let transport = Arc::clone(&self.0) as Arc<dyn amends_transport::Transport>;
        Some(Carrier { transport, answers_by_message: false })
    }
}

struct OneSecret;

impl Secrets for OneSecret {
    fn secrets(&self, service: &str, _binding: &Binding) -> Vec<Secret> {
        let known = service == "Payment";
        known.then(|| Secret::new(PAYMENT_SECRET).unwrap()).into_iter().collect()
    }
}
