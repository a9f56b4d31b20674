//! The in-process transport, with a mistake around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use amends_transport::conformance::{Capabilities, Participant, SERVICE, Said, Seen, Subject};
use amends_transport::{
    Answer, Closing, CommandView, Delivery, Fail, InProcess, Outgoing, Replies, Transport,
};
use amends_wire::{Direction, Fault, Outcome, envelope};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::Mistake;

/// See the module.
pub struct InExchanges(pub Option<Mistake>);

impl Subject for InExchanges {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            own_exchange: true,
            tells_not_sent: true,
            sees_crashes: true,
            carries_retry_after: true,
        }
    }

    fn start(
        &self,
        participant: Participant,
        kept_open_max: usize,
    ) -> BoxFuture<'_, Arc<dyn Transport>> {
        let mut inner = InProcess::with_kept_open_max(Handle::current(), kept_open_max);
        let mistake = self.0;
        for name in ["Act", "Undo"] {
            let participant = Arc::clone(&participant);
            inner = inner.handle(&format!("{SERVICE}.{name}"), move |command| {
                let said = participant(seen(&command, mistake));
                async move { answer(said.await) }
            });
        }
        Box::pin(std::future::ready(Mistaken::around(inner, mistake)))
    }

    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>> {
        let inner = InProcess::new(Handle::current());
        Box::pin(std::future::ready(Mistaken::around(inner, self.0)))
    }
}

fn seen(command: &CommandView, mistake: Option<Mistake>) -> Seen {
    let makes = |this| mistake == Some(this);
    let mut body = command.body().clone();
    if makes(Mistake::ChangesTheBody) {
        body = Bytes::from([&b" "[..], &body].concat());
    }
    let later = u64::from(makes(Mistake::MovesTheDeadline));
    let reply_to = command.reply_to().filter(|_| !makes(Mistake::ForgetsTheReplyAddress));
    let traceparent = command.traceparent().filter(|_| !makes(Mistake::KeepsTheTraceBack));
    Seen {
        body,
        attempt: command.attempt() + u32::from(makes(Mistake::CountsAttemptsItself)),
        deadline: envelope::rfc3339(command.deadline_unix_ms() + later),
        reply_to: reply_to.map(str::to_owned),
        traceparent: traceparent.map(str::to_owned),
    }
}

/// What a participant says, as this transport's functions answer.
pub fn answer(said: Said) -> Result<Answer, Fail> {
    match said {
        Said::Completed(result) => Ok(Answer::Done(result)),
        Said::Undone(true) => Ok(Answer::Undone),
        Said::Undone(false) => Ok(Answer::Gone),
        Said::Accepted => Ok(Answer::Accepted),
        Said::Refused { code, message } => Err(Fail::refused_with(code, message)),
        Said::Transient { code, message, retry_after } => {
            Err(Fail::Transient { error: Fault::coded(code, message), retry_after })
        }
        Said::Crash => panic!("the suite asked for it"),
    }
}

struct Mistaken {
    inner: Arc<InProcess>,
    /// Never closed.
    spare: Arc<InProcess>,
    mistake: Option<Mistake>,
    closed: AtomicBool,
}

impl Mistaken {
    fn around(inner: InProcess, mistake: Option<Mistake>) -> Arc<dyn Transport> {
        let spare = InProcess::new(Handle::current())
            .handle(&format!("{SERVICE}.Act"), |_: CommandView| async {
                Ok::<_, Fail>(Answer::Done(None))
            });
        let (inner, spare) = (Arc::new(inner), Arc::new(spare));
        Arc::new(Self { inner, spare, mistake, closed: AtomicBool::new(false) })
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

impl Transport for Mistaken {
    fn send(&self, mut outgoing: Outgoing, replies: Replies) {
        if self.makes(Mistake::NeedsARuntime) {
            let _ = Handle::current();
        }
        if self.makes(Mistake::HangsUpAtTheTimeOut) {
            outgoing.patience.keep_open_for = outgoing.patience.timeout;
        }
        if self.makes(Mistake::NeverHangsUp) {
            outgoing.patience.keep_open_for = Duration::from_secs(3600);
        }
        if self.makes(Mistake::SendsAfterClosing) && self.closed.load(Ordering::Acquire) {
            return self.spare.send(outgoing, replies);
        }
        let (told, is_told) = mpsc::channel();
        let told = Mutex::new(told);
        let mistake = self.mistake;
        let changed = Replies::new(move |delivery| {
            for delivery in change(mistake, delivery) {
                replies.deliver(delivery);
            }
            if let Ok(told) = told.lock() {
                let _ = told.send(()); // nobody waits
            }
        });
        self.inner.send(outgoing, changed);
        if self.makes(Mistake::WaitsForTheAnswer) {
            let _ = is_told.recv_timeout(Duration::from_secs(10)); // or the case is long over
        }
    }

    fn kept_open(&self) -> usize {
        if self.makes(Mistake::HidesWhatIsOpen) { 0 } else { self.inner.kept_open() }
    }

    fn close(&self, grace: Duration) -> Closing {
        self.closed.store(true, Ordering::Release);
        if self.makes(Mistake::LeavesWithoutAnEnd) && grace.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let grace = if self.makes(Mistake::ClosesAtOnce) { Duration::ZERO } else { grace };
        self.inner.close(grace)
    }
}

fn change(mistake: Option<Mistake>, delivery: Delivery) -> Vec<Delivery> {
    let Delivery::Ended { mut ticket, outcome } = delivery else { return vec![delivery] };
    let makes = |this| mistake == Some(this);
    if makes(Mistake::LosesAnAnswer) && ticket.saga_id % 500 == 499 {
        return Vec::new();
    }
    if makes(Mistake::NamesAnotherAttempt) {
        ticket.attempt = ticket.attempt.saturating_sub(1).max(1);
    }
    if makes(Mistake::NamesAnotherStep) {
        ticket.step = 0;
    }
    let outcome = match outcome {
        Outcome::Completed { result: Some(result), undone } if makes(Mistake::ChangesTheResult) => {
            let result = result.iter().copied().filter(|byte| *byte != b' ').collect();
            Outcome::Completed { result: Some(result), undone }
        }
        Outcome::Transient { error, .. }
            if makes(Mistake::RefusesUndos) && ticket.direction == Direction::Compensation =>
        {
            Outcome::Refused { error }
        }
        Outcome::Transient { error, named, .. } if makes(Mistake::ForgetsRetryAfter) => {
            Outcome::Transient { error, named, retry_after: None }
        }
        Outcome::Unknown { error, .. } if makes(Mistake::CallsACrashNotSent) => {
            Outcome::NotSent { error }
        }
        Outcome::NotSent { error } if makes(Mistake::CallsNotSentUnknown) => {
            Outcome::Unknown { error, contract: None }
        }
        outcome => outcome,
    };
    let again = Delivery::Ended { ticket, outcome: outcome.clone() };
    let mut all = vec![Delivery::Ended { ticket, outcome }];
    all.extend(makes(Mistake::AnswersTwice).then_some(again));
    all
}
