//! The service: a child, which is killed and started anew. It is this program again, or another one
//! with the same business (`bed`, in the language of its kit). Another is told the kind of its
//! database, its URL, and a mistake to make, in this order; it makes its tables where they are not
//! there, says its port in a line of its own, and ends when its standard input does.

use std::fmt;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use amends_participant::Http;
use amends_participant::guard::Mistake;
use sqlx::Pool;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, oneshot};

use crate::bed::{self, Bed, Gate, Tested};
use crate::chance::Chance;

/// Between a start and the next kill: from a few commands to some hundred, and always some of them
/// at work when it comes.
const BETWEEN_KILLS_MS: (u64, u64) = (5, 150);

/// The same of a service of which it is not known how fast it is.
const BETWEEN_KILLS_OF_ANOTHER_MS: (u64, u64) = (5, 500);

/// A service as it should be.
pub(crate) const NO_MISTAKE: &str = "as it is";

/// What the child does until it is killed.
pub(crate) async fn serve(kind: &str, url: &str, mistake: &str) -> ExitCode {
    let mistake = Mistake::ALL.into_iter().find(|known| format!("{known:?}") == mistake);
    match kind {
        "postgres" => listen(bed::postgres_pool(url).await, mistake).await,
        "mariadb" => listen(bed::mariadb_pool(url).await, mistake).await,
        _ => listen(bed::sqlite_pool(url.into()).await, mistake).await,
    }
    ExitCode::SUCCESS
}

async fn listen<D: Tested>(pool: Pool<D>, mistake: Option<Mistake>) {
    let participant = Bed::on(pool, mistake, Gate::standing_open()).await.participant;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    // It must not outlive who started it.
    let orphaned = async {
        let end = || std::io::Read::read(&mut std::io::stdin(), &mut [0; 1]);
        let _ = tokio::task::spawn_blocking(end).await;
    };
    tokio::select! {
        served = axum::serve(listener, Http::new(participant).router()) => served.unwrap(),
        () = orphaned => {}
    }
}

/// What the service is.
#[derive(Clone)]
pub(crate) struct Program {
    command: Vec<String>,
    between_kills_ms: (u64, u64),
}

impl Program {
    /// A command with its arguments; none for this program.
    pub(crate) fn of(another: Option<&[String]>) -> Self {
        let Some(command) = another else {
            let own = std::env::current_exe().unwrap().display().to_string();
            return Self {
                command: vec![own, "serve".to_owned()],
                between_kills_ms: BETWEEN_KILLS_MS,
            };
        };
        Self { command: command.to_vec(), between_kills_ms: BETWEEN_KILLS_OF_ANOTHER_MS }
    }
}

/// The service as a client sees it.
#[derive(Clone)]
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    program: Program,
    kind: &'static str,
    url: String,
    mistake: String,
    port: AtomicU16,
    child: Mutex<Child>,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.0.kind, self.0.mistake)
    }
}

impl Service {
    pub(crate) async fn start(
        program: &Program,
        kind: &'static str,
        url: &str,
        mistake: &str,
    ) -> Self {
        let (child, port) = spawn(program, kind, url, mistake).await;
        let (program, port, child) = (program.clone(), port.into(), Mutex::new(child));
        let (url, mistake) = (url.to_owned(), mistake.to_owned());
        Self(Arc::new(Inner { program, kind, url, mistake, port, child }))
    }

    /// Kills it, and starts it again, until it is told to stop.
    pub(crate) fn kill_at_random(&self, seed: u64) -> Killing {
        let (stop, mut stopped) = oneshot::channel();
        let (service, mut chance) = (self.clone(), Chance(seed ^ 0xdead));
        let killing = tokio::spawn(async move {
            let mut kills = 0;
            let (least, mut most) = service.0.program.between_kills_ms;
            loop {
                let wait = Duration::from_millis(least + chance.below(most - least));
                if tokio::time::timeout(wait, &mut stopped).await.is_ok() {
                    return kills;
                }
                // One that takes long to start would otherwise do nothing but that.
                let started_in = service.kill().await.as_millis();
                most = most.max(u64::try_from(started_in).unwrap_or(0));
                kills += 1;
            }
        });
        Killing { stop, killing }
    }

    /// How long it then takes until it listens again.
    async fn kill(&self) -> Duration {
        let mut child = self.0.child.lock().await;
        child.kill().await.unwrap();
        let Inner { program, kind, url, mistake, .. } = &*self.0;
        let killed = Instant::now();
        let (next, port) = spawn(program, kind, url, mistake).await;
        *child = next;
        self.0.port.store(port, Ordering::SeqCst);
        killed.elapsed()
    }

    /// One exchange: status and body, if any came.
    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Option<(u16, String)> {
        // While it is started anew nobody knocks: some programs take a second.
        drop(self.0.child.lock().await);
        let port = self.0.port.load(Ordering::SeqCst);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }
}

async fn spawn(program: &Program, kind: &str, url: &str, mistake: &str) -> (Child, u16) {
    let mut command = Command::new(&program.command[0]);
    command.args(&program.command[1..]).args([kind, url, mistake]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).await.unwrap();
    let port = line.trim().parse().unwrap_or_else(|_| panic!("the service says {line:?}"));
    (child, port)
}

/// The killing, until it is stopped.
pub(crate) struct Killing {
    stop: oneshot::Sender<()>,
    killing: tokio::task::JoinHandle<u32>,
}

impl Killing {
    /// How often it was killed.
    pub(crate) async fn stop(self) -> u32 {
        let _ = self.stop.send(());
        self.killing.await.unwrap()
    }
}
