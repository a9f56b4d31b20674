//! What an end reads, and what it puts aside at once because nobody would.

use std::time::Duration;

use tokio::time::timeout;

use crate::by_message::CONFIRMED_WITHIN;
use crate::channel::{Channel, ChannelError, Received};
use crate::hold::Hold;

/// The largest body that any end reads: neither a service nor an engine takes a larger one.
pub const BODY_BYTES_MAX: usize = amends_wire::REPLY_BYTES_MAX;

/// When a message comes again that could not be put to the dead letters.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The next message that somebody may read. A larger one is put to the dead letters of the end, which
/// holds it.
///
/// # Errors
///
/// The broker is away, or takes no dead letter.
pub async fn next_readable<H: Clone>(
    end: &dyn Channel,
    hold: &Hold<H>,
) -> Result<Received, ChannelError> {
    loop {
        let received = hold.next().await?;
        let Some(why) = too_large(&received) else { return Ok(received) };
        bury(end, &received, &why).await?;
    }
}

/// Why it is read by nobody, where it is too large.
pub(crate) fn too_large(received: &Received) -> Option<String> {
    let bytes = received.body.len();
    (bytes > BODY_BYTES_MAX).then(|| {
        format!("TOO_LARGE: the body has {bytes} bytes, and at most {BODY_BYTES_MAX} are read")
    })
}

/// Puts a message to the dead letters that whoever reads is not to be told of.
pub(crate) async fn bury(
    end: &dyn Channel,
    received: &Received,
    why: &str,
) -> Result<(), ChannelError> {
    tracing::warn!("a message goes to the dead letters: {why}");
    let buried = timeout(CONFIRMED_WITHIN, end.dead_letter(received.tag, why)).await;
    let late = || Err(ChannelError::Unknown("it said nothing".to_owned()));
    let buried = buried.unwrap_or_else(|_| late());
    if buried.is_err() {
        // Held on to, it would take up room for ever.
        let given_back = end.give_back(received.tag, AGAIN_AFTER);
        let _ = timeout(CONFIRMED_WITHIN, given_back).await;
    }
    buried
}
