//! The parts of a benchmark that are processes of their own: the binary starts itself.
//!
//! A part says in a line of JSON on its standard output when it is ready, and ends when its
//! standard input does, so that none outlives the benchmark that started it.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::brokers;
use super::work::{Asked, RESULT, Work};
use super::{Arguments, Error, Mode, Part, inflight};

/// A refusal as a service writes it.
const REFUSAL: &[u8] = br#"{"error":{"code":"NO","message":"refused as asked"}}"#;

/// A part that runs.
pub struct Running {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Running {
    /// Starts one with the arguments of the benchmark.
    pub fn start(part: Part, arguments: &Arguments, folder: Option<&Path>) -> Result<Self, Error> {
        let lost = |source: std::io::Error| Error::Lost(format!("a part did not start: {source}"));
        let mut command = Command::new(std::env::current_exe().map_err(lost)?);
        command.args(["bench", "--part", part.name()]).args(arguments.words());
        if let Some(folder) = folder {
            command.arg("--data").arg(folder);
        }
        // Not as words: an address may have a password.
        command.envs(arguments.brokers.environment());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(lost)?;
        let said = child.stdout.take().ok_or_else(|| Error::Lost("a part is mute".to_owned()))?;
        Ok(Self { child, said: BufReader::new(said) })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its line.
    pub async fn ready<T: DeserializeOwned + Send + 'static>(mut self) -> Result<(Self, T), Error> {
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            let read = self.said.read_line(&mut line);
            (self, read.map(|_| line))
        });
        let lost = |why: String| Error::Lost(format!("a part of the benchmark broke off: {why}"));
        let (running, line) = reading.await.map_err(|panic| lost(panic.to_string()))?;
        let line = line.map_err(|error| lost(error.to_string()))?;
        let said =
            serde_json::from_str(&line).map_err(|_| lost("see what it wrote above".to_owned()))?;
        Ok((running, said))
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        let _ = self.child.kill(); // it has ended already
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended already
        let _ = self.child.wait();
    }
}

/// Where the participants listen.
#[derive(Deserialize, Serialize)]
pub struct Listening {
    pub port: u16,
}

/// Runs a part of the benchmark in this process.
pub async fn run(part: Part, arguments: &Arguments) -> Result<(), Error> {
    match part {
        Part::Participants if arguments.mode == Mode::Http => participants(arguments.work()).await,
        Part::Participants => brokers::participants(arguments).await,
        Part::Echo => brokers::echo(arguments).await,
        Part::Fill => inflight::fill(arguments).await,
        Part::Recover => inflight::recover(arguments).await,
    }
}

/// Says the line that the benchmark waits for, and goes on until that ends.
pub async fn say(line: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(line).map_err(|error| Error::Lost(error.to_string()))?;
    let lost = |error: std::io::Error| Error::Lost(error.to_string());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(lost)
}

/// Waits until whoever started this part has ended.
pub async fn until_the_end() {
    let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(read).await; // an error is an end, too
}

/// Participants over HTTP that answer at once.
async fn participants(work: Work) -> Result<(), Error> {
    let lost = |error: std::io::Error| Error::Lost(format!("the participants: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(lost)?;
    let port = listener.local_addr().map_err(lost)?.port();
    let refusing: Bytes = format!("/{}/Do", super::work::service(work.refusing_step())).into();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true); // slower, and as right
            let refusing = refusing.clone();
            let service = service_fn(move |request| answer(request, refusing.clone()));
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serving);
        }
    });
    say(&Listening { port }).await?;
    until_the_end().await;
    Ok(())
}

async fn answer(
    request: Request<Incoming>,
    refusing: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let may_refuse = request.uri().path().as_bytes() == refusing;
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let (status, body) = match body {
        Err(_) => (StatusCode::BAD_REQUEST, &b"{}"[..]),
        Ok(body) if may_refuse && refuses(&body) => (StatusCode::UNPROCESSABLE_ENTITY, REFUSAL),
        Ok(_) => (StatusCode::OK, RESULT),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body)));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    Ok(response)
}

fn refuses(body: &[u8]) -> bool {
    serde_json::from_slice::<Asked>(body).is_ok_and(|asked| asked.refuse)
}
