//! The ways out: one queue of commands, one of replies, and of events one for each who listens.

use amends_transport::{ChannelError, Kind, Message};
use aws_sdk_sqs::Client;
use futures_util::future::join_all;

use crate::batches::{Batches, Sending};
use crate::letter::{self, Letter};
use crate::queue::Queue;
use crate::topology::Ways;

/// The way into a queue.
pub(super) struct Outlet {
    pub(super) bytes_max: usize,
    sending: Batches<Sending>,
}

impl Outlet {
    pub(super) fn to(client: &Client, queue: Queue) -> Self {
        let (client, bytes_max) = (client.clone(), queue.bytes_max);
        Self { bytes_max, sending: Batches::of(Sending { client, queue }) }
    }

    pub(super) async fn send(&self, letter: Letter) -> Result<(), ChannelError> {
        self.sending.ask(letter).await
    }
}

/// All of an end.
pub(super) struct Outlets {
    commands: Vec<Outlet>,
    replies: Vec<Outlet>,
    events: Vec<Outlet>,
}

impl Outlets {
    pub(super) fn to(client: &Client, ways: Option<Ways>, events: Vec<Queue>) -> Self {
        let (commands, replies) = ways.map(|ways| (ways.commands, ways.replies)).unzip();
        let to = |queue| Outlet::to(client, queue);
        Self {
            commands: commands.into_iter().map(to).collect(),
            replies: replies.into_iter().map(to).collect(),
            events: events.into_iter().map(to).collect(),
        }
    }

    /// Puts it into each queue of its kind; resolves when all have confirmed that they keep it.
    pub(super) async fn publish(&self, message: &Message) -> Result<(), ChannelError> {
        let outlets = match message.kind {
            Kind::Command => &self.commands,
            Kind::Reply => &self.replies,
            Kind::Event => &self.events,
        };
        // As much as all of them take, so that none keeps what another refuses.
        let bytes_max = outlets.iter().map(|outlet| outlet.bytes_max).min();
        let bytes_max = bytes_max.ok_or_else(|| ChannelError::nowhere(message.kind))?;
        let letter = letter::outgoing(message).map_err(ChannelError::Refused)?;
        let bytes = letter.bytes();
        if bytes > bytes_max {
            return Err(ChannelError::Refused(format!(
                "the message has {bytes} bytes with its envelope, and the queue takes {bytes_max} \
                 (MaximumMessageSize)"
            )));
        }
        let sent = outlets.iter().map(|outlet| outlet.send(letter.clone()));
        all_of(join_all(sent).await)
    }
}

/// What came of all: kept only where each keeps it. Where one refuses it, another try helps no other;
/// and it was certainly not kept only where each says so.
fn all_of(outcomes: Vec<Result<(), ChannelError>>) -> Result<(), ChannelError> {
    let any_keeps = outcomes.iter().any(Result::is_ok);
    let errors = outcomes.into_iter().filter_map(Result::err);
    let worst = errors.max_by_key(|error| match error {
        ChannelError::Away(_) => 0,
        ChannelError::Unknown(_) => 1,
        ChannelError::Refused(_) => 2,
    });
    match worst {
        None => Ok(()),
        Some(ChannelError::Away(why)) if any_keeps => Err(ChannelError::Unknown(format!(
            "some of the queues of those who listen keep it, and one does not: {why}"
        ))),
        Some(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_kept_where_each_keeps_it_and_not_kept_where_none_does() {
        let why = || "why".to_owned();
        let (away, unknown, refused) = (
            Err(ChannelError::Away(why())),
            Err(ChannelError::Unknown(why())),
            Err(ChannelError::Refused(why())),
        );
        assert_eq!(all_of(vec![Ok(()), Ok(())]), Ok(()));
        assert_eq!(all_of(vec![away.clone(), away.clone()]), away);
        assert_eq!(all_of(vec![away.clone(), unknown.clone()]), unknown);
        assert_eq!(all_of(vec![Ok(()), refused.clone(), unknown.clone()]), refused);
        for outcomes in [vec![Ok(()), away.clone()], vec![away, Ok(())]] {
            assert!(matches!(all_of(outcomes), Err(ChannelError::Unknown(_))));
        }
    }
}
