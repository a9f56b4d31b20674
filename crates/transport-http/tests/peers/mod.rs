//! The peers of the tests: servers that do as they are told, and sendings to them.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use amends_transport::{Delivery, Outgoing, Patience, Replies, Ticket, Transport};
use amends_transport_http::{HttpService, HttpTransport, Options};
use amends_wire::{CommandBody, Direction, FailureCodes, Outcome, SagaId, Undo};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

pub const LONG: Duration = Duration::from_secs(3600);

/// A test that takes longer hangs.
const TEST_SECS_MAX: u64 = 60;

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(TEST_SECS_MAX), future).await.expect("it hangs")
}

/// A transport with service `S` bound, and what it delivers.
pub struct Sender {
    pub transport: HttpTransport,
    replies: Replies,
    ended: mpsc::UnboundedReceiver<(u32, Outcome)>,
}

impl Sender {
    pub fn to(service: HttpService) -> Self {
        Self::with(Options::new(Handle::current()), service)
    }

    pub fn with(options: Options, service: HttpService) -> Self {
        let transport = options.build().unwrap();
        transport.bind("S", service).unwrap();
        let (sender, ended) = mpsc::unbounded_channel();
        let replies = Replies::new(move |delivery| {
            if let Delivery::Ended { ticket, outcome } = delivery {
                let _ = sender.send((ticket.attempt, outcome));
            }
        });
        Self { transport, replies, ended }
    }

    pub fn send(&self, outgoing: Outgoing) {
        self.transport.send(outgoing, self.replies.clone());
    }

    pub async fn ended(&mut self) -> (u32, Outcome) {
        within(self.ended.recv()).await.unwrap()
    }

    pub async fn exchange(&mut self, outgoing: Outgoing) -> Outcome {
        self.send(outgoing);
        self.ended().await.1
    }
}

pub fn action() -> Outgoing {
    command(Direction::Action)
}

pub fn undo() -> Outgoing {
    command(Direction::Compensation)
}

fn command(direction: Direction) -> Outgoing {
    let undo = Undo {
        action_round: 1,
        outcome: amends_wire::ActionOutcome::Unknown,
        original_result: None,
    };
    let body = CommandBody {
        saga_id: SagaId(1),
        saga_type: "T",
        step_name: "s.2",
        command: "S.Act",
        round: 1,
        data: b"{\"n\":1.50}",
        flat: true,
        undo: (direction == Direction::Compensation).then_some(undo),
    };
    Outgoing {
        ticket: Ticket { saga_id: 1, step: 0, run: 2, direction, round: 1, attempt: 1 },
        service: "S".into(),
        command: "S.Act".into(),
        saga_type: "T".into(),
        step_name: "s.2".into(),
        body: body.render().unwrap(),
        deadline_unix_ms: 1_700_000_000_000,
        patience: Patience { timeout: LONG, keep_open_for: LONG },
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(FailureCodes::default()),
    }
}

/// A loopback server that hands each connection to `serve`, in order of arrival.
pub async fn server<F, Serving>(serve: F) -> SocketAddr
where
    F: Fn(usize, TcpStream) -> Serving + Send + 'static,
    Serving: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(serve(number, stream));
        }
    });
    address
}

/// Reads one request: its head, and its body by its length. `None` at the end of the stream.
pub async fn request(stream: &mut TcpStream) -> Option<(String, Bytes)> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(read[..head_end].to_vec()).unwrap();
    let length = header(&head, "content-length").unwrap().parse::<usize>().unwrap();
    while read.len() < head_end + length {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, Bytes::copy_from_slice(&read[head_end..])))
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A server that answers every request with these bytes and then hangs up.
pub async fn answering(bytes: impl Into<Vec<u8>>) -> HttpService {
    let bytes: Arc<[u8]> = bytes.into().into();
    let address = server(move |_, mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            if request(&mut stream).await.is_some() {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    HttpService::at(format!("http://{address}"))
}

/// An answer with a JSON body.
pub fn json(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
