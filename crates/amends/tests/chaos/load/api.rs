//! The client's side of the REST API: what was answered, or that nothing was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longer than anything here is waited for at the server, so that only a hang meets it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The header that tells how far the journal was.
const POSITION: &str = "amends-position";

/// A server's API.
#[derive(Clone)]
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    answer_within: Duration,
    position: Arc<AtomicU64>,
}

/// What a call came to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// An answer.
    Of(u16, Value),
    /// Nobody took the connection: nothing was asked.
    NotSent,
    /// No whole answer: it may have been done.
    Unknown,
}

impl Api {
    pub fn at(port: u16) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let base = format!("http://127.0.0.1:{port}");
        Self { client, base, answer_within: ANSWER_WITHIN, position: Arc::default() }
    }

    /// The same for a caller who waits so long only.
    pub fn within(self, answer_within: Duration) -> Self {
        Self { answer_within, ..self }
    }

    /// The last position that an answer told: up to there everything answered before is durable.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, None).await
    }

    pub async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.call(Method::POST, path, key, Some(body)).await
    }

    /// What is no JSON.
    pub async fn text(&self, path: &str) -> Option<String> {
        let request = Request::get(format!("{}{path}", self.base)).body(Full::default()).ok()?;
        let response = self.client.request(request).await.ok()?;
        let bytes = response.into_body().collect().await.ok()?.to_bytes();
        String::from_utf8(bytes.into()).ok()
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body)).expect("paths and keys here are plain");
        let exchange = async {
            let response = match self.client.request(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Answer::NotSent,
                Err(_) => return Answer::Unknown,
            };
            let status = response.status().as_u16();
            let position = response.headers().get(POSITION).and_then(|at| at.to_str().ok());
            let position = position.and_then(|at| at.parse().ok()).unwrap_or(0);
            match response.into_body().collect().await {
                Ok(body) => {
                    self.position.fetch_max(position, Ordering::SeqCst);
                    let bytes = body.to_bytes();
                    Answer::Of(status, serde_json::from_slice(&bytes).unwrap_or_default())
                }
                Err(_) => Answer::Unknown,
            }
        };
        tokio::time::timeout(self.answer_within, exchange).await.unwrap_or(Answer::Unknown)
    }
}
