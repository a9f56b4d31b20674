//! Open exchanges: each ends exactly once, none is hung up at its time-out, and how many stay
//! open past it is limited.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_wire::Outcome;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::contract::{Closing, Patience, Replies, Ticket};

/// How many exchanges may be open past their time-out, of one transport. Each holds a socket and
/// some KiB; a participant that hangs must not use up all the sockets a process may have (1,024
/// by default on many systems). The oldest is given up first: its answer is the least likely.
pub const KEPT_OPEN_MAX: usize = 512;

/// The open exchanges of one transport. Cheap to clone.
#[derive(Clone)]
pub struct Exchanges(Arc<Inner>);

struct Inner {
    runtime: Handle,
    tasks: TaskTracker,
    closed: AtomicBool,
    abandon: CancellationToken,
    kept: Mutex<Kept>,
    kept_open_max: usize,
}

/// Those past their time-out, oldest first.
#[derive(Default)]
struct Kept {
    next: u64,
    open: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Exchanges {
    /// None yet. They run on `runtime`; at most `kept_open_max` stay open past their time-out.
    pub fn new(runtime: Handle, kept_open_max: usize) -> Self {
        Self(Arc::new(Inner {
            runtime,
            tasks: TaskTracker::new(),
            closed: AtomicBool::new(false),
            abandon: CancellationToken::new(),
            kept: Mutex::default(),
            kept_open_max,
        }))
    }

    /// Runs one exchange and delivers its end, once, whatever happens: an answer, a panic, or
    /// the end of its time.
    pub fn open(
        &self,
        ticket: Ticket,
        patience: Patience,
        replies: Replies,
        exchange: impl Future<Output = Outcome> + Send + 'static,
    ) {
        if self.0.closed.load(Ordering::Acquire) {
            let why = "the transport is closed; it is sent again after a restart";
            return replies.end(ticket, Outcome::not_sent(why));
        }
        let ending = Ending { ticket, replies: Some(replies) };
        let inner = Arc::clone(&self.0);
        let held = async move { ending.end(inner.hold(exchange, patience).await) };
        self.0.tasks.spawn_on(held, &self.0.runtime);
    }

    /// How many are open past their time-out.
    pub fn kept_open(&self) -> usize {
        self.0.kept().open.len()
    }

    /// Opens no more, waits up to `grace`, and ends as unknown what is still open.
    pub fn close(&self, grace: Duration) -> Closing {
        self.0.closed.store(true, Ordering::Release);
        self.0.tasks.close();
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            if tokio::time::timeout(grace, inner.tasks.wait()).await.is_err() {
                inner.abandon.cancel();
                inner.tasks.wait().await;
            }
        })
    }
}

impl Inner {
    async fn hold(
        &self,
        exchange: impl Future<Output = Outcome>,
        Patience { timeout, keep_open_for }: Patience,
    ) -> Outcome {
        let opened = Instant::now();
        let mut exchange = pin!(AssertUnwindSafe(exchange).catch_unwind());
        tokio::select! {
            biased;
            answer = &mut exchange => return answer.unwrap_or_else(|_| panicked()),
            () = self.abandon.cancelled() => return abandoned(),
            () = sleep(timeout) => {}
        }
        let (place, given_up) = self.keep();
        let outcome = tokio::select! {
            biased;
            answer = &mut exchange => answer.unwrap_or_else(|_| panicked()),
            () = self.abandon.cancelled() => abandoned(),
            _ = given_up => Outcome::unknown(format!(
                "no answer within the time-out, and given up as the oldest of more than {} such \
                 exchanges; see why the service does not answer",
                self.kept_open_max
            )),
            () = sleep_until(opened + keep_open_for.max(timeout)) => {
                Outcome::unknown("no answer until long after the deadline")
            }
        };
        self.kept().open.remove(&place);
        outcome
    }

    /// Takes a place among those kept open; the oldest leaves when there is none.
    fn keep(&self) -> (u64, oneshot::Receiver<()>) {
        let (give_up, given_up) = oneshot::channel();
        let mut kept = self.kept();
        let place = kept.next;
        kept.next += 1;
        kept.open.insert(place, give_up);
        if kept.open.len() > self.kept_open_max {
            kept.open.pop_first();
        }
        (place, given_up)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn panicked() -> Outcome {
    Outcome::unknown("it panicked while carrying out the command; see the process's own log")
}

fn abandoned() -> Outcome {
    Outcome::unknown("the transport was closed before an answer came")
}

/// The promise of one end. An exchange that is dropped half-way, as when its runtime stops, has
/// an end too.
struct Ending {
    ticket: Ticket,
    replies: Option<Replies>,
}

impl Ending {
    fn end(mut self, outcome: Outcome) {
        self.deliver(outcome);
    }

    fn deliver(&mut self, outcome: Outcome) {
        if let Some(replies) = self.replies.take() {
            replies.end(self.ticket, outcome);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.deliver(abandoned());
    }
}

#[cfg(test)]
mod tests;
