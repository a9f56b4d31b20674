//! The suite that every broker passes, by topic: what the engine, the services and those who listen
//! rely on when they meet at one.
//!
//! A broker's tests bring a [`Broker`], and call [`channel_tests!`](crate::channel_tests). The same
//! subject, as [`Commands`], passes the suite of transports. What a broker cannot do it declares in
//! its [`Capabilities`], and is tested for what then follows.

mod arriving;
mod breaking;
mod commands;
mod ends;
mod listening;
mod settling;
mod sharing;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::channel::{Channel, End};

pub use arriving::*;
pub use breaking::*;
pub use commands::Commands;
pub use listening::*;
pub use settling::*;
pub use sharing::*;

/// What a broker can and cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Messages of one saga arrive in the order of their publishing.
    pub keeps_order: bool,
    /// A saga's next message comes when the one before it is settled.
    pub one_at_a_time: bool,
    /// What is acknowledged alone is done with. A broker that knows one mark in a log brings what
    /// lies behind an open message again.
    pub settles_alone: bool,
    /// It drops the second of two messages with one id.
    pub knows_ids: bool,
    /// It counts how often it brought a message.
    pub counts_deliveries: bool,
    /// The largest body that it takes, in bytes, envelope aside.
    pub body_bytes_max: usize,
}

/// A broker under test.
pub trait Broker: Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// A place that no other case uses.
    fn place(&self) -> BoxFuture<'_, Arc<dyn Place>>;

    /// The same on a broker of its own, which can be killed.
    fn mortal(&self) -> BoxFuture<'_, Arc<dyn Mortal>>;
}

/// A queue of commands and a queue of replies, declared and empty, and events that may be listened to
/// by the names of [`LISTENERS`].
pub trait Place: Send + Sync {
    /// Another copy of an end.
    fn end(&self, end: End) -> BoxFuture<'_, Arc<dyn Channel>>;

    /// What an end has put aside so far: bodies as they were sent, and reasons.
    fn dead_letters(&self, end: End) -> BoxFuture<'_, Vec<(Bytes, String)>>;

    /// Another copy of the engine's end.
    fn engine(&self) -> BoxFuture<'_, Arc<dyn Channel>> {
        self.end(End::Engine)
    }

    /// Another copy of the service's end.
    fn service(&self) -> BoxFuture<'_, Arc<dyn Channel>> {
        self.end(End::Service)
    }
}

/// Who listens in the suite: a broker that has to know them beforehand knows these.
pub const LISTENERS: [&str; 2] = ["InventoryService", "amends"];

/// A place on a broker that can be killed.
pub trait Mortal: Place {
    /// Kills the broker, as by a loss of power.
    fn kill(&self) -> BoxFuture<'_, ()>;

    /// Starts it again on what it has on disk.
    fn start_again(&self) -> BoxFuture<'_, ()>;
}

/// One case of the suite.
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Panics when a broker does otherwise.
    pub run: for<'a> fn(&'a dyn Broker) -> BoxFuture<'a, ()>,
}

macro_rules! cases {
    ($($case:ident)*) => {
        /// All of them.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($case),
            run: |broker| Box::pin($case(broker)),
        },)*];
    };
}

/// Hands the list of cases to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_channel_cases {
    ($($then:tt)*) => {
        $($then)*! {
            a_message_arrives_whole
            a_large_body_arrives_whole
            what_is_too_large_is_refused_and_holds_up_nothing
            a_message_without_an_envelope_arrives_as_it_is
            commands_and_replies_go_their_own_ways
            messages_of_a_saga_arrive_in_their_order
            a_message_that_is_published_again_is_known
            what_is_acknowledged_comes_no_more
            what_is_not_acknowledged_comes_again
            what_is_given_back_comes_again_and_no_sooner
            what_is_put_aside_is_kept_with_its_reason
            what_is_no_longer_held_can_be_settled
            a_slow_reader_is_not_flooded
            two_copies_share_what_comes
            a_copy_that_leaves_leaves_what_it_holds
            every_listener_hears_each_event_whole
            a_listener_hears_its_own_events
            events_of_a_saga_arrive_in_their_order
            copies_of_a_listener_share_its_events
            what_is_published_while_a_listener_is_away_waits_for_it
            an_event_that_is_not_acknowledged_comes_again
            an_event_that_is_given_back_comes_again_and_no_sooner
            an_event_that_one_puts_aside_comes_to_the_others
            a_slow_listener_holds_up_no_other
            events_outlive_the_broker
            what_is_confirmed_outlives_the_broker
            a_broker_that_is_away_is_told_and_waited_for
            nothing_is_lost_when_the_broker_dies_under_load
        }
    };
}

__with_channel_cases!(cases);

/// Makes a test of each case of the suite, for the broker that the expression makes.
#[macro_export]
macro_rules! channel_tests {
    ($broker:expr) => {
        async fn __holds(name: &str) {
            use $crate::conformance::channel::CASES;
            let case = CASES.iter().find(|case| case.name == name);
            (case.expect("it is in the list").run)(&$broker).await;
        }
        $crate::__with_channel_cases!($crate::__channel_tests);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __channel_tests {
    ($($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                __holds(stringify!($case)).await;
            }
        )*
    };
}
