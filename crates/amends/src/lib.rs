//! A durable saga engine: embed it, or run the binary.
//!
//! A saga is a sequence of steps, each carried out by a service of its own; when one fails, those
//! that were done are undone, in reverse. `amends serve` runs sagas for services in any language;
//! this crate is the same engine inside a Rust program.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `cli` (default) | the `amends` binary and what only it needs |
//! | `sqlite` | sagas that outlive the process, in a data folder |
//! | `testing` | a language for tests of sagas: given … expect command … expect rolled back |
//!
//! # A saga in a program
//!
//! ```
//! use amends::{Call, Engine, Fence, Refused, Saga, Undo};
//! use std::time::Duration;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let order = Saga::named("Order")
//!     .service("Stock", Fence::Settle) // both answer a repeated command as they did at first
//!     .service("Bank", Fence::Settle)
//!     .step("reserve", |step| step.action("Stock.Reserve").compensation("Stock.Release"))
//!     .step("pay", |step| step.action("Bank.Charge").compensation("Bank.Refund"));
//!
//! let engine = Engine::builder()
//!     .action("Stock.Reserve", |_: Call<Order>| async { Ok("reservation 7") })
//!     .compensation("Stock.Release", |_: Undo<Order, String>| async { Ok(()) })
//!     .action("Bank.Charge", |call: Call<Order>| async move {
//!         match call.data.amount {
//!             0..=100 => Ok("receipt 12"),
//!             _ => Err(Refused::code("LIMIT").because("more than the account holds").into()),
//!         }
//!     })
//!     .compensation("Bank.Refund", |_: Undo<Order, String>| async { Ok(()) })
//!     .saga(order)
//!     .in_memory()
//!     .start()
//!     .await?;
//!
//! let ended = engine.run("Order", &Order { amount: 250 }, Duration::from_secs(10)).await?;
//! assert!(!ended.completed() && ended.clean()); // refused by the bank, and the stock released
//! engine.stop().await;
//! # Ok(())
//! # }
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Order {
//!     amount: u32,
//! }
//! ```
//!
//! # What a function owes
//!
//! A command may come more than once: its answer may be lost, and the process may die. So a function
//! keeps [`idempotency_key`](Call::idempotency_key) beside its effect, in the same transaction, and
//! answers a repeat as it did at first. What it ends with says what is known: a value says that it
//! is done, [`Refused`] that nothing has happened and nothing will, [`NotNow`] that nothing has
//! happened yet, and any other error ([`Failure`]) that nobody knows. [`Fence`] says how an outcome
//! that stays unknown is made harmless.
//!
//! # Sagas that outlive the process
//!
//! With the feature `sqlite`, `data_folder` instead of [`in_memory`](Builder::in_memory) keeps
//! sagas on disk. [`start`](Builder::start) takes up those that have not ended, so a program that
//! was killed registers the same functions and starts: no more is needed. [`Engine::start_once`]
//! gives the same saga for the same key, and a [`SagaId`] that was kept as text is read by `parse`.
//!
//! # Steps computed from the data
//!
//! A saga type whose steps depend on its data is a function:
//!
//! ```
//! # use amends::{Builder, Fence, Saga};
//! # fn with_plan(builder: Builder) -> Builder {
//! builder.define_steps("Order", |data| {
//!     let order = Saga::named("Order")
//!         .service("Stock", Fence::Settle)
//!         .step("reserve", |step| step.action("Stock.Reserve").compensation("Stock.Release"));
//!     match data["express"].as_bool() {
//!         Some(true) => order
//!             .service("Ship", Fence::Settle)
//!             .step("ship", |step| step.action("Ship.Express").compensation("Ship.Cancel")),
//!         _ => order,
//!     }
//! })
//! # }
//! ```
//!
//! The same steps are the same version, and a saga stays with the version it was started with.

mod embed;
#[cfg(feature = "testing")]
pub mod testing;

pub use amends_core::definition::{Fence, Kind};
pub use amends_core::saga::{State, Status};
pub use amends_core::{Millis, NoSagaId, SagaId};
pub use amends_definition::{GroupBuilder, Saga, SignalBuilder, StepBuilder};
pub use amends_engine::{
    Ask, AskError, DeployError, Handle, Options, SagaVerb, Snapshot, Unavailable,
};
pub use embed::{
    BuildError, Builder, Call, Engine, Failure, Missing, NotNow, PlanError, Refused, StartError,
    Undo, UndoEnd, VERSIONS_MAX, View,
};
