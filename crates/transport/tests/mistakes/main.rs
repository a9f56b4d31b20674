//! Transports with mistakes built in on purpose: the suite must catch each. One has an exchange for
//! each sending, and one answers by message.

mod broker;
mod exchange;

use std::panic::{AssertUnwindSafe, set_hook, take_hook};
use std::time::Duration;

use amends_transport::conformance::{CASES, Subject};
use futures_util::FutureExt;

use broker::ByMessage;
use exchange::InExchanges;

macro_rules! mistakes {
    ($($name:ident = $words:literal,)*) => {
        /// A mistake that a transport makes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Mistake { $($name,)* }

        /// All of them, with what each is in words.
        const MISTAKES: &[(Mistake, &str)] = &[$((Mistake::$name, $words),)*];
    };
}

mistakes! {
    LosesAnAnswer = "loses an answer now and then",
    AnswersTwice = "answers twice",
    NamesAnotherAttempt = "gives an answer to the attempt before",
    NamesAnotherStep = "gives an answer to another step",
    ChangesTheBody = "changes a space in the body",
    CountsAttemptsItself = "says another attempt beside the body",
    ForgetsTheReplyAddress = "forgets the reply address",
    KeepsTheTraceBack = "forgets the trace",
    MovesTheDeadline = "says another deadline",
    ChangesTheResult = "changes the result",
    RefusesUndos = "tells a participant's no to an undo as a refusal",
    CallsACrashNotSent = "tells a crash as if nothing had left",
    CallsNotSentUnknown = "tells what never left as unknown",
    ForgetsRetryAfter = "forgets how long a participant wants to be left alone",
    WaitsForTheAnswer = "holds the caller until the answer is there",
    NeedsARuntime = "sends from a task of its runtime only",
    HangsUpAtTheTimeOut = "hangs up at the time-out",
    NeverHangsUp = "never hangs up",
    HidesWhatIsOpen = "says that nothing is open past its time-out",
    ClosesAtOnce = "does not wait for what is open when it closes",
    LeavesWithoutAnEnd = "closes without an end for what is open",
    SendsAfterClosing = "sends when it is closed",
    AcknowledgesBeforeHandingOver = "acknowledges a reply before it is durable",
    BringsForEver = "brings a reply again that is durable",
    WantsNoReceipt = "hands a reply over without asking whether it is durable",
    HidesTheSender = "does not say on whose channel a reply came",
}

/// A case that is not over by then waits for what a mistake has lost. On a machine so slow that a sound
/// transport took as long, a mistake is called caught too early; nothing fails.
const LOST_AFTER: Duration = Duration::from_secs(4);

async fn failing(subject: &dyn Subject) -> Option<&'static str> {
    for case in CASES {
        let run = AssertUnwindSafe((case.run)(subject)).catch_unwind();
        if !matches!(tokio::time::timeout(LOST_AFTER, run).await, Ok(Ok(()))) {
            return Some(case.name);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_is_caught() {
    // The panics of transports with mistakes are what is looked for, and not worth a word.
    set_hook(Box::new(|_| {}));
    let mut uncaught = Vec::new();
    println!("{} cases, {} mistakes", CASES.len(), MISTAKES.len());
    // All at once: what is lost is waited for.
    let all = MISTAKES.iter().map(async |(mistake, words)| {
        let by = match failing(&InExchanges(Some(*mistake))).await {
            Some(case) => Some(case),
            None => failing(&ByMessage(Some(*mistake))).await,
        };
        (words, by)
    });
    for (words, by) in futures_util::future::join_all(all).await {
        println!("  {words}: {}", by.unwrap_or("-"));
        if by.is_none() {
            uncaught.push(words);
        }
    }
    let _ = take_hook();
    assert!(uncaught.is_empty(), "no case catches a transport that {uncaught:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transports_without_a_mistake_pass() {
    for case in CASES {
        (case.run)(&InExchanges(None)).await;
        (case.run)(&ByMessage(None)).await;
    }
}
