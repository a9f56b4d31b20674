//! The REST API as a caller sees it: requests, and what its answers mean for a command.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::exit::{Exit, Failure};
use super::saga_view::SagaView;
use super::trust;

/// How long a connection may take to come about.
const CONNECT_SECS_MAX: u64 = 5;

/// How long an answer is waited for, over what the server was asked to wait.
const ANSWER_SECS_MAX: u64 = 30;

/// The list of sagas is a second behind at most.
const LIST_BEHIND: Duration = Duration::from_millis(1_100);

/// The largest answer that is read: a page of a thousand sagas has a tenth of it.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which server, and who asks.
#[derive(Args, Clone, Debug)]
pub struct Remote {
    /// The server
    #[arg(long, global = true, value_name = "URL", default_value = server_default(), env = "AMENDS_SERVER", help_heading = "Server")]
    server: String,
    /// The token to show; the environment keeps it out of the list of processes
    #[arg(
        long,
        global = true,
        value_name = "TOKEN",
        env = "AMENDS_TOKEN",
        hide_env_values = true,
        hide_default_value = true,
        help_heading = "Server"
    )]
    token: Option<String>,
    /// A certificate to trust, as PEM: the server's own, or its authority's; besides the system's
    #[arg(long, global = true, value_name = "FILE", env = "AMENDS_CA", help_heading = "Server")]
    ca: Option<PathBuf>,
}

fn server_default() -> String {
    format!("http://127.0.0.1:{}", amends_server::PORT_DEFAULT)
}

/// A server that can be asked.
pub struct Client {
    http: Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
    authorization: Option<HeaderValue>,
}

/// A good answer.
pub struct Answer {
    pub body: Bytes,
}

/// An error answer, as far as commands look at it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    title: String,
    detail: String,
    retry_after_secs: Option<u32>,
    diff: Vec<String>,
}

/// A page of something.
pub struct Page {
    pub rows: Vec<Box<RawValue>>,
    pub next: Option<String>,
}

impl Remote {
    /// The client for it. Nothing is sent yet.
    pub fn client(&self) -> Result<Client, Failure> {
        let server = self.server.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = server.parse().ok();
        let fits = uri.as_ref().is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none()
        });
        if !fits {
            let what = format!("--server {server:?} is no address of a server");
            return Err(Failure::new(Exit::Usage, what).hint(format!("write {}", server_default())));
        }
        let authorization = match &self.token {
            None => None,
            Some(token) => {
                let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
                let mut value = value.map_err(|_| {
                    Failure::new(Exit::Usage, "the token has characters that HTTP does not allow")
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Client { http: http_client(self.ca.as_deref())?, server, authorization })
    }
}

fn http_client(
    ca: Option<&Path>,
) -> Result<Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let trusted = ca.map_or(Ok(Vec::new()), trust::read)?;
    roots.add_parsable_certificates(trusted.iter().cloned());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(std::sync::Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(Exit::Error, error))?;
    let tls = match trusted.is_empty() {
        true => tls.with_root_certificates(roots).with_no_client_auth(),
        false => {
            let verifier = trust::verifier(roots, provider, trusted)?;
            tls.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(Duration::from_secs(CONNECT_SECS_MAX)));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(Pooled::builder(TokioExecutor::new()).build(https.wrap_connector(tcp)))
}

/// What goes with a request besides its path.
#[derive(Clone, Debug, Default)]
pub struct With {
    /// A JSON body, or a definition's own type.
    pub body: Option<(&'static str, Bytes)>,
    pub idempotency_key: Option<String>,
    pub seen: Option<u64>,
    /// How long the server was asked to wait.
    pub wait: Duration,
}

impl With {
    /// A JSON body.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self { body: Some(("application/json", body.into())), ..Self::default() }
    }
}

impl Client {
    /// Gets and reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, With::default()).await?.read()
    }

    /// Asks; anything but a good answer is a failure.
    pub async fn ask(&self, method: Method, path: &str, with: With) -> Result<Answer, Failure> {
        let patience = Duration::from_secs(ANSWER_SECS_MAX) + with.wait;
        let answered = async {
            let (status, body) = self.open(method, path, with).await?;
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes();
            Ok((status, body))
        };
        let answered = tokio::time::timeout(patience, answered).await;
        let (status, body) =
            answered.unwrap_or_else(|_| Err(self.unreachable("it does not answer in time")))?;
        if status.is_success() { Ok(Answer { body }) } else { Err(refusal(status, &body)) }
    }

    /// Asks, and gives the answer's body as it comes.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        with: With,
    ) -> Result<(StatusCode, Incoming), Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(key) = with.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(seq) = with.seen {
            request = request.header("if-match", format!("\"{seq}\""));
        }
        let body = match with.body {
            Some((kind, body)) => {
                request = request.header(CONTENT_TYPE, kind);
                body
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| Failure::new(Exit::Usage, error))?;
        let response = self.http.request(request).await.map_err(|error| {
            let mut why = error.to_string();
            let mut cause = error.source();
            while let Some(deeper) = cause {
                why = deeper.to_string();
                cause = deeper.source();
            }
            self.unreachable(&why)
        })?;
        let (parts, body) = response.into_parts();
        Ok((parts.status, body))
    }

    /// The signals that steps of a saga wait for: step and signal. None when they cannot be had:
    /// they are for hints.
    pub async fn signals(&self, saga: &SagaView) -> Vec<(String, String)> {
        #[derive(Deserialize)]
        struct Definition {
            steps: Vec<Step>,
        }
        #[derive(Deserialize)]
        struct Step {
            name: String,
            signal: Option<String>,
        }
        if !saga.waits_for_signal() {
            return Vec::new();
        }
        let path = format!("/v1/definitions/{}/{}", escaped(&saga.saga_type), saga.version);
        let Ok(definition) = self.get::<Definition>(&path).await else { return Vec::new() };
        definition.steps.into_iter().filter_map(|step| Some((step.name, step.signal?))).collect()
    }

    /// One page; `rows` is the name under which it has them.
    pub async fn page(&self, path: &str, rows: &str) -> Result<Page, Failure> {
        let mut page: std::collections::BTreeMap<String, Box<RawValue>> = self.get(path).await?;
        let rows = page.remove(rows).map_or_else(|| Ok(Vec::new()), |raw| read(raw.get()))?;
        let next = page.remove("next").map_or(Ok(None), |raw| read(raw.get()))?;
        Ok(Page { rows, next })
    }

    /// The id of the saga that a person means: an id, its beginning, or a business key.
    pub async fn saga_id(&self, said: &str) -> Result<String, Failure> {
        const UUID_CHARS: usize = 36;
        if said.len() == UUID_CHARS && said.split('-').count() == 5 {
            return Ok(said.to_owned());
        }
        match self.look_up(said).await {
            // It may have been started just now, by the command before this one.
            Err(failure) if failure.is(Exit::NotFound) => {
                tokio::time::sleep(LIST_BEHIND).await;
                self.look_up(said).await
            }
            found => found,
        }
    }

    async fn look_up(&self, said: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Row {
            saga_id: String,
            live: bool,
        }
        let mut found: Vec<Row> = Vec::new();
        let mut cursor = None;
        // A page may be empty and yet have a next one.
        while found.len() < 2 {
            let query =
                query(&[("q", Some(said)), ("limit", Some("2")), ("cursor", cursor.as_deref())]);
            let page = self.page(&format!("/v1/sagas{query}"), "sagas").await?;
            for row in &page.rows {
                found.push(read(row.get())?);
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        // A business key is used again; who says it means the saga that runs under it now.
        let live: Vec<_> = found.iter().filter(|row| row.live).collect();
        if let (2.., [one]) = (found.len(), live.as_slice()) {
            return Ok(one.saga_id.clone());
        }
        match found.as_slice() {
            [one] => Ok(one.saga_id.clone()),
            [] => {
                let what =
                    format!("no saga has an id that begins with {said:?}, or this business key");
                Err(Failure::new(Exit::NotFound, what)
                    .hint("amends list shows the sagas there are"))
            }
            many => {
                let ids: Vec<_> = many.iter().map(|row| row.saga_id.as_str()).collect();
                let what = format!("{said:?} means more than one saga: {}", ids.join(", "));
                Err(Failure::new(Exit::Conflict, what).hint("give more of the id"))
            }
        }
    }

    fn unreachable(&self, why: &str) -> Failure {
        let what = format!("no answer from the server at {}: {why}", self.server);
        let secure = self.server.starts_with("https://");
        let next = if why.contains("invalid peer certificate") {
            "--ca FILE, or AMENDS_CA, names the certificate that is to be trusted"
        } else if secure && why.contains("InvalidContentType") {
            "something without TLS listens there; write http://"
        } else if !secure && (why.contains("HTTP version") || why.contains("before message")) {
            "something that is no HTTP server listens there, or one with TLS; then write https://"
        } else {
            "start one with amends serve, or name another with --server or AMENDS_SERVER"
        };
        Failure::new(Exit::Unreachable, what).hint(next)
    }
}

impl Answer {
    /// Reads it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        read(text)
    }
}

/// Reads JSON that the server wrote.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let what = format!("the answer is not what an amends server gives: {error}");
        Failure::new(Exit::Error, what).hint("is this its address, and of this version?")
    })
}

/// `?a=b&c=d` of what is said.
pub fn query(said: &[(&str, Option<&str>)]) -> String {
    let pairs =
        said.iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped((*value)?))));
    let text = pairs.collect::<Vec<_>>().join("&");
    if text.is_empty() { text } else { format!("?{text}") }
}

/// A name as it stands in a path or a query.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(byte as char);
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// What an error answer means.
pub fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let exit = match status.as_u16() {
        400 | 405 | 413 | 415 | 422 => Exit::Usage,
        401 | 403 => Exit::Denied,
        404 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        408 | 429 | 503 => Exit::Busy,
        _ => Exit::Error,
    };
    let said = [problem.detail, problem.title].into_iter().find(|text| !text.is_empty());
    let Some(said) = said else {
        let what = format!("the server answered {status} without saying why");
        return Failure::new(exit, what).hint("is this the address of an amends server?");
    };
    let lines: String = problem.diff.iter().map(|line| format!("\n  {line}")).collect();
    let failure = Failure::new(exit, format!("{said}{lines}"));
    match (problem.code.as_str(), problem.retry_after_secs) {
        ("unauthenticated", _) => failure.hint("--token, or AMENDS_TOKEN in the environment"),
        ("unknown_saga_type", _) => failure.hint("amends definitions lists the types"),
        ("no_such_saga", _) => failure.hint("amends list shows the sagas there are"),
        ("verb_does_not_fit", _) => failure
            .hint("amends get shows where each step stands; a verb's --help says what it is for"),
        ("moved", _) => failure.hint("amends get shows it as it is now"),
        ("attempt_in_flight", _) => failure.hint("wait, or say --force"),
        (_, Some(secs)) => failure.hint(format_args!("try again in {secs} s")),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stands_in_the_query_and_nothing_else() {
        assert_eq!(query(&[("a", None)]), "");
        assert_eq!(
            query(&[("a", Some("x y&z")), ("b", None), ("c", Some("ü"))]),
            "?a=x%20y%26z&c=%C3%BC"
        );
    }

    #[test]
    fn each_refusal_has_its_exit_code() {
        for (status, exit) in [
            (400, Exit::Usage),
            (401, Exit::Denied),
            (404, Exit::NotFound),
            (409, Exit::Conflict),
            (412, Exit::Conflict),
            (429, Exit::Busy),
            (500, Exit::Error),
            (503, Exit::Busy),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = refusal(status, br#"{"code":"x","detail":"because"}"#);
            assert_eq!((failure.exit(), failure.what()), (exit, "because"));
        }
        assert!(refusal(StatusCode::BAD_GATEWAY, b"<html>").what().contains("502"));
    }

    #[test]
    fn an_address_that_is_none_is_refused_at_once() {
        for server in ["localhost", "ftp://h", "http://h/?x=1", ""] {
            let remote = Remote { server: server.to_owned(), token: None, ca: None };
            assert_eq!(remote.client().err().unwrap().exit(), Exit::Usage, "{server}");
        }
    }
}
