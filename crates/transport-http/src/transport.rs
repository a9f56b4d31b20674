//! The transport itself: from a sending to an exchange to its outcome.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use amends_transport::{Closing, Exchanges, KEPT_OPEN_MAX, Outgoing, Replies, Transport};
use amends_wire::mutant::{Mutant, mutated};
use amends_wire::signature::Secret;
use amends_wire::{
    Answer, Exchange, Headers, Outcome, REPLY_BYTES_MAX, Rules, breach, classify, hide_in,
};
use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::HeaderMap;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;

use crate::client::{Client, client, explain, nothing_left};
use crate::request::request;
use crate::service::{BindError, Bound, HttpService};

/// The largest answer that is read; the exchange is cut off where it is larger.
pub const ANSWER_BYTES_MAX: usize = REPLY_BYTES_MAX;

/// How long a connection may take to come about, name, route and TLS together. Nothing has been
/// sent until then, so giving up is cheap.
const CONNECT_SECS_MAX: u64 = 5;

/// Commands as HTTP requests.
pub struct HttpTransport {
    services: RwLock<HashMap<Box<str>, Arc<Bound>>>,
    client: Client,
    exchanges: Exchanges,
}

/// What an [`HttpTransport`] is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its exchanges run.
    pub runtime: Handle,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How many exchanges stay open past their time-out.
    pub kept_open_max: usize,
    /// Certificates to trust besides the machine's own.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Options {
    /// The defaults, on this runtime.
    pub const fn new(runtime: Handle) -> Self {
        Self {
            runtime,
            connect_timeout: Duration::from_secs(CONNECT_SECS_MAX),
            kept_open_max: KEPT_OPEN_MAX,
            extra_roots: Vec::new(),
        }
    }

    /// A transport that knows no service yet. Fails when an extra certificate cannot be read.
    pub fn build(self) -> Result<HttpTransport, rustls::Error> {
        Ok(HttpTransport {
            services: RwLock::default(),
            client: client(self.connect_timeout, self.extra_roots)?,
            exchanges: Exchanges::new(self.runtime, self.kept_open_max),
        })
    }
}

impl HttpTransport {
    /// Binds a service, or binds it anew: what is sent from now on goes there.
    pub fn bind(&self, name: &str, service: HttpService) -> Result<(), BindError> {
        let bound = Arc::new(Bound::new(name, service)?);
        self.services.write().unwrap_or_else(PoisonError::into_inner).insert(name.into(), bound);
        Ok(())
    }

    /// Forgets a service. What is open goes on.
    pub fn unbind(&self, name: &str) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// One exchange that the caller waits for itself, without a limit on its time, and the answer as
    /// it came: for those who look at a participant's every word. What was secret in the request is
    /// taken out of it.
    pub fn exchange(
        &self,
        outgoing: Outgoing,
    ) -> impl Future<Output = (Outcome, Option<Seen>)> + Send + use<> {
        self.exchange_altered(outgoing, |_| {})
    }

    /// The same with another head than an engine would send: for those who try a participant with
    /// what is no command.
    pub fn exchange_altered<A: FnOnce(&mut Parts) + Send>(
        &self,
        outgoing: Outgoing,
        alter: A,
    ) -> impl Future<Output = (Outcome, Option<Seen>)> + Send + use<A> {
        let (client, bound) = (self.client.clone(), self.bound(&outgoing.service));
        async move {
            match bound {
                Some(bound) => exchange(client, bound, outgoing, alter).await,
                None => (unbound(&outgoing.service), None),
            }
        }
    }

    /// Takes what was secret in a sending out of a text that its participant said elsewhere, in a
    /// callback say.
    pub fn conceal(&self, outgoing: &Outgoing, text: &mut String) {
        if let Some(bound) = self.bound(&outgoing.service) {
            secrets(&bound, outgoing).for_each(|secret| hide_in(text, secret));
        }
    }

    fn bound(&self, name: &str) -> Option<Arc<Bound>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").finish_non_exhaustive()
    }
}

impl Transport for HttpTransport {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let Some(bound) = self.bound(&outgoing.service) else {
            return replies.end(outgoing.ticket, unbound(&outgoing.service));
        };
        let (ticket, patience) = (outgoing.ticket, outgoing.patience);
        let client = self.client.clone();
        let exchange = async move { exchange(client, bound, outgoing, |_| {}).await.0 };
        self.exchanges.open(ticket, patience, replies, exchange);
    }

    fn kept_open(&self) -> usize {
        self.exchanges.kept_open()
    }

    fn close(&self, grace: Duration) -> Closing {
        self.exchanges.close(grace)
    }
}

/// An answer as it came, without what was secret in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP status.
    pub status: u16,
    /// The start of the body, as text.
    pub body: String,
}

/// How much of a body is seen: enough to tell an answer by.
const SEEN_BYTES_MAX: usize = 1024;

fn unbound(service: &str) -> Outcome {
    Outcome::not_sent(format!("{service} is bound to no address; add it to `services`"))
}

async fn exchange(
    client: Client,
    bound: Arc<Bound>,
    outgoing: Outgoing,
    alter: impl FnOnce(&mut Parts) + Send,
) -> (Outcome, Option<Seen>) {
    let Some(target) = bound.target(&outgoing.command) else {
        let why = format!("{} makes no URL path; give it one in `commands`", outgoing.command);
        return (Outcome::not_sent(why), None);
    };
    let url = target.to_string();
    let (mut head, body) = request(&bound, target, &outgoing).into_parts();
    alter(&mut head);
    let request = Request::from_parts(head, body);
    let (outcome, seen) = match client.request(request).await {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let status = head.status.as_u16();
            let (outcome, body) =
                answer(&bound, &outgoing, &url, status, &head.headers, body).await;
            (outcome, Some((status, body)))
        }
        Err(e) if nothing_left(&e) => (Outcome::not_sent(format!("{url}: {}", explain(&e))), None),
        Err(e) => (Outcome::unknown(format!("the exchange broke off: {}", explain(&e))), None),
    };
    let seen = seen.map(|(status, body)| {
        let start = &body[..body.len().min(SEEN_BYTES_MAX)];
        let mut body = String::from_utf8_lossy(start).into_owned();
        secrets(&bound, &outgoing).for_each(|secret| hide_in(&mut body, secret));
        Seen { status, body }
    });
    (without_secrets(outcome, &bound, &outgoing), seen)
}

async fn answer(
    bound: &Bound,
    outgoing: &Outgoing,
    url: &str,
    status: u16,
    headers: &HeaderMap,
    body: Incoming,
) -> (Outcome, Bytes) {
    let asked = Exchange {
        direction: outgoing.ticket.direction,
        saga_id: outgoing.saga_id(),
        step_name: &outgoing.step_name,
        round: outgoing.ticket.round,
        attempt: outgoing.ticket.attempt,
        another_sending_open: outgoing.another_sending_open,
        method: "POST",
        url,
    };
    let body = match read(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge(start)) => {
            let what = format!("its body is larger than {ANSWER_BYTES_MAX} bytes");
            return (breach(&asked, status, &what, &start), start);
        }
        Err(Unread::Broken(e)) => {
            let why = explain(&e);
            let why = format!("HTTP {status}, then the answer broke off: {why}");
            return (Outcome::unknown(why), Bytes::new());
        }
    };
    let rules = Rules {
        codes: &outgoing.codes,
        refused_when: bound.service.refused_when.as_ref().map(|f| &**f as amends_wire::RefusedWhen),
        not_found_is_gone: bound.service.not_found_is_gone,
    };
    let answer = Answer { status, headers: &Received(headers), body: &body };
    (classify(&asked, &rules, &answer), body)
}

/// The headers of an answer.
struct Received<'a>(&'a HeaderMap);

impl Headers for Received<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }
}

enum Unread {
    TooLarge(Bytes),
    Broken(hyper::Error),
}

/// The whole body, without a copy when it comes in one piece.
async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else { continue };
        if whole.len() + parts.len() + data.len() > ANSWER_BYTES_MAX {
            let first = [&parts[..], &whole[..], &data[..]].into_iter().find(|b| !b.is_empty());
            return Err(Unread::TooLarge(Bytes::copy_from_slice(start_of(first))));
        }
        if parts.is_empty() && whole.is_empty() {
            whole = data;
            if body.is_end_stream() {
                break;
            }
        } else {
            if parts.is_empty() {
                parts.extend_from_slice(&std::mem::take(&mut whole));
            }
            parts.extend_from_slice(&data);
        }
    }
    Ok(if parts.is_empty() { whole } else { parts.freeze() })
}

fn start_of(bytes: Option<&[u8]>) -> &[u8] {
    let bytes = bytes.unwrap_or_default();
    &bytes[..bytes.len().min(amends_wire::NOTE_BODY_BYTES_MAX)]
}

/// What was secret in a request, and what it was signed with: the participant has that, too.
fn secrets<'a>(bound: &'a Bound, outgoing: &'a Outgoing) -> impl Iterator<Item = &'a str> {
    let sent = bound.headers.values().filter_map(|value| value.to_str().ok());
    let reply_to = outgoing.reply_to.as_deref();
    // Of a reply address the token alone is a credential, too.
    let token = reply_to.and_then(|address| address.rsplit('/').next());
    let signing: &[Secret] =
        if mutated(Mutant::ForgetsSigningSecrets) { &[] } else { &bound.service.secrets };
    let signing = signing.iter().map(Secret::text);
    sent.chain(reply_to)
        .chain(token)
        // A scheme's name is public, what follows it is not.
        .map(|secret| secret.rsplit(' ').next().unwrap_or(secret))
        .chain(signing)
}

/// Participants echo what they were sent, error pages above all: what was secret in the request
/// is taken out of every text that goes into facts and notes (S24).
fn without_secrets(mut outcome: Outcome, bound: &Bound, outgoing: &Outgoing) -> Outcome {
    if mutated(Mutant::KeepsEchoes) {
        return outcome;
    }
    let hide = |text: &mut String| {
        secrets(bound, outgoing).for_each(|secret| hide_in(text, secret));
    };
    match &mut outcome {
        Outcome::Refused { error }
        | Outcome::Transient { error, .. }
        | Outcome::NotSent { error } => error.conceal(hide),
        Outcome::Unknown { error, contract } => {
            error.conceal(hide);
            if let Some(note) = contract {
                hide(note);
            }
        }
        _ => {}
    }
    outcome
}
