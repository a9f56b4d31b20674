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
use crate::readable::{bury, too_large};

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
        if let Some(why) = too_large(received) {
            return Some(why); // its signature is not looked at
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
            bury(&*self.inner, &received, &breach).await?;
        }
    }

    /// The message with a signature of each of these secrets, instead of one that it has; with
    /// none, as it is.
    pub fn sign(secrets: &[Secret], message: &Message) -> Message {
        let mut message = message.clone();
        if secrets.is_empty() {
            return message;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        // The signed text joins its parts with full stops, so an id must have none.
        let id = header_value(&message.id).replace('.', "%2E");
        let signature = sign(secrets, &id, now, &message.body);
        let signed = [
            (WEBHOOK_ID, id),
            (WEBHOOK_TIMESTAMP, now.to_string()),
            (WEBHOOK_SIGNATURE, signature),
        ];
        // Said twice, a header says nothing.
        message.attributes.retain(|(name, _)| !signed.iter().any(|(own, _)| own == name));
        message.attributes.extend(signed.map(|(name, value)| (name.to_owned(), value)));
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
        Box::pin(async move { self.inner.publish(&Self::sign(&self.secrets, message)).await })
    }

    fn is_there(&self) -> bool {
        self.inner.is_there()
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
    use tokio::time::timeout;

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

    /// Whoever signs last is heard.
    #[tokio::test]
    async fn what_is_signed_twice_is_taken() {
        let broker = InMemory::new();
        let inner = Signing::over(broker.engine(), secrets(&["shared"]));
        let engine = Signing::over(inner, secrets(&["another"]));
        let service = Signing::over(broker.service(), secrets(&["shared"]));
        engine.publish(&command()).await.unwrap();
        assert_eq!(service.receive().await.unwrap().body, "{}");
    }

    /// A channel that puts nothing to the dead letters at its first try.
    struct Hesitant(Arc<dyn Channel>, std::sync::atomic::AtomicBool);

    impl Channel for Hesitant {
        fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
            self.0.receive()
        }

        fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
            self.0.acknowledge(tag)
        }

        fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
            self.0.give_back(tag, after)
        }

        fn dead_letter<'a>(
            &'a self,
            tag: Tag,
            reason: &'a str,
        ) -> BoxFuture<'a, Result<(), ChannelError>> {
            if self.1.swap(true, std::sync::atomic::Ordering::Relaxed) {
                return self.0.dead_letter(tag, reason);
            }
            Box::pin(async { Err(ChannelError::Away("not now".to_owned())) })
        }

        fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
            self.0.publish(message)
        }

        fn close(&self) -> BoxFuture<'_, ()> {
            self.0.close()
        }
    }

    /// On a clock that goes on as soon as all wait.
    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_put_aside_is_not_held_on_to() {
        let broker = InMemory::new();
        let end = Arc::new(Hesitant(broker.service(), false.into()));
        let service = Signing::over(end, secrets(&["shared"]));
        broker.engine().publish(&command()).await.unwrap();
        assert!(service.receive().await.is_err(), "the broker's word is handed on");
        let again = timeout(Duration::from_secs(60), service.receive()).await;
        assert!(again.is_err(), "it is put aside when it comes again, and nothing else is there");
        assert_eq!(broker.dead_letters().len(), 1);
        assert!(broker.is_idle());
    }

    /// The same of a reply that is none.
    #[tokio::test(start_paused = true)]
    async fn a_reply_that_cannot_be_put_aside_is_not_held_on_to() {
        let broker = InMemory::new();
        let end = Arc::new(Hesitant(broker.engine(), false.into()));
        let transport = crate::ByMessage::new(end, "Desk", tokio::runtime::Handle::current());
        crate::Transport::listen(&transport, crate::Replies::new(|_| {}));
        broker.put(Kind::Reply, "no reply".into(), Vec::new());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(broker.dead_letters().len(), 1);
        assert!(broker.is_idle());
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
