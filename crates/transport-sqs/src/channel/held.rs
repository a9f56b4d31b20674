//! A message that an end holds: hidden from others until a time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use tokio::time::Instant;

/// How long a message may be hidden, from when it was taken: less than the twelve hours that SQS
/// allows, which are counted there.
const HIDDEN_MAX: Duration = Duration::from_secs(12 * 60 * 60 - 60);

/// See the module.
pub(super) struct Held {
    message: Message,
    state: Mutex<State>,
}

struct State {
    /// Of its last delivery: what it is settled by.
    receipt: String,
    taken: Instant,
    until: Instant,
}

impl Held {
    pub(super) fn new(message: Message, until: Instant) -> Self {
        let receipt = receipt_of(&message);
        let state = State { receipt, taken: Instant::now(), until };
        Self { message, state: Mutex::new(state) }
    }

    /// As it came first.
    pub(super) const fn message(&self) -> &Message {
        &self.message
    }

    pub(super) fn receipt(&self) -> String {
        self.state().receipt.clone()
    }

    /// Whether it is time to hide it for as long again: a third of the time is over. What has been
    /// hidden for as long as there is comes again, whatever is said.
    pub(super) fn is_due(&self, held_for: Duration) -> bool {
        let State { taken, until, .. } = &*self.state();
        let now = Instant::now();
        now + held_for * 2 / 3 >= *until && now + held_for <= *taken + HIDDEN_MAX
    }

    pub(super) fn is_hidden_until(&self, until: Instant) {
        self.state().until = until;
    }

    /// How long it is hidden where it is to be for this long.
    pub(super) fn hidden_at_most(&self, time: Duration) -> Duration {
        let most = (self.state().taken + HIDDEN_MAX).saturating_duration_since(Instant::now());
        time.min(most)
    }

    pub(super) fn is_same(&self, message: &Message) -> bool {
        message.message_id().is_some() && message.message_id() == self.message.message_id()
    }

    /// By a delivery that is newer than ours.
    pub(super) fn is_brought_again(&self, message: &Message, until: Instant) {
        *self.state() = State { receipt: receipt_of(message), taken: Instant::now(), until };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn receipt_of(message: &Message) -> String {
    message.receipt_handle().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const HELD_FOR: Duration = Duration::from_secs(30);

    fn message(receipt: &str) -> Message {
        Message::builder().message_id("m").receipt_handle(receipt).build()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_hidden_again_in_time_and_for_no_more_than_twelve_hours() {
        let held = Held::new(message("1"), Instant::now() + HELD_FOR);
        assert!(!held.is_due(HELD_FOR));
        advance(HELD_FOR / 3).await;
        assert!(held.is_due(HELD_FOR));
        held.is_hidden_until(Instant::now() + HELD_FOR);
        assert!(!held.is_due(HELD_FOR));
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(held.hidden_at_most(day) < Duration::from_secs(12 * 60 * 60));
        assert_eq!(held.hidden_at_most(HELD_FOR), HELD_FOR);
        advance(day).await;
        assert!(!held.is_due(HELD_FOR), "it comes again, whatever is said");
        assert_eq!(held.hidden_at_most(HELD_FOR), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_delivery_is_what_it_is_settled_by() {
        let held = Held::new(message("1"), Instant::now());
        let again = message("2");
        assert!(held.is_same(&again));
        assert!(!held.is_same(&Message::builder().message_id("n").build()));
        assert!(!held.is_same(&Message::builder().build()));
        held.is_brought_again(&again, Instant::now() + HELD_FOR);
        assert_eq!(held.receipt(), "2");
        assert!(!held.is_due(HELD_FOR));
    }
}
