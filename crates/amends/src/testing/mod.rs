//! A language for tests of sagas: given data, expect a command, have it answered or fail, expect the
//! saga completed or rolled back.
//!
//! With the feature `testing`. The saga runs in the real engine, on a store in memory, and its
//! participants are the test: [`Rehearsal::expect_command`] waits for a command and says what
//! becomes of it. Time is the test's own: nothing is listened on, and weeks of waiting take no time.
//!
//! ```
//! use amends::testing::{Rehearsal, completed, refused, undone};
//! use amends::{Fence, Saga};
//! use serde_json::json;
//!
//! fn order() -> Saga {
//!     Saga::named("Order")
//!         .service("Stock", Fence::Settle)
//!         .service("Bank", Fence::Settle)
//!         .step("reserve", |step| step.action("Stock.Reserve").compensation("Stock.Release"))
//!         .step("pay", |step| step.action("Bank.Charge").compensation("Bank.Refund"))
//! }
//!
//! Rehearsal::of(order())
//!     .given(json!({ "amount": 250 }))
//!     .expect_command("Stock.Reserve")
//!     .carrying(|data| assert_eq!(data["amount"], 250))
//!     .answer(completed(json!({ "reservation": 7 })))
//!     .expect_command("Bank.Charge")
//!     .answer(refused("LIMIT"))
//!     .expect_command("Stock.Release")
//!     .answer(undone())
//!     .expect_rolled_back();
//! ```
//!
//! # A failure at every step
//!
//! [`Rehearsal::answer_all`] plays every participant by a function until the saga rests:
//!
//! ```
//! # use amends::testing::{Command, Rehearsal, done, refused};
//! # use amends::{Fence, Saga};
//! # use serde_json::json;
//! # fn order() -> Saga {
//! #     Saga::named("Order")
//! #         .service("Stock", Fence::Settle)
//! #         .service("Bank", Fence::Settle)
//! #         .step("reserve", |step| step.action("Stock.Reserve").compensation("Stock.Release"))
//! #         .step("pay", |step| step.action("Bank.Charge").compensation("Bank.Refund"))
//! # }
//! for step in Rehearsal::of(order()).steps() {
//!     Rehearsal::of(order())
//!         .given(json!({}))
//!         .answer_all(|command: &Command| {
//!             if command.is_action_of(&step) { refused("NO") } else { done() }
//!         })
//!         .expect_rolled_back();
//! }
//! ```
//!
//! # Time, signals, and answers that come late
//!
//! ```
//! # use amends::testing::{Rehearsal, completed, undone};
//! # use amends::{Fence, Saga};
//! # use serde_json::json;
//! # use std::time::Duration;
//! const DAY: Duration = Duration::from_secs(24 * 3600);
//! let saga = Saga::named("Loan")
//!     .service("Bank", Fence::Barrier)
//!     .step("hold", |step| step.action("Bank.Hold").compensation("Bank.Free"))
//!     .signal("approval", |signal| signal.or_refuse_after(3 * DAY))
//!     .step("pay", |step| step.action("Bank.Pay").compensation("Bank.Return"));
//!
//! // Nobody approves: after three days what was held is freed.
//! Rehearsal::of(saga.clone())
//!     .given(json!({}))
//!     .expect_command("Bank.Hold")
//!     .answer(completed(json!({})))
//!     .after(2 * DAY)
//!     .expect_no_command()
//!     .expect_command("Bank.Free")
//!     .answer(undone())
//!     .expect_rolled_back();
//!
//! // The payment is never answered; it is undone, and its success comes too late.
//! Rehearsal::of(saga)
//!     .given(json!({}))
//!     .expect_command("Bank.Hold")
//!     .answer(completed(json!({})))
//!     .signal("approval", json!({ "by": "me" }))
//!     .play("Bank.Pay", |paying| paying.times_out())
//!     .expect_command("Bank.Return")
//!     .answer(undone())
//!     .late_answer("Bank.Pay", completed(json!({})))
//!     .expect_command("Bank.Free")
//!     .answer(undone())
//!     .expect_rolled_back();
//! ```
//!
//! # A definition file
//!
//! [`Rehearsal::of_file`] takes the text of one; how its services are bound does not matter.
//!
//! # When an expectation fails
//!
//! The test panics with what was expected and the story so far: every command, what was answered, and
//! how much time passed in between.
//!
//! # Decisions alone
//!
//! [`Decision`] asks the machine directly, without an engine and without time: given what has
//! happened, when one more thing happens, then these commands are owed.

mod answer;
mod decision;
mod rehearsal;
mod script;
mod story;

pub use answer::{
    Answer, accepted, completed, done, not_now, nothing_to_undo, refused, undone, unknown,
    unreachable,
};
pub use decision::Decision;
pub use rehearsal::{Expected, Rehearsal};
pub use script::Command;
