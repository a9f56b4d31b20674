//! Measures what rendering a command and reading a reply cost: `cargo run --release -p
//! amends-wire --example render`.

use std::hint::black_box;
use std::time::Instant;

use amends_wire::{CommandBody, FailureCodes, Reply, SagaId};
use bytes::Bytes;

const ROUNDS: u32 = 1_000_000;

fn main() {
    let data = br#"{"order_id":"o-1234567","customer_id":"c-1234567","items":[{"sku":"A-17","quantity":2,"price":12.50}],"payment_method":"card","shipping_address":{"street":"Main Street 1","city":"Springfield","zip":"12345"}}"#;
    let body = CommandBody {
        saga_id: SagaId(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab),
        saga_type: "OrderFulfillment",
        step_name: "reserve_inventory",
        command: "InventoryService.ReserveItems",
        round: 1,
        data,
        flat: true,
        undo: None,
    };
    measure("render a command with 210 bytes of data", || black_box(&body).render().is_ok());

    let reply = Bytes::from_static(
        br#"{"type":"SagaStepCompleted","saga_id":"0192f0c1-2345-7abc-8def-0123456789ab","step_name":"reserve_inventory","result":{"reservation_id":"r-1234567"}}"#,
    );
    let codes = FailureCodes::default();
    measure("read a reply by name", || {
        Reply::parse(&(), black_box(&reply)).is_ok_and(|reply| {
            black_box(reply.outcome(&codes));
            true
        })
    });
}

fn measure(what: &str, mut once: impl FnMut() -> bool) {
    let start = Instant::now();
    let fine = (0..ROUNDS).all(|_| once());
    let nanos = start.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{what}: {nanos} ns{}", if fine { "" } else { " (FAILED)" });
}
