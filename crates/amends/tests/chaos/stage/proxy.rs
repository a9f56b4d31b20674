//! A network that misbehaves: a TCP proxy before every participant, and before the server itself.
//!
//! What arrives from the caller in one piece is one request here, since both ends speak HTTP/1.1
//! without pipelining and write a small request at once. Where a request comes in two pieces, a
//! fault may strike between them, which is a fault too.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dice::Dice;

/// The longest request that stays in one piece: larger than any command of the load.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// How long a request is delayed at most: as long as an attempt is waited for, and half as much
/// again.
const DELAY_MS_MAX: u64 = 600;

/// How late a second copy comes at most: when the saga has long been undone, or ended.
const COPY_LATE_MS_MAX: u64 = 3_000;

/// How an answer trickles: so many bytes at a time, so many milliseconds apart. An answer of 300
/// bytes takes about half the time that is waited for it.
const TRICKLE_BYTES: usize = 8;
const TRICKLE_MS: u64 = 6;

/// Between two tries to have the port back.
const BIND_AGAIN: Duration = Duration::from_millis(10);

/// What a network does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The request arrives late.
    Delay,
    /// The connection breaks before the request was passed on.
    ResetBefore,
    /// It breaks after the request was passed on.
    ResetAfter,
    /// The caller's half of the connection closes once the request was passed on.
    HalfClose,
    /// The request is carried out, and its answer is not passed on.
    AnswerSwallowed,
    /// The answer breaks off in the middle.
    AnswerCut,
    /// Bytes come that are no answer.
    AnswerGarbled,
    /// The answer comes a few bytes at a time.
    Trickle,
    /// The request is not passed on, and nothing is said.
    BlackHole,
    /// The request arrives twice, the second time late.
    Copied,
    /// Nobody takes the connection.
    Refused,
}

impl Fault {
    pub const ALL: [Self; 11] = [
        Self::Delay,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::HalfClose,
        Self::AnswerSwallowed,
        Self::AnswerCut,
        Self::AnswerGarbled,
        Self::Trickle,
        Self::BlackHole,
        Self::Copied,
        Self::Refused,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "request delayed",
            Self::ResetBefore => "reset before the request",
            Self::ResetAfter => "reset after the request",
            Self::HalfClose => "half-close",
            Self::AnswerSwallowed => "answer swallowed",
            Self::AnswerCut => "answer cut",
            Self::AnswerGarbled => "answer garbled",
            Self::Trickle => "answer trickles",
            Self::BlackHole => "black hole",
            Self::Copied => "request copied",
            Self::Refused => "connection refused",
        }
    }
}

/// A proxy at work.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    weather: Arc<Weather>,
}

/// What it does to the requests that come.
struct Weather {
    now: Mutex<Option<(Fault, u64)>>,
    dice: Mutex<Dice>,
    refusing: watch::Sender<bool>,
    struck: [AtomicU64; Fault::ALL.len()],
}

impl Proxy {
    /// Passes on what comes at `port` to `upstream`.
    pub fn start(port: u16, upstream: u16, dice: Dice) -> Self {
        let weather = Arc::new(Weather {
            now: Mutex::new(None),
            dice: Mutex::new(dice),
            refusing: watch::Sender::new(false),
            struck: Default::default(),
        });
        tokio::spawn(serve(port, upstream, Arc::clone(&weather)));
        Self { port, weather }
    }

    /// From now on so many of a hundred requests meet the fault.
    pub fn storm(&self, fault: Fault, percent: u64) {
        *self.weather.now.lock().unwrap() = Some((fault, percent));
        self.weather.refusing.send_replace(fault == Fault::Refused);
    }

    /// From now on everything is passed on.
    pub fn calm(&self) {
        *self.weather.now.lock().unwrap() = None;
        self.weather.refusing.send_replace(false);
    }

    /// How often a fault has struck.
    pub fn struck(&self, fault: Fault) -> u64 {
        self.weather.struck[fault as usize].load(Ordering::Relaxed)
    }
}

impl Weather {
    /// What strikes the next request.
    fn draw(&self) -> Option<Fault> {
        let (fault, percent) = (*self.now.lock().unwrap())?;
        let strikes = fault != Fault::Refused && self.dice.lock().unwrap().percent(percent);
        strikes.then(|| self.strike(fault))
    }

    fn strike(&self, fault: Fault) -> Fault {
        self.struck[fault as usize].fetch_add(1, Ordering::Relaxed);
        fault
    }

    fn wait(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.dice.lock().unwrap().below(most_ms))
    }
}

async fn serve(port: u16, upstream: u16, weather: Arc<Weather>) {
    let mut refusing = weather.refusing.subscribe();
    loop {
        drop(refusing.wait_for(|refusing| !refusing).await); // or nobody is left to refuse
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => listener,
            Err(_) => {
                tokio::time::sleep(BIND_AGAIN).await;
                continue;
            }
        };
        let mut connections = JoinSet::new();
        while !*refusing.borrow_and_update() {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((caller, _)) => {
                        connections.spawn(converse(caller, upstream, Arc::clone(&weather)));
                        while connections.try_join_next().is_some() {}
                    }
                    Err(_) => tokio::time::sleep(BIND_AGAIN).await,
                },
                _ = refusing.changed() => {}
            }
        }
        drop(listener);
        connections.shutdown().await;
        // Counted when it is so, by one who tries.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            weather.strike(Fault::Refused);
        }
    }
}

/// One connection. Whatever goes wrong with a socket here is what a network does.
async fn converse(mut caller: TcpStream, upstream: u16, weather: Arc<Weather>) {
    let Ok(mut service) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
        return reset(caller);
    };
    let _ = (caller.set_nodelay(true), service.set_nodelay(true));
    let (mut request, mut answer) = (vec![0; PIECE_BYTES_MAX], vec![0; PIECE_BYTES_MAX]);
    let mut fault = None;
    loop {
        tokio::select! {
            read = caller.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                let request = &request[..length];
                fault = weather.draw();
                match fault {
                    Some(Fault::ResetBefore) => return reset(caller),
                    Some(Fault::BlackHole) => return silence(caller).await,
                    Some(Fault::Delay) => tokio::time::sleep(weather.wait(DELAY_MS_MAX)).await,
                    Some(Fault::Copied) => copy(request, upstream, &weather),
                    _ => {}
                }
                if service.write_all(request).await.is_err() {
                    return reset(caller);
                }
                match fault {
                    Some(Fault::ResetAfter) => return reset(caller),
                    Some(Fault::HalfClose) => drop(service.shutdown().await),
                    _ => {}
                }
            }
            read = service.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                let answer = &answer[..length];
                let passed = match fault {
                    Some(Fault::AnswerSwallowed) => return silence(caller).await,
                    Some(Fault::AnswerCut) => {
                        let _ = caller.write_all(&answer[..length / 2]).await;
                        return;
                    }
                    Some(Fault::AnswerGarbled) => {
                        let _ = caller.write_all(b"\0\x01 this is no answer \xff\r\n\r\n").await;
                        return;
                    }
                    Some(Fault::Trickle) => trickle(&mut caller, answer).await,
                    _ => caller.write_all(answer).await,
                };
                if passed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Closes it so that the other end sees a reset.
fn reset(caller: TcpStream) {
    let _ = caller.set_zero_linger();
}

/// Says nothing until the caller is tired of it.
async fn silence(mut caller: TcpStream) {
    let mut ignored = vec![0; PIECE_BYTES_MAX];
    while let Ok(1..) = caller.read(&mut ignored).await {}
}

async fn trickle(caller: &mut TcpStream, answer: &[u8]) -> std::io::Result<()> {
    for drop in answer.chunks(TRICKLE_BYTES) {
        caller.write_all(drop).await?;
        tokio::time::sleep(Duration::from_millis(TRICKLE_MS)).await;
    }
    Ok(())
}

/// Brings the request a second time, some time later, whose answer nobody hears.
fn copy(request: &[u8], upstream: u16, weather: &Weather) {
    let (request, late) = (request.to_vec(), weather.wait(COPY_LATE_MS_MAX));
    tokio::spawn(async move {
        tokio::time::sleep(late).await;
        let Ok(mut service) = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await else {
            return;
        };
        if service.write_all(&request).await.is_ok() {
            let _ = service.read(&mut [0; 1024]).await;
        }
    });
}
