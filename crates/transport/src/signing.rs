//! Messages that are signed when they leave, and taken only when they are signed: where a service
//! shares a secret with its engine.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_wire::Headers;
use amends_wire::envelope::header_value;
use amends_wire::signature::{
    Secret, SignatureError, Signed, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, sign,
};
use futures_util::future::BoxFuture;

use crate::channel::{Channel, ChannelError, Message, Received, Tag};

/// The largest body whose signature is looked at: neither end reads a larger one.
const BODY_BYTES_MAX: usize = amends_wire::REPLY_BYTES_MAX;

/// A channel whose messages carry a signature (Standard Webhooks). What comes without a valid one goes to the
/// dead letters.
///
/// How old a signature is says nothing here: a message may lie in its queue for days. What is
/// sent a second time by somebody who listened is a duplicate, and is known as that.
pub struct Signing {
    inner: Arc<dyn Channel>,
    secrets: Vec<Secret>,
}

impl Signing {
    /// Signs with each of these secrets and takes what is signed with one of them; with none, the
    /// channel as it is.
    pub fn over(inner: Arc<dyn Channel>, secrets: Vec<Secret>) -> Arc<dyn Channel> {
        if secrets.is_empty() { inner } else { Arc::new(Self { inner, secrets }) }
    }

    /// Why it is not taken, in the words of a dead letter.
    fn breach(&self, received: &Received) -> Option<String> {
        if received.body.len() > BODY_BYTES_MAX {
            return Some(format!("TOO_LARGE: a body has at most {BODY_BYTES_MAX} bytes"));
        }
        self.verify(received).err().map(|error| format!("NOT_SIGNED: {error}"))
    }

    fn verify(&self, received: &Received) -> Result<(), SignatureError> {
        let signed = Signed {
            id: received.value(WEBHOOK_ID),
            timestamp: received.value(WEBHOOK_TIMESTAMP),
            signature: received.value(WEBHOOK_SIGNATURE),
        };
        signed.verify_at_any_time(&self.secrets, &received.body)
    }

    async fn receive(&self) -> Result<Received, ChannelError> {
        loop {
            let received = self.inner.receive().await?;
            let Some(breach) = self.breach(&received) else { return Ok(received) };
            tracing::warn!("a message goes to the dead letters: {breach}");
            self.inner.dead_letter(received.tag, &breach).await?;
        }
    }

    fn signed(&self, message: &Message) -> Message {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        // The signed text joins its parts with full stops, so an id must have none.
        let id = header_value(&message.id).replace('.', "%2E");
        let signature = sign(&self.secrets, &id, now, &message.body);
        let mut message = message.clone();
        message.attributes.extend(
            [
                (WEBHOOK_ID, id),
                (WEBHOOK_TIMESTAMP, now.to_string()),
                (WEBHOOK_SIGNATURE, signature),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        message
    }
}

impl Channel for Signing {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(Self::receive(self))
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.inner.acknowledge(tag)
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.inner.give_back(tag, after)
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.inner.dead_letter(tag, reason)
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move { self.inner.publish(&self.signed(message)).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Kind;
    use crate::in_memory::InMemory;

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::new(text).unwrap()).collect()
    }

    fn command() -> Message {
        Message {
            id: "saga/step.1/action:1".to_owned(),
            saga_id: "saga".to_owned(),
            kind: Kind::Command,
            name: "Stock.Take".to_owned(),
            attributes: Vec::new(),
            body: "{}".into(),
        }
    }

    #[tokio::test]
    async fn what_is_signed_is_taken_and_nothing_else() {
        let broker = InMemory::new();
        let engine = Signing::over(broker.engine(), secrets(&["new", "old"]));
        let stranger = Signing::over(broker.engine(), secrets(&["another"]));
        let service = Signing::over(broker.service(), secrets(&["old"]));
        broker.engine().publish(&command()).await.unwrap();
        stranger.publish(&command()).await.unwrap();
        engine.publish(&command()).await.unwrap();
        let received = service.receive().await.unwrap();
        assert_eq!(received.body, "{}");
        service.acknowledge(received.tag).await.unwrap();
        assert!(broker.is_idle());
        let dead = broker.dead_letters();
        assert_eq!(dead.len(), 2);
        assert!(dead.iter().all(|(_, why)| why.starts_with("NOT_SIGNED: ")), "{dead:?}");
    }

    /// It has lain in its queue for that long.
    #[tokio::test]
    async fn a_signature_of_last_year_is_taken() {
        let broker = InMemory::new();
        let signature = sign(&secrets(&["shared"]), "id", 1_700_000_000, b"{}");
        let headers = [
            (WEBHOOK_ID, "id"),
            (WEBHOOK_TIMESTAMP, "1700000000"),
            (WEBHOOK_SIGNATURE, signature.as_str()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        broker.put(Kind::Command, "{}".into(), headers.into());
        let service = Signing::over(broker.service(), secrets(&["shared"]));
        assert_eq!(service.receive().await.unwrap().body, "{}");
    }
}
