//! The sagas: what of each is delivered when, and what was told.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::bed::Saga;
use crate::chance::Chance;
use crate::service::Service;

/// Sagas at once: as many as an engine sends to a service.
const AT_ONCE: usize = 64;

/// One in so many is refused by the business.
const REFUSED_ONE_IN: u64 = 8;

/// How late a delivery may be, beside its saga's others.
const LATE_MS_MAX: u64 = 40;

/// What became of a saga.
pub(crate) struct Told {
    pub(crate) saga: Saga,
    pub(crate) is_undone: bool,
    pub(crate) is_refused: bool,
    pub(crate) actions: Vec<(u16, String)>,
    pub(crate) undos: Vec<(u16, String)>,
    pub(crate) deliveries: u32,
    pub(crate) retries: u32,
}

pub(crate) async fn run_all(service: &Service, sagas: u32, seed: u64) -> Vec<Told> {
    let run = |n: u32| run(service, Chance(seed << 32 | u64::from(n)));
    stream::iter(0..sagas).map(run).buffer_unordered(AT_ONCE).collect().await
}

/// One saga: its action one to three times, its undo as often if it is undone, in any order and
/// at about the same time; and one of them once more, long after.
async fn run(service: &Service, mut chance: Chance) -> Told {
    let saga = Saga::new();
    let is_refused = chance.one_in(REFUSED_ONE_IN);
    let is_undone = chance.one_in(2);
    let action = if is_refused { saga.action_that("refuse") } else { saga.action() };
    let mut planned = vec![("Act", action); 1 + chance.below(3) as usize];
    if is_undone {
        planned.extend(vec![("Undo", saga.undo()); 1 + chance.below(3) as usize]);
    }
    chance.shuffle(&mut planned);
    let late = planned[0].clone();
    let deliveries = planned.into_iter().map(|(path, body)| {
        let wait = Duration::from_millis(chance.below(LATE_MS_MAX));
        async move {
            tokio::time::sleep(wait).await;
            deliver(service, path, body).await
        }
    });
    let mut answers = futures_util::future::join_all(deliveries.collect::<Vec<_>>()).await;
    answers.push(deliver(service, late.0, late.1).await);
    let mut told = Told {
        saga,
        is_undone,
        is_refused,
        actions: Vec::new(),
        undos: Vec::new(),
        deliveries: 0,
        retries: 0,
    };
    for Delivered { path, answer, retries } in answers {
        told.deliveries += 1;
        told.retries += retries;
        (if path == "Act" { &mut told.actions } else { &mut told.undos }).push(answer);
    }
    told
}

struct Delivered {
    path: &'static str,
    answer: (u16, String),
    retries: u32,
}

/// As an engine does: the same bytes, until the answer is definite.
async fn deliver(service: &Service, path: &'static str, body: Bytes) -> Delivered {
    let mut retries = 0;
    loop {
        match service.post(path, &body).await {
            Some(answer) if answer.0 < 500 => return Delivered { path, answer, retries },
            _ => retries += 1,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
