//! Commands by message: received, carried out, answered through the outbox, acknowledged.

pub(crate) mod pause;
pub(crate) mod relaying;
#[cfg(all(test, feature = "sqlite"))]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use amends_transport::{
    CONFIRMED_WITHIN, Channel, ChannelError, Kind, Message, Received, Signing, Tag,
};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{Instrument, debug, error, warn};

use crate::about::{About, span_of_none};
use crate::answer::{Answer, Doubt};
use crate::command::{BODY_BYTES_MAX, Breach, Command};
use crate::database::Database;
use crate::participant::Participant;
use crate::signed::{BadSecret, Secrets};
use crate::word::{confirmed, said, unpanicked};
use pause::{PAUSE, Pauses};
use relaying::Relaying;

/// A participant behind a broker.
#[must_use]
pub struct Serving<D: Database> {
    participant: Participant<D>,
    channel: Arc<dyn Channel>,
    at_once: usize,
    secrets: Secrets,
    pauses: Pauses,
}

/// How many messages are at work at once, unless said otherwise: as many as a pool of sqlx has
/// connections by default.
const AT_ONCE: usize = 10;

impl<D: Database> Serving<D> {
    /// Takes the commands of this channel, which are to be signed where the participant has a
    /// secret.
    pub fn new(participant: Participant<D>, channel: Arc<dyn Channel>) -> Self {
        let (secrets, pauses) = (participant.0.secrets.clone(), Pauses::default());
        Self { participant, channel, at_once: AT_ONCE, secrets, pauses }
    }

    /// How many messages are at work at once.
    pub const fn at_once(mut self, at_once: usize) -> Self {
        self.at_once = at_once;
        self
    }

    /// Takes also, and only, messages that are signed with this secret, however long ago that was,
    /// and signs replies and events with all that are said; a relay of the participant's own does
    /// not know of it. With [`Builder::secret`](crate::Builder::secret) it is said once for all.
    ///
    /// # Errors
    ///
    /// The secret is empty, or no base64 after `whsec_`.
    pub fn secret(mut self, secret: &str) -> Result<Self, BadSecret> {
        self.secrets.add(secret)?;
        Ok(self)
    }

    /// Serves until `stop`, then ends what is at work and returns. The outbox is relayed
    /// meanwhile. Dropped halfway it takes nothing more and relays nothing more; what was at work is
    /// broken off, and comes again.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut this = self;
        this.channel = Signing::over(this.channel, std::mem::take(&mut this.secrets).into_inner());
        // It is the channel that signs.
        let relaying = Relaying::begin(&this.participant, &this.channel);
        let this = Arc::new(this);
        let mut at_work = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            while at_work.len() >= this.at_once.max(1) {
                at_work.join_next().await;
            }
            let received = tokio::select! {
                () = &mut stop => break,
                received = said(async { this.channel.receive().await }) => received,
            };
            match received {
                Ok(received) => {
                    let this = Arc::clone(&this);
                    at_work.spawn(async move { this.take(&received).await });
                }
                Err(e) => {
                    error!("no command can be received; it is tried again: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            while at_work.try_join_next().is_some() {}
        }
        while at_work.join_next().await.is_some() {}
        relaying.end().await;
    }

    async fn take(&self, received: &Received) {
        match self.read(received) {
            Ok(command) => {
                let about = About::of(&command);
                let span = about.span(&command);
                let key = command.id.to_string();
                let taken = self.take_command(received.tag, &command, &about);
                self.in_spite_of_panics(received.tag, key, taken).instrument(span).await;
            }
            Err(breach) => {
                let span = span_of_none(received, &received.body);
                // It may have no key, and is the same by its bytes.
                let sha256: [u8; 32] = Sha256::digest(&received.body).into();
                let key = format!("no command: {sha256:?}");
                let taken = self.take_none(received.tag, key.clone(), &breach);
                self.in_spite_of_panics(received.tag, key, taken).instrument(span).await;
            }
        }
    }

    /// A handler's panic is its ending, and a channel's its word. Any other, in the pool's own hooks
    /// say, must not leave the message unsettled.
    async fn in_spite_of_panics(&self, tag: Tag, key: String, taken: impl Future<Output = ()>) {
        if let Err(why) = unpanicked(taken).await {
            error!("what serves a message panicked; it comes again: {why}");
            self.give_back(tag, key).await;
        }
    }

    async fn take_command(&self, tag: Tag, command: &Command, about: &About) {
        let key = command.id.to_string();
        match self.answer(tag, command, about).await {
            Ok(()) => return self.pauses.end(&key),
            Err(Unanswered::Unknown) => {}
            // It was not acknowledged, so it comes again, and is told the same.
            Err(Unanswered::Channel(e)) => {
                error!("a command could not be answered; it comes again: {e}");
            }
        }
        self.give_back(tag, key).await;
    }

    async fn take_none(&self, tag: Tag, key: String, breach: &Breach) {
        match self.bury(tag, breach).await {
            Ok(()) => self.pauses.end(&key),
            Err(e) => {
                error!("a message could not be put to the dead letters; it comes again: {e}");
                self.give_back(tag, key).await;
            }
        }
    }

    /// Gives it back after a pause. Where the broker takes it not in time, it comes again all the
    /// same, as what was held and never settled.
    async fn give_back(&self, tag: Tag, key: String) {
        let pause = self.pauses.next(key);
        let given_back = said(async { self.channel.give_back(tag, pause).await });
        // A channel may itself wait for so long.
        if !matches!(timeout(pause + CONFIRMED_WITHIN, given_back).await, Ok(Ok(()))) {
            debug!("a message was not given back; it comes again when the broker misses it");
        }
    }

    fn read(&self, received: &Received) -> Result<Command, Breach> {
        if received.body.len() > BODY_BYTES_MAX {
            return Err(Breach::too_large());
        }
        Command::read(self.participant.service(), None, received, &received.body)
    }

    async fn answer(&self, tag: Tag, command: &Command, about: &About) -> Result<(), Unanswered> {
        let (answer, is_in_the_outbox) =
            self.participant.carry_out_by_message(command, about).await;
        if answer == Answer::Unknown(Doubt::CommitLost) {
            return Err(Unanswered::Unknown);
        }
        if let Some(reason) = answer.buried() {
            return Ok(self.bury(tag, &reason).await?);
        }
        // What is not new is in the guard already: it is said before the message is done with.
        if !is_in_the_outbox && let Some(body) = answer.reply(&command.id, command.sending.attempt)
        {
            let reply = reply(self.participant.service(), command, body);
            confirmed(async { self.channel.publish(&reply).await }).await?;
        }
        Ok(confirmed(async { self.channel.acknowledge(tag).await }).await?)
    }

    async fn bury(&self, tag: Tag, reason: &Breach) -> Result<(), ChannelError> {
        warn!("to the dead letters: {reason}");
        let reason = reason.to_string();
        confirmed(async { self.channel.dead_letter(tag, &reason).await }).await
    }
}

/// Why a command was not answered, and so comes again.
enum Unanswered {
    /// Whether it was committed is not known. The next attempt tells.
    Unknown,
    Channel(ChannelError),
}

impl From<ChannelError> for Unanswered {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

/// A reply that is not in the outbox.
fn reply(service: &str, command: &Command, body: String) -> Message {
    crate::tx::Origin::of(service, command).message(Kind::Reply, "reply", body)
}
