//! A lane: threads of the store's own that work off one bounded queue, so that blocking work
//! never runs on the caller's threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, watch};

/// How many jobs wait in a lane. Callers beyond that wait for room, in order; a group commit takes
/// a few hundred at a time.
const LANE_JOBS_MAX: usize = 1024;

/// The queue is closed.
#[derive(Debug)]
pub(crate) struct Closed;

/// The callers' end. Dropping it lets the threads finish what is queued, and waits for them.
pub(crate) struct Lane<J> {
    sender: Mutex<Option<mpsc::Sender<J>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ended: Vec<watch::Receiver<bool>>,
}

/// The threads' end, which they share.
pub(crate) struct Jobs<J>(Arc<Mutex<mpsc::Receiver<J>>>);

/// A way into a lane that does not keep it open.
pub(crate) struct Link<J>(mpsc::WeakSender<J>);

impl<J: Send + 'static> Lane<J> {
    /// Starts one thread for each of `works`.
    pub(crate) fn start<W>(name: &str, works: Vec<W>) -> std::io::Result<Self>
    where
        W: FnOnce(Jobs<J>) + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(LANE_JOBS_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        let mut ended = Vec::new();
        for work in works {
            let (end, has_ended) = watch::channel(false);
            let jobs = Jobs(receiver.clone());
            let run = move || {
                work(jobs);
                let _ = end.send(true);
            };
            threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
            ended.push(has_ended);
        }
        Ok(Self { sender: Mutex::new(Some(sender)), threads: Mutex::new(threads), ended })
    }

    /// Queues a job, waiting for room.
    pub(crate) async fn send(&self, job: J) -> Result<(), Closed> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.ok_or(Closed)?.send(job).await.map_err(|_| Closed)
    }

    pub(crate) fn link(&self) -> Link<J> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        Link(match &*sender {
            Some(sender) => sender.downgrade(),
            None => mpsc::channel(1).0.downgrade(),
        })
    }

    /// Takes no more jobs and waits until those queued are done.
    pub(crate) async fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        for ended in &self.ended {
            // An error says that the thread is gone, which is what is waited for.
            let _ = ended.clone().wait_for(|ended| *ended).await;
        }
    }
}

impl<J> Drop for Lane<J> {
    fn drop(&mut self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

impl<J> Jobs<J> {
    /// The next job, waited for; `None` when there will be no more.
    pub(crate) fn next(&self) -> Option<J> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
    }

    /// The next job, when there is one.
    pub(crate) fn next_queued(&self) -> Option<J> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }
}

impl<J> Link<J> {
    /// Queues a job from a thread that may block.
    pub(crate) fn send(&self, job: J) -> Result<(), Closed> {
        let sender = self.0.upgrade().ok_or(Closed)?;
        sender.blocking_send(job).map_err(|_| Closed)
    }
}

impl<J> Clone for Link<J> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
