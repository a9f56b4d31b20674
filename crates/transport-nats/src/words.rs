//! What the server says of a message that it does not keep, and what that means for whoever published
//! it.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use amends_transport::ChannelError;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Event, ServerError};
use tokio::sync::Notify;

/// How many refusals are remembered: each until its subject is published to again.
const REMEMBERED_MAX: usize = 64;

/// How the server begins to say that somebody may not publish; the subject follows, in quotes.
const MAY_NOT: &str = "permissions violation for publish to ";

/// What a message was not kept for that never will be.
const TOO_LARGE: [ErrorCode; 2] =
    [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];

/// What an error means for the message.
pub(crate) fn not_published(error: &PublishError) -> ChannelError {
    // The stream's own word that it does not keep it: it is full, or its server short of room.
    if let Some(said) = error.source().and_then(|said| said.downcast_ref::<jetstream::Error>()) {
        let why = said.to_string();
        return if TOO_LARGE.contains(&said.error_code()) {
            ChannelError::Refused(why)
        } else {
            ChannelError::Away(why)
        };
    }
    let why = error.to_string();
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => ChannelError::Refused(why),
        // Also while a server that has just been started reads what it has.
        PublishErrorKind::StreamNotFound | PublishErrorKind::MaxAckPending => {
            ChannelError::Away(why)
        }
        _ => ChannelError::Unknown(why),
    }
}

/// What the server said that nobody may publish. It says so of a subject, and not of a message, and
/// beside what whoever published waits for.
#[derive(Default)]
pub(crate) struct Denied {
    said: Mutex<VecDeque<String>>,
    more: Notify,
}

impl Denied {
    /// Hears what the client is told.
    pub(crate) fn hear(&self, event: &Event) {
        let Event::ServerError(ServerError::Other(said)) = event else { return };
        if !said.to_lowercase().contains(MAY_NOT) {
            return;
        }
        let mut all = self.all();
        if all.len() == REMEMBERED_MAX {
            all.pop_front();
        }
        all.push_back(said.clone());
        drop(all);
        self.more.notify_waiters();
    }

    /// It may be allowed by now.
    pub(crate) fn forget(&self, subject: &str) {
        let quoted = quoted(subject);
        self.all().retain(|said| !said.contains(&quoted));
    }

    /// Waits until the server says that nobody may publish to this subject.
    pub(crate) async fn of(&self, subject: &str) -> ChannelError {
        let quoted = quoted(subject);
        loop {
            let more = self.more.notified();
            let found = self.all().iter().find(|said| said.contains(&quoted)).cloned();
            match found {
                Some(said) => return ChannelError::Refused(said),
                None => more.await,
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn quoted(subject: &str) -> String {
    format!("\"{subject}\"")
}

/// What is said in the log of messages that are not kept: each reason once, until one is kept again.
#[derive(Default)]
pub(crate) struct Warned(Mutex<Option<String>>);

impl Warned {
    pub(crate) fn hear(&self, subject: &str, told: &Result<(), ChannelError>) {
        let why = match told {
            Err(ChannelError::Refused(why) | ChannelError::Away(why)) => Some(why),
            Err(ChannelError::Unknown(_)) => return,
            Ok(()) => None,
        };
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == why {
            return;
        }
        if let Some(why) = why {
            tracing::warn!("NATS does not keep what is published to {subject}: {why}");
        }
        *last = why.cloned();
    }
}
