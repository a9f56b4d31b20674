//! Requests of up to ten entries: what waits while others are on their way leaves together, and each
//! entry is told of itself.
//!
//! Nothing waits for a batch to fill: as long as there is somebody to carry it, one leaves alone.

mod acts;

use std::future::Future;
use std::sync::Arc;

use amends_transport::ChannelError;
use futures_util::future::join_all;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

pub(crate) use acts::{Deleting, Hiding, Sending, seconds};

/// How many entries SQS takes in one request.
const ENTRIES_MAX: usize = 10;

/// How many requests are on their way at once: with ten entries each, more than an end holds in a few
/// round trips.
const CARRIERS: usize = 8;

/// How many entries wait before whoever brings the next one waits, too.
const WAITING_MAX: usize = CARRIERS * ENTRIES_MAX;

/// What is done with entries.
pub(crate) trait Act: Send + Sync + 'static {
    /// What it is done with.
    type Entry: Clone + Send + Sync + 'static;

    /// How much of a request an entry takes up.
    fn bytes(&self, entry: &Self::Entry) -> usize;

    /// How much a request holds.
    fn bytes_max(&self) -> usize;

    /// One request; what each entry came to, or why none came to anything.
    fn ask(
        &self,
        entries: &[Self::Entry],
    ) -> impl Future<Output = Result<Vec<Result<(), ChannelError>>, ChannelError>> + Send;
}

/// The requests of one act on one queue.
pub(crate) struct Batches<A: Act> {
    waiting: mpsc::Sender<Asked<A::Entry>>,
    _carriers: JoinSet<()>,
}

struct Asked<E> {
    entry: E,
    told: oneshot::Sender<Result<(), ChannelError>>,
}

/// Where entries wait, and one that was too large for the batch before.
struct Line<E> {
    waiting: mpsc::Receiver<Asked<E>>,
    left: Option<Asked<E>>,
}

impl<A: Act> Batches<A> {
    /// Its carriers go with it, and what they have not asked by then is not asked.
    pub(crate) fn of(act: A) -> Self {
        let (waiting, line) = mpsc::channel(WAITING_MAX);
        let line = Arc::new(Mutex::new(Line { waiting: line, left: None }));
        let act = Arc::new(act);
        let mut carriers = JoinSet::new();
        for _ in 0..CARRIERS {
            carriers.spawn(carry(Arc::clone(&act), Arc::clone(&line)));
        }
        Self { waiting, _carriers: carriers }
    }

    /// Has it done with this entry. Whoever gives up waiting before it has left takes it back.
    pub(crate) async fn ask(&self, entry: A::Entry) -> Result<(), ChannelError> {
        let (told, hears) = oneshot::channel();
        let closed = || ChannelError::Unknown("this end has left".to_owned());
        self.waiting.send(Asked { entry, told }).await.map_err(|_| closed())?;
        hears.await.map_err(|_| closed())?
    }
}

async fn carry<A: Act>(act: Arc<A>, line: Arc<Mutex<Line<A::Entry>>>) {
    loop {
        let Some(batch) = line.lock().await.next(&*act).await else { return };
        let (entries, told): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|asked| (asked.entry, asked.told)).unzip();
        for (told, outcome) in told.into_iter().zip(outcomes(&*act, &entries).await) {
            let _ = told.send(outcome); // or nobody wants to know any more
        }
    }
}

/// A request that is refused for what stands in one entry takes no other along.
async fn outcomes<A: Act>(act: &A, entries: &[A::Entry]) -> Vec<Result<(), ChannelError>> {
    match act.ask(entries).await {
        Ok(outcomes) => outcomes,
        Err(ChannelError::Refused(_)) if entries.len() > 1 => {
            let alone = entries.chunks(1).map(|one| async move {
                let told = act.ask(one).await?;
                told.into_iter().next().unwrap_or_else(|| Err(not_told()))
            });
            join_all(alone).await
        }
        Err(error) => vec![Err(error); entries.len()],
    }
}

/// Of an entry that the service's answer does not name.
fn not_told() -> ChannelError {
    ChannelError::Unknown("SQS does not say what became of it".to_owned())
}

impl<E> Line<E> {
    /// What leaves next: the first one that waits, and what fits beside it.
    async fn next<A: Act<Entry = E>>(&mut self, act: &A) -> Option<Vec<Asked<E>>> {
        let first = loop {
            let first = match self.left.take() {
                Some(left) => left,
                None => self.waiting.recv().await?,
            };
            if !first.told.is_closed() {
                break first;
            }
        };
        let mut bytes = act.bytes(&first.entry);
        let mut batch = vec![first];
        while batch.len() < ENTRIES_MAX
            && let Ok(next) = self.waiting.try_recv()
        {
            if next.told.is_closed() {
                continue;
            }
            bytes += act.bytes(&next.entry);
            if bytes > act.bytes_max() {
                self.left = Some(next);
                break;
            }
            batch.push(next);
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex as Cell;
    use std::time::Duration;

    /// Fills a request alone.
    const FULL: usize = 100;

    /// Refuses a request that holds a 7, and an 8 alone; takes a second for each.
    #[derive(Clone, Default)]
    struct Counting(Arc<Cell<Vec<Vec<usize>>>>);

    impl Act for Counting {
        type Entry = usize;

        fn bytes(&self, entry: &usize) -> usize {
            *entry
        }

        fn bytes_max(&self) -> usize {
            FULL
        }

        async fn ask(
            &self,
            entries: &[usize],
        ) -> Result<Vec<Result<(), ChannelError>>, ChannelError> {
            self.0.lock().unwrap().push(entries.to_vec());
            tokio::time::sleep(Duration::from_secs(1)).await;
            let no = || ChannelError::Refused("no".to_owned());
            if entries.contains(&7) {
                return Err(no());
            }
            Ok(entries.iter().map(|entry| if *entry == 8 { Err(no()) } else { Ok(()) }).collect())
        }
    }

    /// On a clock that goes on as soon as all wait.
    async fn asked(entries: &[usize]) -> (Vec<Result<(), ChannelError>>, Vec<Vec<usize>>) {
        let act = Counting::default();
        let batches = Batches::of(act.clone());
        // Who comes while all carriers are under way waits, and leaves together.
        let busy = join_all((0..CARRIERS).map(|_| batches.ask(FULL)));
        let later = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            join_all(entries.iter().map(|entry| batches.ask(*entry))).await
        };
        let (_, outcomes) = tokio::join!(busy, later);
        let requests = act.0.lock().unwrap().clone();
        (outcomes, requests.into_iter().filter(|request| *request != [FULL]).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_leaves_together_ten_at_most_and_no_more_than_fit() {
        let (outcomes, requests) = asked(&[2; 23]).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(requests, [vec![2; 10], vec![2; 10], vec![2; 3]]);
        let (outcomes, requests) = asked(&[60, 60, 30]).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(requests, [vec![60], vec![60, 30]]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_told_of_itself() {
        let (outcomes, _) = asked(&[2, 8, 3]).await;
        assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok());
        let (outcomes, requests) = asked(&[2, 7, 3]).await;
        assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok());
        assert_eq!(requests, [vec![2, 7, 3], vec![2], vec![7], vec![3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_any_more_does_not_leave() {
        let act = Counting::default();
        let batches = Batches::of(act.clone());
        let busy = join_all((0..CARRIERS).map(|_| batches.ask(FULL)));
        let given_up = async {
            let asking = batches.ask(5);
            assert!(tokio::time::timeout(Duration::from_millis(500), asking).await.is_err());
        };
        tokio::join!(busy, given_up);
        batches.ask(2).await.unwrap();
        assert!(!act.0.lock().unwrap().contains(&vec![5]));
    }
}
