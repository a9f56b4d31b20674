//! Brokers with mistakes built in on purpose: the suite of brokers must catch each.

mod mistaken;

use std::panic::{AssertUnwindSafe, set_hook, take_hook};
use std::time::Duration;

use amends_transport::conformance::channel::CASES;
use futures_util::FutureExt;

use mistaken::Mistaken;

macro_rules! mistakes {
    ($($name:ident = $words:literal,)*) => {
        /// A mistake that a broker, or its client, makes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Mistake { $($name,)* }

        /// All of them, with what each is in words.
        const MISTAKES: &[(Mistake, &str)] = &[$((Mistake::$name, $words),)*];
    };
}

mistakes! {
    LosesAMessage = "loses a message now and then",
    ChangesTheBody = "changes a space in the body",
    CutsLargeBodies = "cuts a large body",
    ForgetsHeaders = "forgets the headers beside the attributes",
    EncodesValues = "leaves values as the wire has them",
    InventsAnEnvelope = "says an event's type where none was sent",
    BringsEventsToServices = "brings events to the service",
    SwapsTwoMessages = "swaps two messages of a saga",
    ForgetsWhatIsAcknowledged = "brings again what was acknowledged",
    AcknowledgesByItself = "acknowledges what it hands over",
    GivesBackAtOnce = "gives a message back without the pause",
    CountsNothing = "does not count how often it brought a message",
    DropsDeadLetters = "drops what is put aside",
    ForgetsReasons = "forgets why a message was put aside",
    FailsOnWhatIsSettled = "fails on a message that is settled already",
    HoldsMoreThanItMay = "holds more than it may",
    KeepsWhatItHolds = "leaves, and keeps what it holds",
    SharesEventsBetweenListeners = "brings each event to one listener alone",
    BringsEventsToAllCopies = "brings each event to all copies of a listener",
    ForgetsListenersThatLeave = "forgets a listener that leaves",
    KeepsOwnEventsFromAListener = "brings a listener no event of its own",
    TellsOfDeadLetters = "tells those who listen of what one of them has put aside",
    MixesDeadLetters = "puts aside for whoever listens in one place",
    ConfirmsWhenAway = "confirms a message when the broker is away",
    WaitsForEverWhenAway = "waits for ever for a broker that is away",
}

/// A case that is not over by then waits for what a mistake has lost. On a machine so slow that a sound
/// broker took as long, a mistake is called caught too early; nothing fails.
const LOST_AFTER: Duration = Duration::from_secs(6);

async fn failing(broker: &Mistaken) -> Option<&'static str> {
    for case in CASES {
        let run = AssertUnwindSafe((case.run)(broker)).catch_unwind();
        if !matches!(tokio::time::timeout(LOST_AFTER, run).await, Ok(Ok(()))) {
            return Some(case.name);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mistake_is_caught() {
    // The panics of brokers with mistakes are what is looked for, and not worth a word.
    set_hook(Box::new(|_| {}));
    let mut uncaught = Vec::new();
    println!("{} cases, {} mistakes", CASES.len(), MISTAKES.len());
    // All at once: what is lost is waited for.
    let all = MISTAKES.iter().map(async |(mistake, words)| {
        let broker = Mistaken(Some(*mistake));
        (words, failing(&broker).await)
    });
    for (words, by) in futures_util::future::join_all(all).await {
        println!("  {words}: {}", by.unwrap_or("-"));
        if by.is_none() {
            uncaught.push(words);
        }
    }
    let _ = take_hook();
    assert!(uncaught.is_empty(), "no case catches a broker that {uncaught:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_a_mistake_passes() {
    for case in CASES {
        (case.run)(&Mistaken(None)).await;
    }
}
