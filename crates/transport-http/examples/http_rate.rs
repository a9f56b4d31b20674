//! Measures exchanges over loopback, and what each costs of CPU on both sides together:
//! `cargo run --release -p amends-transport-http --example http_rate`.
//!
//! The participant is a hyper server in this process on a runtime of its own. CPU time is that
//! of the whole process, read from `/proc/self/stat`; elsewhere only the rate is printed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_transport::{Delivery, Outgoing, Patience, Replies, Ticket, Transport};
use amends_transport_http::{HttpService, Options};
use amends_wire::{CommandBody, Direction, FailureCodes, Outcome, SagaId};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

const EXCHANGES: u32 = 200_000;

/// The kernel's clock ticks in `/proc/self/stat`, 100 a second on every Linux in use.
const TICK_MICROS: u64 = 10_000;

fn main() {
    let (address, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || single_threaded().block_on(participant(address)));
    let url = started.recv().unwrap_or_default();
    for in_flight in [1, 16, 128] {
        single_threaded().block_on(measure(&url, in_flight));
    }
}

fn single_threaded() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

async fn participant(address: std::sync::mpsc::Sender<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let local = listener.local_addr().expect("an address");
    let _ = address.send(format!("http://{local}"));
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request: http::Request<Incoming>| async {
            request.into_body().collect().await?;
            let body = Full::new(Bytes::from_static(b"{\"reservation_id\":\"r-1234567\"}"));
            let response = http::Response::builder().header("content-type", "application/json");
            Ok::<_, hyper::Error>(response.body(body).unwrap_or_default())
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn measure(url: &str, in_flight: u32) {
    let transport = Options::new(Handle::current()).build().expect("a transport");
    transport.bind("Service", HttpService::at(url)).expect("a binding");
    let (sender, mut ended) = mpsc::unbounded_channel();
    let replies = Replies::new(move |delivery| {
        if let Delivery::Ended { outcome, .. } = delivery {
            let _ = sender.send(outcome);
        }
    });
    let outgoing = outgoing();
    let (start, cpu) = (Instant::now(), cpu_micros());
    let (mut sent, mut done) = (0, 0);
    while done < EXCHANGES {
        while sent < EXCHANGES && sent - done < in_flight {
            transport.send(outgoing.clone(), replies.clone());
            sent += 1;
        }
        match ended.recv().await {
            Some(Outcome::Completed { .. }) => done += 1,
            other => panic!("{other:?}"),
        }
    }
    let elapsed = start.elapsed();
    let rate = f64::from(EXCHANGES) / elapsed.as_secs_f64();
    let wall = elapsed.as_micros() as f64 * f64::from(in_flight) / f64::from(EXCHANGES);
    print!("{in_flight:4} in flight: {rate:6.0} exchanges/s, {wall:6.1} µs each");
    match (cpu, cpu_micros()) {
        (Some(before), Some(after)) => {
            println!(
                ", {:.1} µs CPU on both sides",
                (after - before) as f64 / f64::from(EXCHANGES)
            );
        }
        _ => println!(),
    }
}

fn cpu_micros() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The process's name, in parentheses, may hold spaces; user and system time are the 12th and
    // 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_MICROS)
}

fn outgoing() -> Outgoing {
    let data = br#"{"order_id":"o-1234567","customer_id":"c-1234567","items":[{"sku":"A-17","quantity":2,"price":12.50}],"payment_method":"card","shipping_address":{"street":"Main Street 1","city":"Springfield","zip":"12345"}}"#;
    let body = CommandBody {
        saga_id: SagaId(1),
        saga_type: "Bench",
        step_name: "reserve_inventory",
        command: "Service.ReserveItems",
        round: 1,
        data,
        flat: true,
        undo: None,
    };
    let patience =
        Patience { timeout: Duration::from_secs(10), keep_open_for: Duration::from_secs(150) };
    Outgoing {
        ticket: Ticket {
            saga_id: 1,
            step: 0,
            run: 0,
            direction: Direction::Action,
            round: 1,
            attempt: 1,
        },
        service: "Service".into(),
        command: "Service.ReserveItems".into(),
        saga_type: "Bench".into(),
        step_name: "reserve_inventory".into(),
        body: body.render().expect("the data is JSON"),
        deadline_unix_ms: 1_700_000_000_000,
        patience,
        another_sending_open: false,
        reply_to: None,
        causation_id: None,
        traceparent: None,
        codes: Arc::new(FailureCodes::default()),
    }
}
