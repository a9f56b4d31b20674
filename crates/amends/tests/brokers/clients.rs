//! Clients: each starts one order after the other under its idempotency key, asks again under the
//! same key what had no answer, and waits for the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::api::{Answer, Api};
use crate::book::Book;
use crate::order;

/// The pause before a request is repeated.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Clients at work; dropped, they stop where they are.
pub struct Clients(JoinSet<()>);

impl Clients {
    /// So many of them, for the orders from 1 to `sagas`.
    pub fn start(clients: u64, sagas: u64, api: &Api, book: &Arc<Book>) -> Self {
        let next = Arc::new(AtomicU64::new(1));
        let mut all = JoinSet::new();
        for _ in 0..clients {
            let (api, book, next) = (api.clone(), Arc::clone(book), Arc::clone(&next));
            all.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n > sagas {
                        return;
                    }
                    one(&api, &book, n).await;
                }
            });
        }
        Self(all)
    }

    /// Until each has told all of its ends.
    pub async fn done(&mut self) {
        while let Some(ended) = self.0.join_next().await {
            ended.expect("a client does not panic");
        }
    }
}

/// The first answer acknowledges the start; those after it, to the same request, tell of the end.
async fn one(api: &Api, book: &Book, n: u64) {
    let (key, data) = (order::name(n), order::data(n));
    let mut path = format!("/v1/sagas/{}", order::SAGA);
    loop {
        match api.post(&path, Some(&key), &data).await {
            Answer::Of(200..=202, saga) => {
                book.acknowledged(n, saga["saga_id"].as_str().unwrap_or_default());
                if !saga["ended_at"].is_null() {
                    return book.ended();
                }
                path = format!("/v1/sagas/{}?wait=30s", order::SAGA);
            }
            Answer::NotSent | Answer::Unknown | Answer::Of(429 | 503, _) => {
                book.unanswered();
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            Answer::Of(status, problem) => {
                return book.breaks(format!("{key} was answered {status}: {problem}"));
            }
        }
    }
}
