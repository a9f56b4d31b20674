//! Carrying out a command: claim, handler, answer, commit, in one transaction; and what is said
//! when any of it fails.

mod beside;
mod ended;
mod verdict;

use amends_wire::Direction;
use sqlx::Transaction;
use sqlx::error::DatabaseError;
use tracing::{Instrument, debug, error, info, warn};
use uuid::Uuid;

use crate::about::About;
use crate::answer::{Answer, Doubt, refusal};
use crate::command::Command;
use crate::database::{Both, Claim, Database, NotBegun};
use crate::ending::{Ending, Failed};
use crate::guard::{ALREADY_UNDONE, Action, Asked, Compensation, State};
use crate::handler::{BAD_DATA, Unable};
use crate::participant::Participant;
use crate::tx::Tx;
use crate::word::unpanicked;
pub(crate) use beside::Beside;
use beside::{Alone, Replying};
use ended::{rolled_back, store_refusal};

/// How often a transaction that was rolled back for the sake of another is tried. A loser of one
/// deadlock rarely loses the next; whoever loses more is told "not now", and comes again later.
const TRIES_MAX: u32 = 5;

/// How one try ended.
enum Tried {
    Answered(Answer),
    /// The answer is committed, and all that was to be done beside it.
    Whole(Answer),
    /// Rolled back for the sake of another transaction: the same may be tried again.
    Conflict(String),
    /// Rolled back because another was waited for in vain: the same would wait as long again.
    Waited(String),
}

/// What went wrong in a transaction before its commit.
enum Broken {
    Database(sqlx::Error),
    Handler(Failed),
    /// What goes with the answer, once that was written: the claim was there until then.
    Beside(Failed),
    /// The handler, or what reads its data.
    Panicked(String),
    /// The handler has rolled the transaction back, and then it ended so: the claim is gone.
    Ended(String),
    /// The handler has committed the transaction, and then it failed, of this.
    Committed(String),
    Refused(String),
    BadData(String),
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What a transaction that reached its end has come to.
enum Reached {
    /// It is committed when the answer is said.
    Done(Answer),
    /// Nothing was changed: it is rolled back.
    Again(Answer),
}

impl<D: Database> Participant<D> {
    /// Carries out a command, or says again what came of it. Never twice, whatever comes when.
    ///
    /// Dropped halfway it is rolled back, or, in the middle of its commit, of unknown outcome;
    /// the same command tells later.
    pub async fn carry_out(&self, command: &Command) -> Answer {
        let about = About::of(command);
        let span = about.span(command);
        self.carry_out_beside(&Alone, command, &about).instrument(span).await.0
    }

    /// The same for a command that came by message, in the span of whoever takes it: a new answer
    /// is written into the outbox as a reply, in the same transaction. Is it there?
    pub(crate) async fn carry_out_by_message(
        &self,
        command: &Command,
        about: &About,
    ) -> (Answer, bool) {
        self.carry_out_beside(&Replying, command, about).await
    }

    /// The same with something done in the command's transaction. Was that done, and committed?
    pub(crate) async fn carry_out_beside(
        &self,
        beside: &dyn Beside<D>,
        command: &Command,
        about: &About,
    ) -> (Answer, bool) {
        if let Some(breach) = self.misdirected(command) {
            return (breach, false);
        }
        let Ok(_room) = self.0.room.try_acquire() else {
            warn!("not now: as many commands are at work as may be; see at_work_max and the pool");
            return (Answer::later("BUSY", "too many commands are at work"), false);
        };
        for tried in 1..=TRIES_MAX {
            match self.try_once(beside, command, about).await {
                Tried::Whole(answer) => return (answer, true),
                Tried::Answered(answer) => return (answer, false),
                Tried::Conflict(why) => debug!(tried, "rolled back for another's sake: {why}"),
                Tried::Waited(why) => {
                    warn!("not now: another transaction was waited for in vain: {why}");
                    return (in_the_way(), false);
                }
            }
        }
        warn!("not now: rolled back {TRIES_MAX} times for the sake of other transactions");
        (in_the_way(), false)
    }

    /// A command that this service has not, or has in the other direction.
    fn misdirected(&self, command: &Command) -> Option<Answer> {
        let (here, there) = match command.direction() {
            Direction::Action => (self.0.actions.contains_key(&command.name), "a compensation"),
            Direction::Compensation => {
                (self.0.compensations.contains_key(&command.name), "an action")
            }
        };
        if here {
            return None;
        }
        let (service, name) = (self.service(), &command.name);
        let answer = if self.knows(name) {
            let why =
                format!("{name:?} is {there} of {service}, and came as {}", command.direction());
            Answer::breach("WRONG_DIRECTION", why)
        } else {
            Answer::breach("UNKNOWN_COMMAND", format!("{service} has no command {name:?}"))
        };
        warn!("breach of the protocol: {}", answer.body());
        Some(answer)
    }

    async fn try_once(&self, beside: &dyn Beside<D>, command: &Command, about: &About) -> Tried {
        let transaction = match self.begin().await {
            Ok(transaction) => transaction,
            Err(not_begun) => return told_of_none::<D>(not_begun),
        };
        let mut tx = Tx::new(transaction, self.service(), command);
        // Whatever the claim finds, a refusal has to know whether a row was there before.
        let mut is_first = true;
        // A new one for each try: what an earlier one has left behind is not taken for its own.
        let mark = Uuid::now_v7().simple().to_string();
        let claim = claim(command, &mark);
        let reached = match (beside.before(&mut tx).await, command.direction()) {
            (Ok(true), Direction::Action) => {
                self.act(&mut tx, command, &claim, about, &mut is_first).await
            }
            (Ok(true), Direction::Compensation) => self.undo(&mut tx, command, &claim, about).await,
            (Ok(false), _) => Ok(Reached::Again(no_more())),
            (Err(error), _) => Err(Broken::Database(error)),
        };
        let reached = match reached {
            Ok(Reached::Done(answer)) => {
                let done = beside.after(&mut tx, command, &answer).await;
                done.map(|()| Reached::Done(answer)).map_err(Broken::Beside)
            }
            reached => reached,
        };
        match reached {
            Ok(Reached::Done(answer)) => {
                let has_published = tx.has_published();
                let tried = commit(tx.into_inner(), answer).await;
                if has_published {
                    self.0.outbox_written.notify_one();
                }
                match tried {
                    Tried::Answered(answer) if is_definite(&answer) => Tried::Whole(answer),
                    tried => tried,
                }
            }
            Ok(Reached::Again(answer)) => {
                roll_back(tx.into_inner()).await;
                Tried::Answered(answer)
            }
            Err(broken) => {
                let tried = match broken {
                    Broken::Refused(reply) => {
                        store_refusal(tx.into_inner(), &claim, reply, is_first).await
                    }
                    broken => Err(rolled_back(tx.into_inner(), broken, &claim).await),
                };
                match tried {
                    Ok(tried) => tried,
                    Err(broken) => {
                        if matches!(broken, Broken::Ended(_)) {
                            self.leave_claimed(command, &claim).await;
                        }
                        broken.told::<D>()
                    }
                }
            }
        }
    }

    async fn act(
        &self,
        tx: &mut Tx<D>,
        command: &Command,
        claim: &Claim<'_>,
        about: &About,
        is_first: &mut bool,
    ) -> Result<Reached, Broken> {
        let row = D::claim(tx, claim).await?;
        *is_first = row.state == State::Claimed && row.round == claim.round;
        if let Some(answer) = said_of_an_action(self.action_verdict(&row, asked(command, claim))) {
            return Ok(Reached::Again(answer));
        }
        let Some(handler) = self.0.actions.get(&command.name) else {
            return Ok(Reached::Again(Answer::breach("UNKNOWN_COMMAND", "no such action")));
        };
        #[cfg(feature = "mistakes")]
        if row.state != State::Claimed {
            D::claim_anew(tx, claim).await?;
        }
        let result = match unpanicked(async { handler(tx, about).await }).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(Ending::Refused(refused))) => {
                info!(code = refused.code(), "refused: {}", refused.message());
                Err(Broken::Refused(refusal(&refused)))
            }
            Ok(Err(Ending::Failed(failed))) => Err(Broken::Handler(failed)),
            Err(why) => Err(Broken::Panicked(why)),
        }?;
        if !D::answer(tx, claim, State::Completed, &result).await? {
            return Err(Broken::Ended("it answered".to_owned()));
        }
        Ok(Reached::Done(Answer::Completed(result)))
    }

    async fn undo(
        &self,
        tx: &mut Tx<D>,
        command: &Command,
        claim: &Claim<'_>,
        about: &About,
    ) -> Result<Reached, Broken> {
        let Both { own, action } = self.claim_both(tx, claim).await?;
        let Some(said) = &command.undo else {
            return Ok(Reached::Again(Answer::breach("MISSING_FIELD", "it says of no outcome")));
        };
        let asked = asked(command, claim);
        let result = match self.compensation_verdict(&own, &action, asked, said.completed) {
            Compensation::Again { undone } => {
                info!(undone, "said again");
                return Ok(Reached::Again(Answer::Undone(undone)));
            }
            Compensation::KeyReused => return Ok(Reached::Again(key_reused())),
            Compensation::LeftBehind => return Ok(Reached::Again(left_behind())),
            Compensation::Nothing => {
                info!("there is nothing to undo; its action will not run any more");
                D::answer_both(tx, claim, State::Nothing, "false").await?;
                return Ok(Reached::Done(Answer::Undone(false)));
            }
            Compensation::Run(result) => result,
            Compensation::RunUnrecorded => {
                warn!(
                    "the record of the action is gone, and the saga says that it was completed: \
                     it is undone by the result that the command brought. Was the guard pruned \
                     too early, or the database restored from a backup?"
                );
                String::from_utf8_lossy(&said.original_result).into_owned()
            }
        };
        let Some(handler) = self.0.compensations.get(&command.name) else {
            return Ok(Reached::Again(Answer::breach("UNKNOWN_COMMAND", "no such compensation")));
        };
        #[cfg(feature = "mistakes")]
        if own.state != State::Claimed {
            D::claim_anew(tx, claim).await?;
        }
        match unpanicked(async { handler(tx, &result, about).await }).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Unable::Failed(failed))) => Err(Broken::Handler(failed)),
            Ok(Err(Unable::BadData(why))) => Err(Broken::BadData(why)),
            Err(why) => Err(Broken::Panicked(why)),
        }?;
        if !D::answer_both(tx, claim, State::Undone, "true").await? {
            return Err(Broken::Ended("it answered".to_owned()));
        }
        Ok(Reached::Done(Answer::Undone(true)))
    }
}

impl Broken {
    /// What is said of it, to the sender and in the log; everything that can be was rolled back.
    fn told<D: Database>(self) -> Tried {
        let failed = match self {
            Self::Database(sqlx::Error::Database(e)) if is_in_the_way::<D>(&*e) => {
                return told_of_others::<D>(&*e);
            }
            Self::Database(sqlx::Error::Database(e)) if D::is_aborted(&*e) => {
                warn!(
                    "not now: the handler went on after a statement that had failed, and with it \
                     its transaction; nothing was changed. Let the error out, or make a savepoint \
                     before the statement: {e}"
                );
                let why = "the handler went on after a statement that had failed";
                return Tried::Answered(Answer::transient("TRANSACTION_ABORTED", why));
            }
            Self::Database(e) => return no_database(&e.to_string()),
            Self::Handler(failed) | Self::Beside(failed) => failed,
            Self::Panicked(why) => {
                error!("not now: the handler panicked; nothing was changed: {why}");
                return Tried::Answered(Answer::transient("HANDLER_FAILED", "the handler failed"));
            }
            Self::Ended(how) => {
                error!(
                    "whether it was done is not known: the handler has ended the transaction that \
                     it was given, so what it did after that is not undone, and no answer is \
                     stored. A handler does neither COMMIT nor ROLLBACK. Only a person can tell: \
                     set the row of amends_guard to what is true, or delete it where nothing was \
                     done. The handler ended so: {how}"
                );
                return Tried::Answered(Answer::Unknown(Doubt::TransactionEnded));
            }
            Self::Committed(why) => {
                error!("the handler failed after its claim was committed: {why}");
                return Tried::Answered(left_behind());
            }
            Self::BadData(why) => {
                error!("the action's result is none of the compensation's type: {why}");
                let why = format!("the action's result is none of the compensation's type: {why}");
                return Tried::Answered(Answer::breach(BAD_DATA, why));
            }
            Self::Refused(reply) => return Tried::Answered(Answer::Refused(reply)),
        };
        if let Some(e) = failed.database_error()
            && is_in_the_way::<D>(e)
        {
            return told_of_others::<D>(e);
        }
        warn!("not now: the handler failed, nothing was changed: {failed}");
        Tried::Answered(Answer::transient("HANDLER_FAILED", "the handler failed"))
    }
}

/// Was this because of other transactions?
fn is_in_the_way<D: Database>(error: &dyn DatabaseError) -> bool {
    D::is_conflict(error) || D::has_waited(error)
}

/// What is done then.
fn told_of_others<D: Database>(error: &dyn DatabaseError) -> Tried {
    let why = error.to_string();
    if D::has_waited(error) { Tried::Waited(why) } else { Tried::Conflict(why) }
}

fn in_the_way() -> Answer {
    Answer::transient("CONFLICT", "other transactions were in the way")
}

/// Of a transaction that was not begun.
fn told_of_none<D: Database>(not_begun: NotBegun) -> Tried {
    match not_begun {
        NotBegun::Held => Tried::Waited(not_begun.to_string()),
        NotBegun::NoConnection => no_database(&not_begun.to_string()),
        NotBegun::Database(e) => Broken::Database(e).told::<D>(),
    }
}

/// Was it committed, by its own word?
const fn is_definite(answer: &Answer) -> bool {
    matches!(answer, Answer::Completed(_) | Answer::Undone(_))
}

async fn commit<D: Database>(transaction: Transaction<'static, D>, answer: Answer) -> Tried {
    match transaction.commit().await {
        Ok(()) => {
            match &answer {
                Answer::Undone(undone) => info!(undone, "compensated"),
                _ => info!("completed"),
            }
            Tried::Answered(answer)
        }
        Err(sqlx::Error::Database(e)) if is_in_the_way::<D>(&*e) && D::is_rolled_back(&*e) => {
            told_of_others::<D>(&*e)
        }
        Err(sqlx::Error::Database(e)) if D::is_rolled_back(&*e) => {
            warn!("not now: the commit was refused, nothing was changed: {e}");
            Tried::Answered(Answer::transient("HANDLER_FAILED", "the commit was refused"))
        }
        Err(e) => {
            error!("whether it was committed is not known; the next attempt tells: {e}");
            Tried::Answered(Answer::Unknown(Doubt::CommitLost))
        }
    }
}

/// An error here changes nothing: what is not committed is rolled back when the connection goes.
async fn roll_back<D: Database>(transaction: Transaction<'static, D>) {
    if let Err(e) = transaction.rollback().await {
        debug!("the transaction goes with its connection: {e}");
    }
}

fn no_database(why: &str) -> Tried {
    error!("not now: the database cannot be used, nothing was changed: {why}");
    Tried::Answered(Answer::later("DATABASE_UNAVAILABLE", "the service's database is away"))
}

/// The answer to an action that does not run.
fn said_of_an_action(verdict: Action) -> Option<Answer> {
    match verdict {
        Action::Run => None,
        Action::Completed(result) => {
            info!("said again: completed");
            Some(Answer::Completed(result))
        }
        Action::Refused(error) => {
            info!("said again: refused");
            Some(Answer::Refused(error))
        }
        Action::AlreadyUndone => {
            info!("refused: its compensation came first");
            let error = serde_json::json!({
                "code": ALREADY_UNDONE,
                "message": "this step was undone before it ran",
            });
            Some(Answer::Refused(error.to_string()))
        }
        Action::KeyReused => Some(key_reused()),
        Action::LeftBehind => Some(left_behind()),
    }
}

fn no_more() -> Answer {
    Answer::transient("SETTLED", "by now it is settled otherwise")
}

fn left_behind() -> Answer {
    error!(
        "whether it was done is not known: a claim without an answer was committed. A handler has \
         committed the transaction that it was given (by COMMIT, or by a statement with which \
         MySQL commits, such as CREATE TABLE) and then failed or died. Only a person can tell: \
         set the row of amends_guard to what is true"
    );
    Answer::Unknown(Doubt::TransactionEnded)
}

fn key_reused() -> Answer {
    warn!("breach of the protocol: this round came before with another body");
    Answer::breach("KEY_REUSED", "this idempotency key came before with another body")
}

fn claim<'a>(command: &'a Command, mark: &'a str) -> Claim<'a> {
    Claim {
        saga_id: &command.saga_id,
        step: &command.id.step_name,
        direction: command.direction().as_str(),
        round: command.id.round,
        body_sha256: &command.body_sha256,
        mark,
    }
}

fn asked<'a>(command: &Command, claim: &Claim<'a>) -> Asked<'a> {
    Asked { round: command.round(), body_sha256: claim.body_sha256, mark: claim.mark }
}
