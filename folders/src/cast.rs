//! The sagas of a folder: one for each state, status, fence, kind and trouble that there is, each
//! with how it must stand when the process ends, and to which end it must come afterwards.
//!
//! Both are written here by hand, from the rules (`docs/semantics.md`), and held against what the
//! engine makes of them: a recording would only say that nothing has changed.

use serde_json::{Map, Value as Json, json};

use crate::manifest::{Deed, End};
use Deed::{
    Acknowledge, Cancel, Edit, Extend, Pause, RepliesLate, ResolveDone, ResolveRefused, Resume,
    Retry, Signal, Skip, SucceedsLate,
};

/// One saga.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is there for.
    pub name: &'static str,
    /// Its type.
    pub saga_type: &'static str,
    /// How many seconds before the end of the process it is started.
    pub starts: u64,
    /// Its data.
    pub data: Map<String, Json>,
    /// What is done to it while the folder is made, by seconds before the end of the process.
    pub before: Vec<(u64, Deed)>,
    /// The state in which the process leaves it.
    pub stands: &'static str,
    /// What a person is needed for by then.
    pub attention: Vec<String>,
    /// What is done to it after the folder was opened again.
    pub after: Vec<Deed>,
    /// How it ends.
    pub end: End,
}

/// So long before the end of the process that every retry, redrive and deadline that is meant to be
/// over is over.
const LONG: u64 = 700;

/// So short that what has begun is still under way.
const SHORT: u64 = 4;

/// In the last moment: the catalog does not hear of it, so it is in the journal's tail.
const LAST: u64 = 0;

fn saga(saga_type: &'static str, name: &'static str, starts: u64) -> Part {
    let end = End { state: "completed".to_owned(), exceptions: Vec::new(), attention: Vec::new() };
    let mut data = Map::new();
    for (field, value) in [("act", json!({})), ("rooms", json!(["a", "b"]))] {
        data.insert(field.to_owned(), value);
    }
    data.insert("order".to_owned(), name.into());
    data.insert("pages".to_owned(), json!([7]));
    let (before, attention, after) = (Vec::new(), Vec::new(), Vec::new());
    let stands = "pending";
    Part { name, saga_type, starts, data, before, stands, attention, after, end }
}

impl Part {
    /// What a service does while the folder is made; afterwards all do as they are asked, save for the
    /// sagas that are [`stubborn`](Self::stubborn).
    fn act(mut self, command: &str, word: &str) -> Self {
        self.data["act"][command] = word.into();
        self
    }

    fn with(mut self, field: &str, value: Json) -> Self {
        self.data.insert(field.to_owned(), value);
        self
    }

    /// Its services go on as before, so that it needs a person to end.
    fn stubborn(self) -> Self {
        self.with("stubborn", true.into())
    }

    fn before(mut self, seconds: u64, deed: Deed) -> Self {
        self.before.push((seconds, deed));
        self
    }

    fn stands(mut self, state: &'static str) -> Self {
        self.stands = state;
        self
    }

    fn needs(mut self, attention: &str) -> Self {
        self.attention.push(attention.to_owned());
        self
    }

    fn after(mut self, deed: Deed) -> Self {
        self.after.push(deed);
        self
    }

    fn fails(mut self) -> Self {
        self.end.state = "failed".to_owned();
        self
    }

    fn but(mut self, exception: &str) -> Self {
        self.end.exceptions.push(exception.to_owned());
        self
    }
}

fn step(name: &str) -> String {
    name.to_owned()
}

fn approved(yes: bool) -> Deed {
    Signal("approval".to_owned(), json!({ "approved": yes }))
}

/// All of them, in the order in which they are started.
pub fn cast() -> Vec<Part> {
    let mut all =
        [ended(), forward(), turning(), undoing(), by_hand(), past_the_pivot(), apart()].concat();
    all.sort_by_key(|part| std::cmp::Reverse(part.starts));
    all
}

fn ended() -> Vec<Part> {
    vec![
        saga("Order", "completed", 60).stands("completed"),
        saga("Order", "rolled-back", 60).act("Ship.Create", "refuse").stands("failed").fails(),
        saga("Order", "refused-at-once", 60)
            .act("Stock.Reserve", "refuse")
            .stands("failed")
            .fails(),
        saga("Order", "completed-at-last", LAST).stands("completed"),
        saga("Order", "rolled-back-at-last", LAST)
            .act("Ship.Create", "refuse")
            .stands("failed")
            .fails(),
        saga("Trip", "nothing-to-run", 60).with("rooms", json!([])).stands("completed"),
        saga("Transfer", "best-effort-refused", 60)
            .act("Mail.Send", "refuse")
            .before(50, approved(true))
            .stands("completed"),
        saga("Transfer", "best-effort-unknown", LONG)
            .act("Mail.Send", "hang")
            .before(LONG - 10, approved(true))
            .stands("completed"),
        saga("Transfer", "signal-refused", 60).before(50, approved(false)).stands("failed").fails(),
    ]
}

/// Nothing has failed yet.
fn forward() -> Vec<Part> {
    vec![
        saga("Order", "started", SHORT).act("Stock.Reserve", "hang").stands("started"),
        saga("Order", "started-at-last", LAST).act("Stock.Reserve", "hang").stands("started"),
        saga("Order", "pending", SHORT).act("Card.Charge", "hang"),
        saga("Order", "pending-at-last", LAST).act("Card.Charge", "hang"),
        saga("Order", "done-and-not-heard", SHORT).act("Card.Charge", "silent"),
        saga("Order", "backing-off", 20).act("Card.Charge", "busy"),
        saga("Order", "timed-out-once", 15).act("Card.Charge", "hang"),
        saga("Order", "nobody-there", 20).act("Ship.Create", "unreachable"),
        saga("Order", "paused", 30).act("Card.Charge", "hang").before(25, Pause).after(Resume),
        saga("Order", "extended", 50).act("Card.Charge", "busy").before(40, Extend(step("charge"))),
        saga("Order", "protocol-broken", 20).act("Card.Charge", "break").needs("contract charge"),
        saga("Trip", "side-by-side", SHORT).act("Hotel.Book", "hang").with("car", json!("small")),
        saga("Transfer", "waits-for-a-signal", LONG).after(approved(true)),
        saga("Transfer", "waits-until-its-deadline", LONG).fails(),
        saga("Transfer", "early-signal", SHORT)
            .act("Bank.Hold", "hang")
            .before(2, approved(true))
            .stands("started"),
        saga("Transfer", "pivot-in-flight", SHORT)
            .act("Bank.Pay", "hang")
            .before(2, approved(true)),
        saga("Letter", "answer-under-way", SHORT)
            .act("Post.Write", "hang")
            .stands("started")
            .after(RepliesLate(step("write"))),
        saga("Letter", "accepted", 60).act("Post.Send", "later").after(RepliesLate(step("post"))),
        saga("Errand", "fence-none-in-flight", SHORT).act("Odd.Do", "busy"),
    ]
}

/// Just turned.
fn turning() -> Vec<Part> {
    vec![
        saga("Order", "compensating", SHORT)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "hang")
            .stands("compensating")
            .fails(),
        saga("Order", "compensating-at-last", LAST)
            .act("Ship.Create", "refuse")
            .act("Stock.Release", "hang")
            .stands("compensating")
            .fails(),
        saga("Order", "undone-and-not-heard", SHORT)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "silent")
            .stands("compensating")
            .fails(),
        saga("Order", "paused-while-compensating", 30)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "hang")
            .before(27, Pause)
            .stands("compensating")
            .after(Resume)
            .fails(),
        saga("Order", "cancelled", 30)
            .act("Card.Charge", "hang")
            .act("Stock.Release", "hang")
            .before(3, Cancel)
            .stands("compensating")
            .fails(),
        saga("Trip", "runs-half-done", SHORT)
            .act("Flight.Book", "refuse")
            .act("Hotel.Cancel", "hang")
            .with("car", json!("small"))
            .stands("compensating")
            .fails(),
        saga("Transfer", "pivot-refused", SHORT)
            .act("Bank.Pay", "refuse")
            .act("Bank.Free", "hang")
            .before(2, approved(true))
            .stands("compensating")
            .fails(),
        saga("Transfer", "undo-slow", 90)
            .act("Bank.Pay", "refuse")
            .act("Bank.Free", "hang")
            .before(85, approved(true))
            .stands("compensating")
            .needs("undo_slow hold")
            .fails(),
        saga("Rush", "deadline-passed", 125)
            .act("Bank.Hold", "hang")
            .act("Bank.Free", "hang")
            .stands("compensating")
            .fails(),
    ]
}

/// Undos that do not come to an end by themselves.
fn undoing() -> Vec<Part> {
    vec![
        saga("Order", "dead-letter", 30)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "busy")
            .stands("compensating")
            .needs("compensation_failed charge")
            .fails(),
        saga("Order", "poison", LONG)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "busy")
            .before(30, Retry(step("charge")))
            .stands("compensating")
            .needs("poison charge")
            .fails(),
        saga("Order", "unproven", LONG)
            .act("Ship.Create", "hang")
            .stands("failed")
            .fails()
            .but("unproven ship"),
        saga("Order", "late-success-to-come", LONG)
            .act("Ship.Create", "hang")
            .stands("failed")
            .after(RepliesLate(step("ship")))
            .fails(),
        saga("Order", "second-round-owed", LONG)
            .act("Ship.Create", "hang")
            .act("Ship.Cancel", "hang 0")
            .before(20, SucceedsLate(step("ship")))
            .stands("failed")
            .fails(),
    ]
}

fn by_hand() -> Vec<Part> {
    vec![
        saga("Order", "undo-skipped", 60)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "busy")
            .before(10, Skip(step("charge")))
            .stands("failed")
            .fails()
            .but("skipped charge"),
        saga("Order", "undo-resolved", 60)
            .stubborn()
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "busy")
            .stands("compensating")
            .needs("compensation_failed charge")
            .after(ResolveDone(step("charge")))
            .fails()
            .but("by_hand charge"),
        saga("Order", "undo-edited", 60)
            .act("Ship.Create", "refuse")
            .act("Card.Refund", "busy")
            .before(5, Edit(step("charge"), json!({ "act": { "Card.Refund": "hang" } })))
            .stands("compensating")
            .fails(),
        saga("Errand", "outcome-unknown", 60)
            .act("Odd.Do", "hang")
            .needs("outcome_unknown ask")
            .after(ResolveDone(step("ask")))
            .but("by_hand ask"),
        saga("Errand", "contradicted", 60)
            .act("Odd.Do", "hang")
            .act("Stock.Release", "hang")
            .before(20, ResolveRefused(step("ask")))
            .before(10, SucceedsLate(step("ask")))
            .stands("compensating")
            .needs("contradicted ask")
            .after(Acknowledge(step("ask")))
            .fails()
            .but("by_hand ask"),
    ]
}

/// Sagas that only go forward.
fn past_the_pivot() -> Vec<Part> {
    vec![
        saga("Transfer", "pivot-unknown", LONG)
            .act("Bank.Pay", "hang")
            .before(LONG - 10, approved(true))
            .needs("pivot_unknown pay"),
        saga("Transfer", "refused-after-pivot", 60)
            .act("Books.Enter", "refuse")
            .before(50, approved(true))
            .needs("refused_after_pivot enter"),
        saga("Transfer", "retriable-slow", LONG)
            .act("Books.Enter", "busy")
            .before(LONG - 10, approved(true))
            .needs("retriable_slow enter"),
        saga("Transfer", "retriable-skipped", 60)
            .stubborn()
            .act("Books.Enter", "busy")
            .before(50, approved(true))
            .after(Skip(step("enter")))
            .but("skipped enter"),
        saga("Rush", "overdue", 150).act("Books.Enter", "busy").needs("overdue"),
        saga("Rush", "nobody-bound", 60).with("lost", json!(true)).needs("unbound_service lost"),
        saga("Rush", "expression-failed", 60)
            .with("pages", json!([]))
            .needs("expression enter")
            .after(Edit(step("enter"), json!({ "page": 1 }))),
    ]
}

/// Of the second version of its type, so that there are sagas of both.
fn apart() -> Vec<Part> {
    vec![
        saga("Order", "second-version", LAST).act("Mail.Send", "hang"),
        saga("Order", "second-version-completed", LAST).stands("completed"),
    ]
}

/// The sagas that are started with the second version of their type.
pub const SECOND_VERSION: [&str; 2] = ["second-version", "second-version-completed"];
