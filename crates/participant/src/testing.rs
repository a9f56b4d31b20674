//! What a service's own tests hold its handlers against: commands that come twice, late, at once,
//! in the wrong order, or are broken off.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")] mod example {
//! # use amends_participant::Participant;
//! use amends_participant::testing::Trial;
//! use serde_json::json;
//!
//! # async fn stock(pool: &sqlx::SqlitePool) -> i64 { 0 }
//! # async fn the_inventory(inventory: Participant<sqlx::Sqlite>, pool: sqlx::SqlitePool) {
//! let trial = Trial::of(&inventory, "ReserveItems")
//!     .undone_by("ReleaseReservation")
//!     .with(json!({"sku": "kettle", "quantity": 1}))
//!     .watching(|| stock(&pool));
//! trial.all().await;
//! trial.with(json!({"sku": "unicorn", "quantity": 1})).refuse_twice().await;
//! # }
//! # }
//! ```
//!
//! A check panics with what was sent, what was answered, and what the number was that is watched.
//! Run them on the database that the service has in earnest: what waits for what is the database's.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use amends_wire::{ActionOutcome, CommandBody, SagaId, Undo};
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::Value;
use uuid::Uuid;

use crate::answer::{Answer, Doubt};
use crate::command::Command;
use crate::database::Database;
use crate::guard::ALREADY_UNDONE;
use crate::participant::Participant;

/// How many copies come at once: more than a small pool has connections.
const COPIES: usize = 12;

/// How far into a command it is broken off: before it has begun, in the middle, or after its end.
const BREAKS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_micros(200),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(50),
];

/// The step that all trials are of.
const STEP: &str = "trial";

/// An action, with its undo where it has one, held against what may come.
#[must_use]
pub struct Trial<'a, D: Database, W> {
    participant: &'a Participant<D>,
    action: String,
    compensation: Option<String>,
    data: Value,
    watch: W,
}

impl<'a, D: Database> Trial<'a, D, ()> {
    /// Of this action. Its data is `null` until it is said.
    pub fn of(participant: &'a Participant<D>, action: &str) -> Self {
        Trial {
            participant,
            action: action.to_owned(),
            compensation: None,
            data: Value::Null,
            watch: (),
        }
    }

    /// The number that the effect changes: a stock, a balance, the entries of a ledger.
    pub fn watching<W, Counting>(self, watch: W) -> Trial<'a, D, W>
    where
        W: Fn() -> Counting,
        Counting: Future<Output = i64>,
    {
        let Self { participant, action, compensation, data, watch: () } = self;
        Trial { participant, action, compensation, data, watch }
    }
}

impl<D: Database, W> Trial<'_, D, W> {
    /// The compensation that undoes it.
    pub fn undone_by(mut self, compensation: &str) -> Self {
        self.compensation = Some(compensation.to_owned());
        self
    }

    /// The data of the action.
    pub fn with(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}

impl<D: Database, W, Counting> Trial<'_, D, W>
where
    W: Fn() -> Counting,
    Counting: Future<Output = i64>,
{
    /// All checks that an action which succeeds must pass, with its undo if it has one.
    ///
    /// # Panics
    ///
    /// One of them fails.
    pub async fn all(&self) {
        self.deliver_twice().await;
        self.crash_after_commit(self.participant).await;
        self.two_at_once().await;
        self.break_off().await;
        if self.compensation.is_some() {
            self.compensate_first().await;
            self.undo_twice().await;
            self.action_and_undo_at_once().await;
        }
    }

    /// The second delivery changes nothing, and is told the same.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub async fn deliver_twice(&self) {
        let saga = Saga::new();
        let (first, _) = self.completes(saga).await;
        let (second, changed) = self.tell(&self.action_of(saga)).await;
        self.same("delivered twice", &first, &second);
        self.unchanged("delivered twice", changed);
    }

    /// The process is gone after the commit, and its answer with it; another copy of the service,
    /// which knows nothing but what is in the database, is asked again.
    ///
    /// # Panics
    ///
    /// It has another effect, or is told something else.
    pub async fn crash_after_commit(&self, another: &Participant<D>) {
        let saga = Saga::new();
        let (lost, _) = self.completes(saga).await;
        let before = (self.watch)().await;
        let command = self.read(&self.action_of(saga));
        let told = another.carry_out(&command).await;
        self.same("asked again after a crash", &lost, &told);
        self.unchanged("asked again after a crash", (self.watch)().await - before);
    }

    /// Copies that come at the same moment have one effect, and are told the same.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub async fn two_at_once(&self) {
        let once = self.effect().await;
        let saga = Saga::new();
        let before = (self.watch)().await;
        let body = self.action_of(saga);
        let answers = join_all((0..COPIES).map(|_| self.settled(&body))).await;
        for answer in &answers {
            self.same("at once with another copy", &answers[0], answer);
        }
        let changed = (self.watch)().await - before;
        self.holds(
            changed == once,
            format_args!("{COPIES} copies at once changed it by {changed}, and one by {once}"),
        );
    }

    /// A command that is broken off at any moment, as by a crash, is done wholly or not at all,
    /// and once when it comes again.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub async fn break_off(&self) {
        let once = self.effect().await;
        for after in BREAKS {
            let saga = Saga::new();
            let before = (self.watch)().await;
            let body = self.action_of(saga);
            let command = self.read(&body);
            let _ = tokio::time::timeout(after, self.participant.carry_out(&command)).await;
            self.settled(&self.action_of(saga)).await;
            let changed = (self.watch)().await - before;
            self.holds(
                changed == once,
                format_args!(
                    "broken off after {after:?} and delivered again it changed by {changed}, and \
                     in one piece by {once}"
                ),
            );
        }
    }

    /// The undo comes first: it has nothing to undo, and its action never runs.
    ///
    /// # Panics
    ///
    /// It is not so, or there is no undo.
    pub async fn compensate_first(&self) {
        let saga = Saga::new();
        for _ in 0..2 {
            let (answer, changed) = self.tell(&self.undo_of(saga, None)).await;
            self.same("undone before it ran", &Answer::Undone(false), &answer);
            self.unchanged("undone before it ran", changed);
        }
        let (late, changed) = self.tell(&self.action_of(saga)).await;
        let refused = matches!(&late, Answer::Refused(error) if error.contains(ALREADY_UNDONE));
        self.holds(refused, format_args!("late, after its undo, it was told {}", Told(&late)));
        self.unchanged("late, after its undo,", changed);
    }

    /// The second undo changes nothing, and a late copy of the action neither.
    ///
    /// # Panics
    ///
    /// It is not so, or there is no undo.
    pub async fn undo_twice(&self) {
        let saga = Saga::new();
        let (done, _) = self.completes(saga).await;
        let Answer::Completed(result) = &done else { return };
        let undo = self.undo_of(saga, Some(result));
        let (undone, _) = self.tell(&undo).await;
        self.same("undone", &Answer::Undone(true), &undone);
        let (again, changed) = self.tell(&undo).await;
        self.same("undone twice", &undone, &again);
        self.unchanged("undone twice", changed);
        let (late, changed) = self.tell(&self.action_of(saga)).await;
        self.same("delivered again after its undo", &done, &late);
        self.unchanged("delivered again after its undo", changed);
    }

    /// An action and its undo at the same moment: both have an effect, or neither.
    ///
    /// # Panics
    ///
    /// It is not so, or there is no undo.
    pub async fn action_and_undo_at_once(&self) {
        let both = self.effect_of_both().await;
        for _ in 0..COPIES {
            let saga = Saga::new();
            let before = (self.watch)().await;
            let (action, undo) = (self.action_of(saga), self.undo_of(saga, None));
            let (done, undone) = tokio::join!(self.settled(&action), self.settled(&undo));
            let changed = (self.watch)().await - before;
            let expected = if undone == Answer::Undone(true) { both } else { 0 };
            self.holds(
                changed == expected,
                format_args!(
                    "at once with its undo it was told {}, the undo {}, and it changed by \
                     {changed}, not by {expected}",
                    Told(&done),
                    Told(&undone)
                ),
            );
        }
    }

    /// With data that it refuses: it changes nothing, is told the same again, and there is
    /// nothing to undo.
    ///
    /// # Panics
    ///
    /// It is not so.
    pub async fn refuse_twice(&self) {
        let saga = Saga::new();
        let (first, changed) = self.tell(&self.action_of(saga)).await;
        let refused = matches!(first, Answer::Refused(_));
        self.holds(refused, format_args!("it should refuse this, and was told {}", Told(&first)));
        self.unchanged("refused", changed);
        let (second, changed) = self.tell(&self.action_of(saga)).await;
        self.same("refused twice", &first, &second);
        self.unchanged("refused twice", changed);
        if self.compensation.is_some() {
            let (undone, changed) = self.tell(&self.undo_of(saga, None)).await;
            self.same("undone after it was refused", &Answer::Undone(false), &undone);
            self.unchanged("undone after it was refused", changed);
        }
    }

    /// What the action changes the number by.
    async fn effect(&self) -> i64 {
        self.completes(Saga::new()).await.1
    }

    async fn effect_of_both(&self) -> i64 {
        let saga = Saga::new();
        let (_, done) = self.completes(saga).await;
        let (_, undone) = self.tell(&self.undo_of(saga, None)).await;
        done + undone
    }

    async fn completes(&self, saga: Saga) -> (Answer, i64) {
        let (answer, changed) = self.tell(&self.action_of(saga)).await;
        let completed = matches!(answer, Answer::Completed(_));
        self.holds(completed, format_args!("it should succeed, and was told {}", Told(&answer)));
        self.holds(
            changed != 0,
            format_args!("it changes nothing of what is watched, so nothing can be seen of it"),
        );
        (answer, changed)
    }

    async fn tell(&self, body: &Bytes) -> (Answer, i64) {
        let before = (self.watch)().await;
        let answer = self.settled(body).await;
        (answer, (self.watch)().await - before)
    }

    /// Asked again while it is told "not now", as an engine does, though not for ever.
    async fn settled(&self, body: &Bytes) -> Answer {
        let command = self.read(body);
        for wait in [1, 5, 20, 100, 500] {
            match self.participant.carry_out(&command).await {
                Answer::Transient { .. } | Answer::Unknown(Doubt::CommitLost) => {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                definite => return definite,
            }
        }
        self.participant.carry_out(&command).await
    }

    fn action_of(&self, saga: Saga) -> Bytes {
        self.body(saga, &self.action, None)
    }

    fn undo_of(&self, saga: Saga, result: Option<&str>) -> Bytes {
        let name = self
            .compensation
            .as_deref()
            .unwrap_or_else(|| panic!("{} has no undo here: say it with undone_by", self.action));
        let outcome =
            if result.is_some() { ActionOutcome::Completed } else { ActionOutcome::Unknown };
        let original_result = result.map(str::as_bytes);
        self.body(saga, name, Some(Undo { action_round: 1, outcome, original_result }))
    }

    fn body(&self, saga: Saga, name: &str, undo: Option<Undo<'_>>) -> Bytes {
        let data = self.data.to_string();
        let body = CommandBody {
            saga_id: saga.0,
            saga_type: "Trial",
            step_name: STEP,
            command: &format!("{}.{name}", self.participant.service()),
            round: 1,
            data: data.as_bytes(),
            flat: true,
            undo,
        };
        body.render().unwrap_or_else(|e| panic!("{}: {e}", self.action))
    }

    fn read(&self, body: &Bytes) -> Command {
        Command::read(self.participant.service(), None, &(), body)
            .unwrap_or_else(|e| panic!("{}: {e}", self.action))
    }

    #[track_caller]
    fn same(&self, when: &str, expected: &Answer, told: &Answer) {
        self.holds(
            expected == told,
            format_args!("{when} it was told {}, not {}", Told(told), Told(expected)),
        );
    }

    #[track_caller]
    fn unchanged(&self, when: &str, changed: i64) {
        self.holds(changed == 0, format_args!("{when} it changed what is watched by {changed}"));
    }

    #[track_caller]
    fn holds(&self, holds: bool, otherwise: fmt::Arguments<'_>) {
        let (service, action) = (self.participant.service(), &self.action);
        assert!(holds, "{service}.{action} with {}:\n  {otherwise}", self.data);
    }
}

/// A saga of its own for each check.
#[derive(Clone, Copy)]
struct Saga(SagaId);

impl Saga {
    fn new() -> Self {
        Self(SagaId(Uuid::now_v7().as_u128()))
    }
}

/// An answer as a person reads it.
struct Told<'a>(&'a Answer);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status(), self.0.body())
    }
}

impl<D: Database, W> fmt::Debug for Trial<'_, D, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("action", &self.action)
            .field("compensation", &self.compensation)
            .finish_non_exhaustive()
    }
}
