//! The broker's own client without an engine: how many round trips it makes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use amends_transport::{Bare, ChannelError, End};
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::super::parts::Running;
use super::super::work::Work;
use super::super::{Arguments, Error, Part};
use super::{Connected, found};

/// The place that it has for itself.
pub(super) const PLACE: &str = "amends-bench-bare";

/// About what stands around a saga's data in a command, in bytes.
const ENVELOPE_BYTES: usize = 400;

/// How long an answer may take. One that takes longer has been lost.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Who waits for which answer.
#[derive(Default)]
struct Waiting(Mutex<HashMap<Bytes, oneshot::Sender<()>>>);

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<Bytes, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Round trips a second, with as many at once as there will be sagas.
pub(super) async fn measure(arguments: &Arguments, lasting: Duration) -> Result<f64, Error> {
    let place = found(arguments, PLACE)?.place;
    let bare = place.bare(End::Engine).await.map_err(Error::Lost)?;
    let (_echo, Connected {}) = Running::start(Part::Echo, arguments, None)?.ready().await?;
    let waiting: Arc<Waiting> = Arc::default();
    let hearing = tokio::spawn(hear(Arc::clone(&bare), Arc::clone(&waiting)));
    // A broker brings the first messages late: consumers are still being found.
    round_trip(&*bare, &waiting, arguments.work(), 0).await?;
    let (numbers, began) = (Arc::new(AtomicU64::new(1)), Instant::now());
    let mut callers = JoinSet::new();
    for _ in 0..arguments.concurrency {
        let (bare, waiting) = (Arc::clone(&bare), Arc::clone(&waiting));
        let (numbers, work) = (Arc::clone(&numbers), arguments.work());
        callers.spawn(async move {
            let mut made: u64 = 0;
            while began.elapsed() < lasting {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                round_trip(&*bare, &waiting, work, number).await?;
                made += 1;
            }
            Ok::<u64, Error>(made)
        });
    }
    let mut made = 0;
    while let Some(caller) = callers.join_next().await {
        made += caller.map_err(|panic| Error::Lost(panic.to_string()))??;
    }
    let took = began.elapsed();
    hearing.abort();
    Ok(made as f64 / took.as_secs_f64())
}

async fn round_trip(
    bare: &dyn Bare,
    waiting: &Waiting,
    work: Work,
    number: u64,
) -> Result<(), Error> {
    // An answer to an earlier run has another process's number, and nobody waits for it.
    let id = Bytes::from(format!("{}/{number}", std::process::id()));
    let (heard, answer) = oneshot::channel();
    waiting.all().insert(id.clone(), heard);
    let mut body = Vec::from(&*id);
    body.push(b' ');
    body.extend_from_slice(&work.data(number));
    body.resize(body.len() + ENVELOPE_BYTES, b' ');
    let published = bare.publish(&number.to_string(), body.into()).await;
    published.map_err(|error| Error::Lost(error.to_string()))?;
    let answered = tokio::time::timeout(ANSWERED_WITHIN, answer).await;
    match answered {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::Lost(format!("the bare client had no answer in {ANSWERED_WITHIN:?}"))),
    }
}

/// Hands every answer to who waits for it.
async fn hear(bare: Arc<dyn Bare>, waiting: Arc<Waiting>) -> Result<(), ChannelError> {
    loop {
        let (body, acknowledging) = bare.receive().await?;
        if let Some(heard) = waiting.all().remove(&body) {
            let _ = heard.send(()); // whoever waited has given up
        }
        tokio::spawn(acknowledging);
    }
}

/// Answers every message with its first word.
pub(super) async fn echo(bare: Arc<dyn Bare>) -> Result<(), ChannelError> {
    loop {
        let (body, acknowledging) = bare.receive().await?;
        let bare = Arc::clone(&bare);
        tokio::spawn(async move {
            let end = body.iter().position(|&byte| byte == b' ').unwrap_or(body.len());
            let id = body.slice(..end);
            let key = String::from_utf8_lossy(&id).into_owned();
            // What is not answered is missed at the other end.
            if bare.publish(&key, id).await.is_ok() {
                let _ = acknowledging.await;
            }
        });
    }
}
