//! The broker in memory, with a mistake around it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_transport::conformance::channel::{Broker, Capabilities, Mortal, Place};
use amends_transport::{
    Channel, ChannelError, End, InMemory, Kind, Listener, Message, Received, Tag,
};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use crate::Mistake;

/// See the module.
pub struct Mistaken(pub Option<Mistake>);

impl Broker for Mistaken {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            keeps_order: true,
            one_at_a_time: false,
            settles_alone: true,
            knows_ids: false,
            counts_deliveries: true,
            body_bytes_max: usize::MAX,
        }
    }

    fn place(&self) -> BoxFuture<'_, Arc<dyn Place>> {
        ready(Arc::new(Own::new(self.0)) as Arc<dyn Place>).boxed()
    }

    fn mortal(&self) -> BoxFuture<'_, Arc<dyn Mortal>> {
        ready(Arc::new(Own::new(self.0)) as Arc<dyn Mortal>).boxed()
    }
}

struct Own {
    broker: InMemory,
    mistake: Option<Mistake>,
    is_away: Arc<AtomicBool>,
    /// How many ends were made, and how many have left.
    made: AtomicU32,
    left: Arc<AtomicU32>,
}

impl Own {
    fn new(mistake: Option<Mistake>) -> Self {
        Self {
            broker: InMemory::new(),
            mistake,
            is_away: Arc::default(),
            made: AtomicU32::new(0),
            left: Arc::default(),
        }
    }

    /// Whose end this broker takes it for.
    fn mistook(&self, end: End) -> End {
        let End::Listener(listener) = &end else { return end };
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let name = match self.mistake {
            Some(Mistake::SharesEventsBetweenListeners) => "all".to_owned(),
            Some(Mistake::BringsEventsToAllCopies) => format!("{listener}-{made}"),
            Some(Mistake::ForgetsListenersThatLeave) => {
                format!("{listener}-{}", self.left.load(Ordering::Relaxed))
            }
            _ => return end,
        };
        End::Listener(Listener::named(&name).expect("it can be said"))
    }
}

impl Place for Own {
    fn end(&self, end: End) -> BoxFuture<'_, Arc<dyn Channel>> {
        let end = self.mistook(end);
        ready(Arc::new(Client {
            inner: self.broker.end(&end),
            second: self.broker.end(&end),
            broker: self.broker.clone(),
            mistake: self.mistake,
            is_away: Arc::clone(&self.is_away),
            left: Arc::clone(&self.left),
            own: Mutex::default(),
            published: AtomicU32::new(0),
            kept: Mutex::default(),
            settled: Mutex::default(),
        }) as Arc<dyn Channel>)
        .boxed()
    }

    fn dead_letters(&self, end: End) -> BoxFuture<'_, Vec<(Bytes, String)>> {
        let mixed = self.mistake == Some(Mistake::MixesDeadLetters);
        let dead = if mixed { self.broker.dead_letters() } else { self.broker.put_aside_by(&end) };
        ready(dead).boxed()
    }
}

impl Mortal for Own {
    fn kill(&self) -> BoxFuture<'_, ()> {
        self.is_away.store(true, Ordering::Release);
        self.broker.set_away(true);
        ready(()).boxed()
    }

    fn start_again(&self) -> BoxFuture<'_, ()> {
        self.is_away.store(false, Ordering::Release);
        self.broker.set_away(false);
        ready(()).boxed()
    }
}

struct Client {
    inner: Arc<dyn Channel>,
    /// Another end, for who reads more than it may.
    second: Arc<dyn Channel>,
    broker: InMemory,
    mistake: Option<Mistake>,
    is_away: Arc<AtomicBool>,
    left: Arc<AtomicU32>,
    /// The events that it has published.
    own: Mutex<BTreeSet<Bytes>>,
    published: AtomicU32,
    kept: Mutex<Option<Message>>,
    settled: Mutex<BTreeSet<Tag>>,
}

impl Client {
    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// What arrives, as this client tells it.
    fn changed(&self, mut received: Received) -> Received {
        if self.makes(Mistake::CountsNothing) {
            received.deliveries = 1;
        }
        if self.makes(Mistake::ForgetsHeaders) {
            received.headers.retain(|(name, _)| name.starts_with("ce-"));
        }
        if self.makes(Mistake::EncodesValues) {
            for (_, value) in &mut received.headers {
                *value = amends_wire::envelope::header_value(value).into_owned();
            }
        }
        if self.makes(Mistake::InventsAnEnvelope) && received.headers.is_empty() {
            received.headers.push(("ce-type".to_owned(), "Unknown".to_owned()));
        }
        received
    }

    /// What leaves, as this client sends it; `None` where it does not.
    fn sent(&self, message: &Message) -> Option<Message> {
        let mut message = message.clone();
        let number = self.published.fetch_add(1, Ordering::Relaxed);
        if self.makes(Mistake::LosesAMessage) && number % 20 == 19 {
            return None;
        }
        if self.makes(Mistake::ChangesTheBody) {
            message.body = message.body.iter().copied().filter(|byte| *byte != b' ').collect();
        }
        if self.makes(Mistake::CutsLargeBodies) {
            message.body.truncate(64 * 1024);
        }
        if self.makes(Mistake::SwapsTwoMessages) && number == 7 {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
            return None;
        }
        Some(message)
    }

    async fn publish(&self, message: &Message) -> Result<(), ChannelError> {
        if self.is_away.load(Ordering::Acquire) {
            if self.makes(Mistake::ConfirmsWhenAway) {
                return Ok(());
            }
            if self.makes(Mistake::WaitsForEverWhenAway) {
                return std::future::pending().await;
            }
        }
        if self.makes(Mistake::BringsEventsToServices) && message.kind == Kind::Event {
            self.broker.put(Kind::Command, message.body.clone(), Vec::new());
            return Ok(());
        }
        if message.kind == Kind::Event {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.insert(message.body.clone());
        }
        let Some(sent) = self.sent(message) else { return Ok(()) };
        self.inner.publish(&sent).await?;
        // The one that was kept back leaves after one of its saga that came after it.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(message) = kept.take_if(|kept| kept.saga_id == sent.saga_id) {
            self.inner.publish(&message).await?;
        }
        if kept.is_some() {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        }
        Ok(())
    }

    fn is_own(&self, received: &Received) -> bool {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(&received.body)
    }

    /// Settled already? Then this client fails, if that is its mistake.
    fn once(&self, tag: Tag) -> Result<(), ChannelError> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if !settled.insert(tag) && self.makes(Mistake::FailsOnWhatIsSettled) {
            return Err(ChannelError::Refused("it is not held".to_owned()));
        }
        Ok(())
    }
}

impl Channel for Client {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        async move {
            let mut received = if self.makes(Mistake::HoldsMoreThanItMay) {
                tokio::select! {
                    first = self.inner.receive() => first,
                    second = self.second.receive() => second,
                }
            } else {
                self.inner.receive().await
            }?;
            while self.makes(Mistake::KeepsOwnEventsFromAListener) && self.is_own(&received) {
                self.inner.acknowledge(received.tag).await?;
                received = self.inner.receive().await?;
            }
            if self.makes(Mistake::AcknowledgesByItself) {
                self.inner.acknowledge(received.tag).await?;
            }
            Ok(self.changed(received))
        }
        .boxed()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        async move {
            self.once(tag)?;
            if self.makes(Mistake::ForgetsWhatIsAcknowledged) {
                return Ok(());
            }
            self.inner.acknowledge(tag).await
        }
        .boxed()
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        async move {
            self.once(tag)?;
            let after = if self.makes(Mistake::GivesBackAtOnce) { Duration::ZERO } else { after };
            self.inner.give_back(tag, after).await
        }
        .boxed()
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        async move {
            self.once(tag)?;
            if self.makes(Mistake::DropsDeadLetters) {
                return self.inner.acknowledge(tag).await;
            }
            if self.makes(Mistake::TellsOfDeadLetters) {
                self.broker.put(Kind::Event, "\"dead\"".into(), Vec::new());
            }
            let reason = if self.makes(Mistake::ForgetsReasons) { "" } else { reason };
            self.inner.dead_letter(tag, reason).await
        }
        .boxed()
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Self::publish(self, message).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.left.fetch_add(1, Ordering::Relaxed);
            if self.makes(Mistake::KeepsWhatItHolds) {
                // Nobody drops it either.
                std::mem::forget(Arc::clone(&self.inner));
                return;
            }
            self.inner.close().await;
        }
        .boxed()
    }
}
