//! The little of the REST API that the demonstration needs.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// An engine on the same machine answers in milliseconds, or something is wrong with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// An engine's API.
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

impl Api {
    pub fn at(port: u16) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { client, base: format!("http://127.0.0.1:{port}") }
    }

    /// Does it answer that it is ready?
    pub async fn is_ready(&self) -> bool {
        self.call(Method::GET, "/readyz", Bytes::new()).await.is_ok()
    }

    /// Starts a saga: its id.
    pub async fn start(&self, saga_type: &str, data: &Value) -> anyhow::Result<String> {
        let body = Bytes::from(data.to_string());
        let saga = self.call(Method::POST, &format!("/v1/sagas/{saga_type}"), body).await?;
        let id = saga["saga_id"].as_str().context("a started saga has no saga_id")?;
        Ok(id.to_owned())
    }

    /// A saga as it stands.
    pub async fn saga(&self, id: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, &format!("/v1/sagas/{id}"), Bytes::new()).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(&method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&body);
            ensure!(status.is_success(), "{method} {path} was answered {status}: {text}");
            Ok(serde_json::from_slice(&body).unwrap_or_default())
        };
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .with_context(|| format!("{method} {path} was not answered within {ANSWER_WITHIN:?}"))?
    }
}
