//! A broker's word: waited for only so long, and had of a channel that panics, too.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use amends_transport::{CONFIRMED_WITHIN, ChannelError};
use futures_util::FutureExt;
use tokio::time::timeout;

/// What a channel says; of one that panics, that. Whoever relays or receives goes on.
pub(crate) async fn said<T>(
    word: impl Future<Output = Result<T, ChannelError>>,
) -> Result<T, ChannelError> {
    let panicked = |why| Err(ChannelError::Unknown(format!("the channel panicked: {why}")));
    unpanicked(word).await.unwrap_or_else(panicked)
}

/// What comes of some work, or of what it panicked.
pub(crate) async fn unpanicked<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let why = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "it says no why".to_owned())
    };
    AssertUnwindSafe(work).catch_unwind().await.map_err(why)
}

/// Waits for the broker's word only so long: one that never gives it must not hold up all others,
/// nor the transaction that may be open meanwhile.
pub(crate) async fn confirmed(
    word: impl Future<Output = Result<(), ChannelError>>,
) -> Result<(), ChannelError> {
    let late = || ChannelError::Unknown(format!("it confirmed nothing in {CONFIRMED_WITHIN:?}"));
    timeout(CONFIRMED_WITHIN, said(word)).await.unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    /// On a clock that goes on as soon as all wait.
    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_is_waited_for_only_so_long() {
        let begun = tokio::time::Instant::now();
        let error = confirmed(pending()).await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), CONFIRMED_WITHIN.as_secs());
        assert!(error.to_string().contains("it confirmed nothing in 10s"), "{error}");
    }

    #[tokio::test]
    async fn a_channel_that_panics_has_said_nothing() {
        let error = confirmed(async { panic!("no room {}", 7) }).await.unwrap_err();
        assert!(error.to_string().contains("the channel panicked: no room 7"), "{error}");
    }
}
