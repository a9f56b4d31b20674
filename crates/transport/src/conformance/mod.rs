//! The suite that every transport passes, by topic.
//!
//! A transport's tests bring a [`Subject`], which puts a participant of the suite at the far end
//! of the transport, and call [`conformance_tests!`](crate::conformance_tests). What a transport
//! cannot do it declares in its [`Capabilities`], and is tested for what then follows.

pub mod channel;
mod closing;
mod delivery;
mod endings;
mod lateness;
mod outcomes;
mod receipts;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::contract::Transport;

pub use closing::*;
pub use delivery::*;
pub use endings::*;
pub use lateness::*;
pub use outcomes::*;
pub use receipts::*;

/// The service whose commands the suite sends.
pub const SERVICE: &str = "ConformanceService";

/// What a transport can and cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Each sending has an exchange of its own that brings its answer. Without one, answers come
    /// as replies by name.
    pub own_exchange: bool,
    /// It can tell that nothing left when the service cannot be reached. A broker takes commands
    /// for services that are down.
    pub tells_not_sent: bool,
    /// It sees that a participant broke down in the middle of a command.
    pub sees_crashes: bool,
    /// It carries `Retry-After` beside a "not now".
    pub carries_retry_after: bool,
}

/// A transport under test.
pub trait Subject: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// A transport whose [`SERVICE`] has every command carried out by `participant`, and that
    /// keeps at most `kept_open_max` exchanges open past their time-out.
    fn start(
        &self,
        participant: Participant,
        kept_open_max: usize,
    ) -> BoxFuture<'_, Arc<dyn Transport>>;

    /// A transport whose [`SERVICE`] cannot be reached.
    fn unreachable(&self) -> BoxFuture<'_, Arc<dyn Transport>>;
}

/// The far end: what the suite does with a command.
pub type Participant = Arc<dyn Fn(Seen) -> BoxFuture<'static, Said> + Send + Sync>;

/// A command as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The body.
    pub body: Bytes,
    /// The attempt that came with it.
    pub attempt: u32,
    /// The deadline that came with it, RFC 3339.
    pub deadline: String,
    /// The reply address that came with it.
    pub reply_to: Option<String>,
    /// The trace that came with it.
    pub traceparent: Option<String>,
}

/// What a participant says, to be put into the transport's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Done, with this result as JSON text.
    Completed(Option<Bytes>),
    /// Of an undo: whether there was something to undo.
    Undone(bool),
    /// A definite "no".
    Refused {
        /// The error's code.
        code: String,
        /// The error's text.
        message: String,
    },
    /// Not now.
    Transient {
        /// The error's code.
        code: String,
        /// The error's text.
        message: String,
        /// How long to wait at least.
        retry_after: Option<Duration>,
    },
    /// The answer comes later.
    Accepted,
    /// It breaks down: the command arrived, and no answer ever leaves.
    Crash,
}

/// One case of the suite.
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Panics when a transport does otherwise.
    pub run: for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, ()>,
}

macro_rules! cases {
    ($($case:ident)*) => {
        /// All of them.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($case),
            run: |subject| Box::pin($case(subject)),
        },)*];
    };
}

/// Hands the list of cases to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_cases {
    ($($then:tt)*) => {
        $($then)*! {
            a_sending_is_taken_at_once_from_any_thread
            an_ending_names_its_own_sending
            a_command_arrives_byte_for_byte
            facts_of_a_sending_arrive_beside_the_body
            large_bodies_arrive_whole
            sendings_run_side_by_side
            each_outcome_is_told_as_it_was_said
            an_undo_cannot_be_refused
            a_result_comes_back_byte_for_byte
            a_listed_code_decides
            every_sending_ends_exactly_once
            a_crash_leaves_the_outcome_unknown_and_the_rest_unharmed
            what_cannot_be_reached_is_not_sent
            a_late_answer_still_counts
            silence_ends_as_unknown
            the_oldest_of_too_many_late_exchanges_is_given_up
            a_reply_is_brought_again_until_it_is_durable
            closing_waits_for_what_is_open
            closing_waits_for_receipts
            closing_ends_what_stays_open
            nothing_is_sent_after_closing
        }
    };
}

__with_cases!(cases);

/// Makes a test of each case of the suite, for the subject that the expression makes.
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr) => {
        async fn __conforms(name: &str) {
            let case = $crate::conformance::CASES.iter().find(|case| case.name == name);
            (case.expect("it is in the list").run)(&$subject).await;
        }
        $crate::__with_cases!($crate::__conformance_tests);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($($case:ident)*) => {
        $(
            #[tokio::test]
            async fn $case() {
                __conforms(stringify!($case)).await;
            }
        )*
    };
}
