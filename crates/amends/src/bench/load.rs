//! The load: so many callers side by side, each of whom starts a saga, waits for its end, and
//! starts the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amends_core::saga::State;
use amends_engine::{Handle, Start, StartError, Unavailable};
use tokio::task::JoinSet;

use super::latency::Latencies;
use super::work::{SAGA_TYPE, Work};
use super::{Arguments, Error};

/// How long a caller waits for the end of its saga. One that takes longer has been lost.
const SAGA_WAIT_MAX: Duration = Duration::from_secs(120);

/// How long a caller that was pushed back waits before it tries again.
const PUSHED_BACK_FOR: Duration = Duration::from_millis(20);

/// How often it is looked whether the catalog has caught up.
const CAUGHT_UP_EVERY: Duration = Duration::from_millis(2);

/// What ends a load, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// This many sagas have been started.
    pub sagas: u64,
    /// This much time has passed; sagas under way are finished.
    pub time: Duration,
}

/// What a load came to.
pub struct Load {
    /// Sagas that ended completed.
    pub completed: u64,
    /// Sagas that failed and were undone.
    pub failed: u64,
    /// Starts that were pushed back.
    pub pushed_back: u64,
    /// From each start to its end, as its caller saw it.
    pub latencies: Latencies,
    /// From the first start until the catalog held the last end.
    pub took: Duration,
}

impl Load {
    /// Sagas that ended.
    pub fn sagas(&self) -> u64 {
        self.completed + self.failed
    }
}

struct Counters {
    work: Work,
    until: Until,
    began: Instant,
    next: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    pushed_back: AtomicU64,
    latencies: Latencies,
}

/// Runs it, and waits until the catalog has caught up.
pub async fn run(
    handle: &Handle,
    work: Work,
    concurrency: usize,
    until: Until,
) -> Result<Load, Error> {
    let counters = Arc::new(Counters {
        work,
        until,
        began: Instant::now(),
        next: AtomicU64::new(0),
        completed: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        pushed_back: AtomicU64::new(0),
        latencies: Latencies::new(),
    });
    let mut callers = JoinSet::new();
    for _ in 0..concurrency {
        callers.spawn(call(handle.clone(), Arc::clone(&counters)));
    }
    while let Some(caller) = callers.join_next().await {
        caller.map_err(|panic| Error::Lost(panic.to_string()))??;
    }
    caught_up(handle).await?;
    let took = counters.began.elapsed();
    let counters = Arc::into_inner(counters)
        .ok_or_else(|| Error::Lost("a caller is still under way".to_owned()))?;
    Ok(Load {
        completed: counters.completed.into_inner(),
        failed: counters.failed.into_inner(),
        pushed_back: counters.pushed_back.into_inner(),
        latencies: counters.latencies,
        took,
    })
}

async fn call(handle: Handle, counters: Arc<Counters>) -> Result<(), Error> {
    loop {
        let number = counters.next.fetch_add(1, Ordering::Relaxed);
        if number >= counters.until.sagas || counters.began.elapsed() >= counters.until.time {
            return Ok(());
        }
        let data = counters.work.data(number);
        let began = Instant::now();
        let ended = loop {
            let wait = Some(SAGA_WAIT_MAX);
            match handle.start(start(data.clone(), wait)).await {
                Ok(started) => break started,
                Err(error) if pushes_back(&error) => {
                    counters.pushed_back.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PUSHED_BACK_FOR).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        counters.latencies.note(began.elapsed());
        match ended.snapshot.saga.state {
            State::Completed => counters.completed.fetch_add(1, Ordering::Relaxed),
            State::Failed => counters.failed.fetch_add(1, Ordering::Relaxed),
            _ => {
                let saga = ended.snapshot.saga.id;
                return Err(Error::Lost(format!("saga {saga} did not end in {SAGA_WAIT_MAX:?}")));
            }
        };
    }
}

/// Starts so many sagas and waits for none.
pub async fn start_all(handle: &Handle, sagas: u64, arguments: &Arguments) -> Result<(), Error> {
    let work = arguments.work();
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..arguments.concurrency {
        let (handle, next) = (handle.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= sagas {
                    return Ok(());
                }
                let data = work.data(number);
                loop {
                    match handle.start(start(data.clone(), None)).await {
                        Ok(_) => break,
                        Err(error) if pushes_back(&error) => {
                            tokio::time::sleep(PUSHED_BACK_FOR).await;
                        }
                        Err(error) => return Err(Error::from(error)),
                    }
                }
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.map_err(|panic| Error::Lost(panic.to_string()))??;
    }
    Ok(())
}

/// A start of the benchmark's saga.
fn start(data: bytes::Bytes, wait: Option<Duration>) -> Start {
    Start { saga_type: SAGA_TYPE.into(), version: None, data, idempotency_key: None, wait }
}

/// Does the engine ask to come back later?
fn pushes_back(error: &StartError) -> bool {
    matches!(
        error,
        StartError::Unavailable(Unavailable::Overloaded { .. } | Unavailable::CatalogBehind { .. })
    )
}

/// Waits until the catalog holds all that the journal holds.
pub async fn caught_up(handle: &Handle) -> Result<(), Error> {
    loop {
        let health = handle.health();
        if let Some(why) = health.why {
            return Err(Error::Lost(why));
        }
        if health.catalog_lag_records == 0 {
            return Ok(());
        }
        tokio::time::sleep(CAUGHT_UP_EVERY).await;
    }
}
