//! Answers by the callback: a reply by name, posted to the command's `Amends-Reply-To`.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::command::{Command, Direction};
use crate::guard::Told;

/// Tries until a callback is given up; with the pauses about six seconds, so that it outlives a
/// restart of the engine.
const TRIES_MAX: u32 = 6;

/// The pause after the first try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// One try may take so long.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// The reply that says what the command was told.
pub(crate) fn reply(command: &Command, told: &Told) -> Bytes {
    let body: Value = serde_json::from_str(&told.body).unwrap_or_default();
    let mut reply = match (command.direction, told.status < 300) {
        (Direction::Action, true) => json!({"type": "SagaStepCompleted", "result": body}),
        (Direction::Action, false) => json!({"type": "SagaStepFailed", "error": body["error"]}),
        (Direction::Compensation, true) => {
            json!({"type": "SagaCompensationCompleted", "undone": body["undone"]})
        }
        (Direction::Compensation, false) => {
            json!({"type": "SagaCompensationFailed", "error": body["error"]})
        }
    };
    reply["saga_id"] = json!(command.saga_id);
    reply["step_name"] = json!(command.step);
    reply["idempotency_key"] = json!(command.key);
    reply.to_string().into()
}

/// Posts a reply until it is taken.
pub(crate) async fn send(url: &str, reply: Bytes) -> anyhow::Result<()> {
    let uri: Uri = url.parse().with_context(|| format!("{url} is no URL"))?;
    let mut pause = FIRST_PAUSE;
    let mut tries = 1;
    loop {
        let sent = tokio::time::timeout(TRY_TIMEOUT, post(&uri, reply.clone())).await;
        match sent.unwrap_or_else(|_| bail!("no answer within {TRY_TIMEOUT:?}")) {
            Ok(()) => return Ok(()),
            Err(e) if tries == TRIES_MAX => return Err(e),
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
        tries += 1;
    }
}

async fn post(uri: &Uri, reply: Bytes) -> anyhow::Result<()> {
    let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
        bail!("{uri} is no http:// URL with a host; an example service knows no other");
    };
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", uri.authority().map_or(host, |authority| authority.as_str()))
        .header("content-type", "application/json")
        .body(Full::new(reply))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        anyhow::ensure!(response.status().is_success(), "it was answered {}", response.status());
        Ok(())
    };
    tokio::select! {
        answered = exchange => answered,
        ended = connection => match ended {
            Ok(()) => bail!("the connection closed without an answer"),
            Err(e) => Err(e.into()),
        },
    }
}
