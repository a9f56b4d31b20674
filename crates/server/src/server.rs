//! The server as a component: bound first, so that a taken port is known at once, then run.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_engine::Handle;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::connection;
use crate::options::Options;
use crate::router;

/// A server that listens, and answers once it [`run`](Self::run)s.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Acceptor>,
    router: Router,
    connections_max: usize,
    drain: Duration,
    stop: watch::Sender<bool>,
}

/// A certificate in use; it is never shown.
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// Why a server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program listens there.
    #[error(
        "port {port} of {ip} is taken: another program, perhaps another amends, listens there; stop it, or listen on another port (0 picks a free one)",
        port = .address.port(), ip = .address.ip()
    )]
    PortTaken {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not let it listen there.
    #[error(
        "cannot listen on {address}: {error}; give an address of this machine, and a port above 1023 or the right to use it"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Whoever reaches this address could do everything.
    #[error(
        "{address} can be reached from other machines, so callers must show tokens: give a tokens file, or listen on 127.0.0.1"
    )]
    NeedsTokens {
        /// The address.
        address: SocketAddr,
    },
    /// Tokens would be sent in clear.
    #[error(
        "{address} can be reached from other machines, so tokens must travel by TLS: give a certificate and its key, or say insecure where TLS ends in front of this server"
    )]
    NeedsTls {
        /// The address.
        address: SocketAddr,
    },
}

impl Server {
    /// Listens, and so reserves the port; nothing is answered yet.
    pub async fn bind(options: Options, handle: Handle) -> Result<Self, Error> {
        let address = options.listen;
        if !is_here(address) && options.tokens.is_none() {
            return Err(Error::NeedsTokens { address });
        }
        travels_safely(address, options.tls.is_some() || options.insecure)?;
        let (listener, address) = listen(address).await?;
        let tls = options.tls.as_ref().map(|tls| Acceptor(tls.acceptor()));
        let (connections_max, drain) = (options.connections_max, options.drain);
        let (stop, stopping) = watch::channel(false);
        let router = router::router(Arc::new(App::new(handle, options, stopping)));
        Ok(Self { listener, address, tls, router, connections_max, drain, stop })
    }

    /// Where it listens: with the port that the system picked, where it was to pick one.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` resolves; then takes no more connections, ends event streams and
    /// waits at once, and lets requests finish for a while.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, tls, router, connections_max, drain, stop, .. } = self;
        let stopped = async {
            shutdown.await;
            stop.send_replace(true);
        };
        let tls = tls.map(|Acceptor(tls)| tls);
        connection::serve(listener, tls, router, connections_max, drain, stopped).await;
    }
}

/// Can only this machine reach it?
fn is_here(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// No token travels in clear to or from another machine, unless it is `safe`: by TLS, or said to be.
pub fn travels_safely(address: SocketAddr, safe: bool) -> Result<(), Error> {
    if is_here(address) || safe { Ok(()) } else { Err(Error::NeedsTls { address }) }
}

/// Listens; the address is the one with the port that the system picked.
pub async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Error::PortTaken { address },
        _ => Error::Listen { address, error },
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}
