//! A proxy between a participant and its database: it counts round trips, and can swallow the
//! answer to a commit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a database's client writes when it commits, in the protocols of both.
const COMMIT: &[u8] = b"COMMIT";

/// The proxy; it goes with its runtime.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    round_trips: AtomicU64,
    cut_commits: AtomicBool,
    commits_cut: AtomicU64,
}

impl Proxy {
    /// In front of the server that listens on this port of the loopback.
    pub(crate) async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            round_trips: AtomicU64::new(0),
            cut_commits: AtomicBool::new(false),
            commits_cut: AtomicU64::new(0),
        }));
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(accepting.clone().carry(client, server));
            }
        });
        proxy
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.address.port()
    }

    /// How often a client has spoken after the server did.
    pub(crate) fn round_trips(&self) -> u64 {
        self.0.round_trips.load(Ordering::SeqCst)
    }

    /// From now on, whether commits arrive and their answers do not.
    pub(crate) fn cut_commits(&self, cut: bool) {
        self.0.cut_commits.store(cut, Ordering::SeqCst);
    }

    /// How many answers of commits were swallowed.
    pub(crate) fn commits_cut(&self) -> u64 {
        self.0.commits_cut.load(Ordering::SeqCst)
    }

    async fn carry(self, mut client: TcpStream, mut server: TcpStream) {
        let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
        let mut server_spoke_last = true;
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let Some(bytes) = read.ok().filter(|bytes| *bytes > 0) else { return };
                    if std::mem::take(&mut server_spoke_last) {
                        self.0.round_trips.fetch_add(1, Ordering::SeqCst);
                    }
                    let sent = &from_client[..bytes];
                    if server.write_all(sent).await.is_err() {
                        return;
                    }
                    let commits = sent.windows(COMMIT.len()).any(|window| window == COMMIT);
                    if commits && self.0.cut_commits.load(Ordering::SeqCst) {
                        // It has arrived when there is an answer to it.
                        let _ = server.read(&mut from_server).await;
                        self.0.commits_cut.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                read = server.read(&mut from_server) => {
                    let Some(bytes) = read.ok().filter(|bytes| *bytes > 0) else { return };
                    server_spoke_last = true;
                    if client.write_all(&from_server[..bytes]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
