//! The sagas: what of each is delivered when, and what was told.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use sqlx::Pool;

use crate::bed::{RESULT, Saga, Tested, Work};
use crate::chance::Chance;
use crate::service::Service;

/// Sagas at once: as many as an engine sends to a service.
const AT_ONCE: usize = 64;

/// How late a delivery may be, beside its saga's others.
const LATE_MS_MAX: u64 = 40;

/// A delete loses against a service that is at work on other rows; not for ever.
const DELETES_MAX: u32 = 100;

/// How often a delivery is sent before the service is said to have no answer: minutes, in which it
/// was there and not one of its other commands was in the way any more.
const SENT_MAX: u32 = 20_000;

/// What is entered for every action, and undone; other bytes ask for another amount.
pub(crate) const AMOUNT: i64 = 5;
const OTHER_AMOUNT: i64 = 6;

/// What the business does with a saga's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    Done,
    Refused,
    /// Refused in the first round, done in the second: both are on their way at the same time.
    AskedAgain,
    /// Done; and then the guard has no record of it any more, and the saga says what it was told.
    RecordLost,
}

impl Course {
    fn by(chance: &mut Chance) -> Self {
        match chance.below(8) {
            0 => Self::Refused,
            1 | 2 => Self::AskedAgain,
            3 => Self::RecordLost,
            _ => Self::Done,
        }
    }

    /// The round in which the business has its last word.
    pub(crate) fn last_round(self) -> u16 {
        if self == Self::AskedAgain { 2 } else { 1 }
    }
}

/// What is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Act {
        round: u16,
    },
    Undo,
    /// Other bytes under the key of an action that was answered, of the last round.
    OtherAct,
    /// The same of an undo.
    OtherUndo,
    /// An action's copy after an undo by the saga's word alone.
    ActUnrecorded,
}

/// What became of a saga.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) saga: Saga,
    pub(crate) course: Course,
    pub(crate) is_undone: bool,
    pub(crate) answers: Vec<Answered>,
}

/// What was told in the end, to one delivery.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) what: What,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retries: u32,
}

pub(crate) async fn run_all<D: Tested>(
    service: &Service,
    pool: &Pool<D>,
    sagas: u32,
    seed: u64,
) -> Vec<Told> {
    let run = |n: u32| run(service, pool, Chance(seed << 32 | u64::from(n)));
    stream::iter(0..sagas).map(run).buffer_unordered(AT_ONCE).collect().await
}

/// One saga: each round of its action one to three times, its undo as often if it is undone, in
/// any order and at about the same time; and one of them once more, long after.
async fn run<D: Tested>(service: &Service, pool: &Pool<D>, mut chance: Chance) -> Told {
    let course = Course::by(&mut chance);
    let loses_record = course == Course::RecordLost;
    let is_undone = loses_record || chance.one_in(2);
    let saga = Saga::new();
    let mut undos = if is_undone { undos(saga, course, &mut chance) } else { Vec::new() };
    let mut planned = actions(saga, course, &mut undos, &mut chance);
    let mut answers;
    let late;
    if loses_record {
        answers = deliver_all(service, planned, &mut chance).await;
        lose_record(pool, saga).await;
        answers.extend(deliver_all(service, undos, &mut chance).await);
        late = vec![(What::ActUnrecorded, saga.action())];
    } else {
        planned.extend(undos);
        chance.shuffle(&mut planned);
        late = planned[0][..1].to_vec();
        answers = deliver_all(service, planned, &mut chance).await;
    }
    answers.extend(deliver(service, late).await);
    Told { saga, course, is_undone, answers }
}

/// Commands, each of which is sent when the one before it was answered.
type Delivery = Vec<(What, Bytes)>;

fn actions(
    saga: Saga,
    course: Course,
    undos: &mut Vec<Delivery>,
    chance: &mut Chance,
) -> Vec<Delivery> {
    let of = |round: u16, amount: i64| {
        let refuses = match course {
            Course::Refused => true,
            Course::AskedAgain => round == 1,
            Course::Done | Course::RecordLost => false,
        };
        let end = if refuses { "refuse" } else { "" }.to_owned();
        saga.action_of(round, Work { amount, end })
    };
    let act = |round| (What::Act { round }, of(round, AMOUNT));
    let mut planned = copies(vec![act(1)], chance);
    if course == Course::AskedAgain {
        match chance.below(3) {
            // In any order, as a network can have it.
            0 => planned.extend(copies(vec![act(2)], chance)),
            // Given up after the first round, while the second is still on its way.
            1 if !undos.is_empty() => {
                let undo = undos.swap_remove(0).swap_remove(0);
                undos.clear();
                planned.iter_mut().for_each(|copy| copy.extend([undo.clone(), act(2)]));
            }
            _ => planned.iter_mut().for_each(|copy| copy.push(act(2))),
        }
    }
    let other = (What::OtherAct, of(course.last_round(), OTHER_AMOUNT));
    with_other_bytes(planned, other, chance)
}

/// In one round, or in two that are on their way at the same time.
fn undos(saga: Saga, course: Course, chance: &mut Chance) -> Vec<Delivery> {
    let result = (course == Course::RecordLost).then_some(RESULT.as_bytes());
    let of = |round: u16, amount: i64| {
        saga.undo_with(round, result, format!("{{\"amount\":{amount}}}").as_bytes())
    };
    let planned = copies(vec![(What::Undo, of(1, AMOUNT))], chance);
    if chance.one_in(3) {
        // Of two rounds either may be the one whose bytes are remembered.
        return [planned, copies(vec![(What::Undo, of(2, AMOUNT))], chance)].concat();
    }
    with_other_bytes(planned, (What::OtherUndo, of(1, OTHER_AMOUNT)), chance)
}

fn copies(of: Delivery, chance: &mut Chance) -> Vec<Delivery> {
    vec![of; 1 + chance.below(3) as usize]
}

/// Where there is an answer, a broken sender may use its key again.
fn with_other_bytes(
    mut planned: Vec<Delivery>,
    other: (What, Bytes),
    chance: &mut Chance,
) -> Vec<Delivery> {
    if let Some(last) = planned.last_mut()
        && chance.one_in(4)
    {
        last.push(other);
    }
    planned
}

/// As of a database that was restored from a backup, or a guard that was pruned too early.
async fn lose_record<D: Tested>(pool: &Pool<D>, saga: Saga) {
    for _ in 0..DELETES_MAX {
        let sql = format!("DELETE FROM amends_guard WHERE saga_id = '{}'", saga.0);
        match D::run(pool, sql).await {
            Ok(rows) => return assert_eq!(rows, 1, "an action that was answered has its row"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("the row of saga {} cannot be deleted", saga.0);
}

async fn deliver_all(
    service: &Service,
    planned: Vec<Delivery>,
    chance: &mut Chance,
) -> Vec<Answered> {
    let deliveries = planned.into_iter().map(|delivery| {
        let wait = Duration::from_millis(chance.below(LATE_MS_MAX));
        async move {
            tokio::time::sleep(wait).await;
            deliver(service, delivery).await
        }
    });
    join_all(deliveries.collect::<Vec<_>>()).await.into_iter().flatten().collect()
}

async fn deliver(service: &Service, delivery: Delivery) -> Vec<Answered> {
    let mut answers = Vec::new();
    for (what, body) in delivery {
        answers.push(until_definite(service, what, body).await);
    }
    answers
}

/// As an engine does: the same bytes, until the answer is definite.
async fn until_definite(service: &Service, what: What, body: Bytes) -> Answered {
    let path = match what {
        What::Act { .. } | What::OtherAct | What::ActUnrecorded => "Act",
        What::Undo | What::OtherUndo => "Undo",
    };
    let mut retries = 0;
    loop {
        let (status, body) = service.post(path, &body).await.unwrap_or_default();
        if (1..500).contains(&status) || retries == SENT_MAX {
            return Answered { what, status, body, retries };
        }
        // At once, and soon again; a service that is slow would else do nothing but say so.
        tokio::time::sleep(Duration::from_millis(5 << retries.min(4))).await;
        retries += 1;
    }
}
