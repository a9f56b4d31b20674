//! The server of one service: connections that stay open, a stop that lets work finish, and a
//! death to order.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::door::{Door, NoAnswer};

/// How long a stop waits for commands at work: a commit takes milliseconds.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How long a service that died to order stays away: long enough for a refused connection to be
/// seen.
const DEAD_FOR: Duration = Duration::from_millis(300);

/// Tries to get its port back after a death; somebody may hold it for a moment.
const REBIND_TRIES_MAX: u32 = 50;

/// The pause after a try, and after an accept that failed for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// The exit code of a process that died to order.
pub const CRASH_EXIT_CODE: i32 = 70;

/// What the fault `crash` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCrash {
    /// Every connection breaks, and the service is away for 300 ms.
    Restart,
    /// The process ends with [`CRASH_EXIT_CODE`]; who started it starts it again.
    Exit,
}

/// Serves until `stop` says so.
pub(crate) async fn serve(
    mut listener: TcpListener,
    door: Arc<Door>,
    on_crash: OnCrash,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    loop {
        match live(listener, &door).await {
            End::Stopped => return Ok(()),
            End::Died if on_crash == OnCrash::Exit => std::process::exit(CRASH_EXIT_CODE),
            End::Died => tokio::time::sleep(DEAD_FOR).await,
        }
        let mut tries = 1;
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(e) if tries == REBIND_TRIES_MAX => return Err(e),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            tries += 1;
        };
    }
}

enum End {
    Stopped,
    Died,
}

/// One life: from the first connection to the stop or the death.
async fn live(listener: TcpListener, door: &Arc<Door>) -> End {
    let router = Arc::clone(door).router();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, router.clone(), door.stop.clone()));
                    while connections.try_join_next().is_some() {}
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            () = stopped(door.stop.clone()) => break,
            () = door.died.notified() => {
                drop(listener);
                connections.shutdown().await;
                return End::Died;
            }
        }
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, finish).await.is_err() {
        eprintln!("{}: commands still at work after {STOP_GRACE:?} are cut off", door.service);
    }
    End::Stopped
}

/// Done when the services are told to stop, or nobody is left who could tell.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|&stop| stop).await;
}

/// The requests of one connection.
async fn converse(stream: TcpStream, router: Router, stop: watch::Receiver<bool>) {
    // An answer is small and waited for. A socket that cannot be set is about to fail anyway.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(router.clone(), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // A client that hangs up, or is hung up on to order, is part of the example.
    let _ = ended;
}

async fn answer(router: Router, request: hyper::Request<Incoming>) -> io::Result<Response> {
    let response = match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    match response.extensions().get::<NoAnswer>() {
        // An error makes hyper close the connection without a byte of an answer.
        Some(NoAnswer) => Err(io::Error::other("no answer, to order")),
        None => Ok(response),
    }
}
