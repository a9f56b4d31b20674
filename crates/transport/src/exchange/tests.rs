//! Each exchange has one ending, whatever becomes of its future.

use super::*;
use amends_wire::Direction;
use std::future::{pending, ready};
use tokio::sync::mpsc;

use crate::contract::Delivery;

const DONE: Outcome = Outcome::Completed { result: None, undone: None };
const PATIENCE: Patience =
    Patience { timeout: Duration::from_secs(10), keep_open_for: Duration::from_secs(60) };

fn ticket(attempt: u32) -> Ticket {
    Ticket { saga_id: 1, step: 0, run: 0, direction: Direction::Action, round: 1, attempt }
}

fn sink() -> (Replies, mpsc::UnboundedReceiver<(u32, Outcome)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let replies = Replies::new(move |delivery| {
        if let Delivery::Ended { ticket, outcome } = delivery {
            let _ = sender.send((ticket.attempt, outcome));
        }
    });
    (replies, receiver)
}

// Nothing here waits for anything but timers, so the paused clock is exact.

#[tokio::test(start_paused = true)]
async fn an_exchange_is_held_past_its_time_out_and_no_longer_than_told() {
    let exchanges = Exchanges::new(Handle::current(), 8);
    let (replies, mut ended) = sink();
    let start = Instant::now();
    let late = async {
        sleep(Duration::from_secs(59)).await;
        DONE
    };
    exchanges.open(ticket(1), PATIENCE, replies.clone(), late);
    exchanges.open(ticket(2), PATIENCE, replies, pending());
    sleep(Duration::from_secs(9)).await;
    assert_eq!(exchanges.kept_open(), 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(exchanges.kept_open(), 2);
    assert_eq!(ended.recv().await, Some((1, DONE)));
    assert_eq!(start.elapsed().as_secs(), 59);
    assert!(matches!(ended.recv().await, Some((2, Outcome::Unknown { .. }))));
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(exchanges.kept_open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_whose_time_is_shorter_than_its_time_out_ends_with_the_time_out() {
    let exchanges = Exchanges::new(Handle::current(), 8);
    let (replies, mut ended) = sink();
    let patience = Patience { keep_open_for: Duration::ZERO, ..PATIENCE };
    exchanges.open(ticket(1), patience, replies, pending());
    let start = Instant::now();
    assert!(matches!(ended.recv().await, Some((1, Outcome::Unknown { .. }))));
    assert_eq!(start.elapsed(), PATIENCE.timeout);
}

#[tokio::test(start_paused = true)]
async fn with_no_room_past_the_time_out_every_exchange_ends_there() {
    let exchanges = Exchanges::new(Handle::current(), 0);
    let (replies, mut ended) = sink();
    exchanges.open(ticket(1), PATIENCE, replies, pending());
    let start = Instant::now();
    assert!(matches!(ended.recv().await, Some((1, Outcome::Unknown { .. }))));
    assert_eq!(start.elapsed(), PATIENCE.timeout);
}

#[tokio::test(start_paused = true)]
async fn closing_gives_what_is_open_its_grace() {
    let exchanges = Exchanges::new(Handle::current(), 8);
    let (replies, mut ended) = sink();
    exchanges.open(ticket(1), PATIENCE, replies.clone(), pending());
    let start = Instant::now();
    exchanges.close(Duration::from_secs(5)).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(matches!(ended.recv().await, Some((1, Outcome::Unknown { .. }))));
    exchanges.open(ticket(2), PATIENCE, replies, ready(DONE));
    assert!(matches!(ended.recv().await, Some((2, Outcome::NotSent { .. }))));
}

#[test]
fn an_exchange_whose_runtime_stops_has_an_end_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let exchanges = Exchanges::new(runtime.handle().clone(), 8);
    let (replies, mut ended) = sink();
    exchanges.open(ticket(1), PATIENCE, replies.clone(), pending());
    drop(runtime);
    assert!(matches!(ended.try_recv(), Ok((1, Outcome::Unknown { .. }))));
    exchanges.open(ticket(2), PATIENCE, replies, ready(DONE));
    assert!(matches!(ended.try_recv(), Ok((2, Outcome::Unknown { .. }))));
}
