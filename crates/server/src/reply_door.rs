//! A door for callbacks alone: it takes what is posted to the `Amends-Reply-To` of a command, for a
//! program that sends commands and serves no sagas. What it reads, and what it refuses in which
//! words, is the server's.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_wire::{CommandId, Reply, TokenKey};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::connection;
use crate::extract::{Names, RawBody};
use crate::problem::{Answer, Code, Problem};
use crate::replies::{ReceiptWord, command_of, received, reply_of};
use crate::router::{around, method_not_allowed};
use crate::server::{Error, listen, travels_safely};
use crate::tls::Tls;

/// How many callbacks are taken at a time; more wait in the system's queue. Each may hold a body of
/// a megabyte.
const CONNECTIONS_MAX: usize = 64;

/// How long callbacks may take to finish once nobody waits for them any more.
const DRAIN: Duration = Duration::from_secs(1);

/// What was posted to the address of a command.
#[derive(Debug)]
pub struct Posted {
    /// The command, as its token says.
    pub command: CommandId,
    /// The reply; where it is none, why.
    pub reply: Result<Reply, String>,
    /// The body as it came.
    pub body: Bytes,
}

/// Why a reply is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What went wrong, for programs.
    pub code: Code,
    /// What happened, why, and what to do.
    pub detail: String,
}

/// Takes what comes through the door; must return at once.
pub trait ReplyTaker: Send + Sync + 'static {
    /// Takes it. What is no reply is shown to it as well, and refused whatever it says.
    fn take(&self, posted: Posted) -> Result<(), Refusal>;
}

/// A door that is open, and answers once it [`run`](Self::run)s.
pub struct ReplyDoor {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl fmt::Debug for ReplyDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyDoor").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ReplyDoor {
    /// Listens, and so reserves the port. Other than on loopback it takes a certificate, or the word
    /// `insecure`: a token is all that a callback shows.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        insecure: bool,
    ) -> Result<Self, Error> {
        travels_safely(address, tls.is_some() || insecure)?;
        let (listener, address) = listen(address).await?;
        Ok(Self { listener, address, tls })
    }

    /// Where it listens: with the port that the system picked, where it was to pick one.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The path of the address for this token.
    pub fn path(token: &str) -> String {
        format!("/v1/replies/{token}")
    }

    /// Hands on what comes with tokens of this key, until `shutdown` resolves.
    pub async fn run(
        self,
        key: TokenKey,
        taker: Arc<dyn ReplyTaker>,
        shutdown: impl Future<Output = ()>,
    ) {
        let router = Router::new()
            .route("/v1/replies/{token}", post(take))
            .fallback(elsewhere)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::new(Desk { key, taker }));
        let tls = self.tls.as_ref().map(Tls::acceptor);
        let router = around(router);
        connection::serve(self.listener, tls, router, CONNECTIONS_MAX, DRAIN, shutdown).await;
    }
}

struct Desk {
    key: TokenKey,
    taker: Arc<dyn ReplyTaker>,
}

async fn take(
    State(desk): State<Arc<Desk>>,
    Names(token): Names<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Answer<Response> {
    let command = command_of(Some(&desk.key), &token)?;
    let read = reply_of(&headers, &body);
    let reply = read.clone().map_err(|problem| problem.detail().to_owned());
    let taken = desk.taker.take(Posted { command, reply, body });
    read?;
    match taken {
        Ok(()) => Ok(received(ReceiptWord::Taken)),
        Err(Refusal { code, detail }) => Err(Problem::new(code, detail)),
    }
}

async fn elsewhere(uri: Uri) -> Problem {
    const SHOWN_CHARS_MAX: usize = 40;
    let path: String = uri.path().chars().take(SHOWN_CHARS_MAX).collect();
    let detail = format!(
        "there is nothing at {path}; post the answer to the Amends-Reply-To of the command, unchanged"
    );
    Problem::new(Code::NoSuchRoute, detail)
}
