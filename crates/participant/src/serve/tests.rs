//! What the broker does not settle is waited for only so long. On a clock that goes on as soon as
//! all wait; nothing here needs a database's answer.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_transport::{Channel, ChannelError, InMemory, Kind, Message, Received, Tag};
use amends_wire::{CommandBody, SagaId};
use futures_util::future::BoxFuture;
use sqlx::Sqlite;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::time::Instant;

use super::relaying::LAST_RELAYED_WITHIN;
use super::*;

const SERVICE: &str = "LedgerService";

/// What a broker never says a word about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silent {
    Acknowledged,
    Buried,
    GivenBack,
}

/// A broker that is silent about some things, and counts what is given back to it.
struct Mute {
    end: Arc<dyn Channel>,
    silent: Vec<Silent>,
    given_back: Mutex<Vec<Instant>>,
}

impl Mute {
    fn is(&self, silent: Silent) -> bool {
        self.silent.contains(&silent)
    }
}

impl Channel for Mute {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        self.end.receive()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        if self.is(Silent::Acknowledged) { Box::pin(pending()) } else { self.end.acknowledge(tag) }
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.given_back.lock().unwrap().push(Instant::now());
        if self.is(Silent::GivenBack) {
            return Box::pin(pending());
        }
        self.end.give_back(tag, after)
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        if self.is(Silent::Buried) { Box::pin(pending()) } else { self.end.dead_letter(tag, why) }
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.end.publish(message)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.close()
    }
}

/// One that has no room for any command, and so answers without its database.
fn full() -> Participant<Sqlite> {
    let pool = SqlitePoolOptions::new().connect_lazy("sqlite::memory:").unwrap();
    Participant::builder(SERVICE, pool)
        .action("Act", async |_: &mut crate::Tx<Sqlite>, (): (), _: &About| Ok(()))
        .at_work_max(0)
        .build()
}

fn command() -> bytes::Bytes {
    CommandBody {
        saga_id: SagaId(7),
        saga_type: "Order",
        step_name: "pay",
        command: "LedgerService.Act",
        round: 1,
        data: b"null",
        flat: false,
        undo: None,
    }
    .render()
    .unwrap()
}

/// When a message was given back, in seconds since it came.
async fn given_back(body: bytes::Bytes, silent: &[Silent], times: usize) -> Vec<u64> {
    let broker = InMemory::new();
    broker.put(Kind::Command, body, Vec::new());
    let mute = Arc::new(Mute {
        end: broker.service(),
        silent: silent.to_vec(),
        given_back: Mutex::default(),
    });
    let channel: Arc<dyn Channel> = Arc::clone(&mute) as _;
    let begun = Instant::now();
    let serving = tokio::spawn(Serving::new(full(), channel).at_once(1).run(pending()));
    while mute.given_back.lock().unwrap().len() < times {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    serving.abort();
    let given_back = mute.given_back.lock().unwrap();
    given_back.iter().map(|at| (*at - begun).as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_is_not_confirmed_is_given_back() {
    assert_eq!(given_back(command(), &[Silent::Acknowledged], 1).await, [10]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_not_confirmed_is_given_back() {
    assert_eq!(given_back("no command".into(), &[Silent::Buried], 1).await, [10]);
}

/// Its room is another's then: with one at once, the next is taken.
#[tokio::test(start_paused = true)]
async fn what_is_given_back_and_not_confirmed_holds_up_no_other() {
    let broker = InMemory::new();
    for _ in 0..2 {
        broker.put(Kind::Command, "no command".into(), Vec::new());
    }
    let mute = Arc::new(Mute {
        end: broker.service(),
        silent: vec![Silent::Buried, Silent::GivenBack],
        given_back: Mutex::default(),
    });
    let channel: Arc<dyn Channel> = Arc::clone(&mute) as _;
    let begun = Instant::now();
    let serving = tokio::spawn(Serving::new(full(), channel).at_once(1).run(pending()));
    while mute.given_back.lock().unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    serving.abort();
    // 10 s for the word of the dead letters, 200 ms and 10 s for what is given back, 10 s again.
    assert_eq!(begun.elapsed().as_secs(), 30);
}

/// The outbox cannot be read, ever: the only connection is held.
#[tokio::test]
async fn the_end_waits_for_the_outbox_only_so_long() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let options = options.acquire_timeout(Duration::from_secs(24 * 3600));
    let pool = options.connect("sqlite::memory:").await.unwrap();
    let participant = Participant::builder(SERVICE, pool.clone()).build();
    let _held = pool.acquire().await.unwrap();
    tokio::time::pause();
    let begun = Instant::now();
    Serving::new(participant, InMemory::new().service()).run(ready(())).await;
    assert_eq!(begun.elapsed().as_secs(), LAST_RELAYED_WITHIN.as_secs());
}

/// Not its relay either, which nobody else knows of.
#[tokio::test]
async fn what_is_dropped_goes_on_with_nothing() {
    let channel = InMemory::new().service();
    let held = Arc::downgrade(&channel);
    let serving = tokio::spawn(Serving::new(full(), channel).run(pending()));
    while held.strong_count() < 2 {
        tokio::task::yield_now().await;
    }
    serving.abort();
    let gone = async {
        while held.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), gone).await.is_ok(), "the relay goes on");
}

/// The first of the relay and the first of the command; then both go on.
#[tokio::test]
async fn what_panics_besides_handlers_and_channels_is_served_again() {
    let times = Arc::new(AtomicU32::new(0));
    let connected = Arc::clone(&times);
    let pool = SqlitePoolOptions::new().max_connections(1).after_connect(move |connection, _| {
        let nth = connected.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            assert!(nth >= 2, "the pool's own hook");
            for sql in [Sqlite::GUARD_SQL, Sqlite::OUTBOX_SQL, Sqlite::INBOX_SQL] {
                sqlx::raw_sql(sql).execute(&mut *connection).await?;
            }
            Ok(())
        })
    });
    let participant = Participant::builder(SERVICE, pool.connect_lazy("sqlite::memory:").unwrap())
        .action("Act", async |_: &mut crate::Tx<Sqlite>, (): (), _: &About| Ok(()))
        .build();
    let broker = InMemory::new();
    broker.put(Kind::Command, command(), Vec::new());
    let serving = tokio::spawn(Serving::new(participant, broker.service()).run(pending()));
    let engine = broker.engine();
    let reply = timeout(Duration::from_secs(60), engine.receive()).await;
    let reply = reply.expect("nothing is answered").unwrap();
    assert!(String::from_utf8_lossy(&reply.body).contains("SagaStepCompleted"), "{reply:?}");
    assert!(times.load(Ordering::SeqCst) > 2);
    serving.abort();
}
