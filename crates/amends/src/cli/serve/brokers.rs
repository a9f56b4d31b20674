//! A transport for each service that is described as being behind a broker, and the end at which a saga
//! type itself is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_definition::{Binding, Broker, Messaging, Transport as Described};
use amends_transport::{
    ByMessage, Channel, Connect, End, Events, Later, Listener, Signing, Transport as _,
};
use amends_wire::signature::Secret;
use futures_util::FutureExt;

use crate::brokers::{BrokerOptions, Found, Place};

/// The services behind brokers, each with its transport.
pub struct Brokers {
    options: BrokerOptions,
    /// By the way a service was described: taken in again, a definition finds its transport, since
    /// two would share one queue of replies.
    known: Mutex<Vec<(String, Binding, Arc<ByMessage>)>>,
    /// Under which name the events of choreographies are heard.
    observer: Listener,
    /// Who takes from which queue of which broker.
    takers: Mutex<BTreeMap<(&'static str, String), String>>,
}

/// All that are reached by message: any of them reads the requests of all.
const SAGA_TYPES: &str = "the reader of what sagas are asked";

impl Brokers {
    /// Knows no service yet.
    pub fn new(options: BrokerOptions, observer: Listener) -> Self {
        Self { options, observer, known: Mutex::default(), takers: Mutex::default() }
    }

    /// What carries the commands of a service that is behind a broker. It is connected in the
    /// background; until then commands wait, and count no attempt.
    pub fn bind(
        &self,
        service: &str,
        binding: &Binding,
        secrets: Vec<Secret>,
    ) -> Result<Arc<ByMessage>, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(name, held, _): &&(String, Binding, _)| name == service && held == binding;
        if let Some((_, _, transport)) = known.iter().find(same) {
            return Ok(Arc::clone(transport));
        }
        let hidden = secrets.iter().map(|secret| secret.text().to_owned()).collect();
        let channel = Signing::over(self.channel(service, binding)?, secrets);
        let runtime = tokio::runtime::Handle::current();
        let transport = Arc::new(ByMessage::hiding(channel, service, runtime, hidden));
        known.push((service.to_owned(), binding.clone(), Arc::clone(&transport)));
        Ok(transport)
    }

    /// Publishes nothing more, and leaves replies that come to the next start.
    pub async fn close(&self, grace: Duration) {
        let known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let closing = known.iter().map(|(_, _, transport)| transport.close(grace));
        futures_util::future::join_all(closing).await;
    }

    /// The end at which a saga type is asked for, and from which its events go.
    pub fn messaging(
        &self,
        messaging: &Messaging,
        secrets: Vec<Secret>,
    ) -> Result<Arc<dyn Channel>, String> {
        let Messaging { broker, queues, events, .. } = messaging;
        if let Some(queues) = queues {
            self.takes(SAGA_TYPES, broker, &queues.commands)?;
        }
        let events = events.as_deref().map(Events::at);
        let place = self.options.place(broker, queues.as_ref(), events)?;
        let whose = if queues.is_some() { "requests and events" } else { "events" };
        Ok(Signing::over(self.later(whose, place, End::Service), secrets))
    }

    /// The end at which all is heard that services say of the sagas that they run among themselves.
    pub fn observing(
        &self,
        messaging: &Messaging,
        services: &BTreeSet<Arc<str>>,
        secrets: Vec<Secret>,
    ) -> Result<Arc<dyn Channel>, String> {
        let listeners = services.iter().filter_map(|name| Listener::named(name).ok());
        let listeners: Vec<Listener> = listeners.chain([self.observer.clone()]).collect();
        let events = messaging.events.as_deref().map(|at| Events::at(at).heard_by(listeners));
        let place = self.options.place(&messaging.broker, None, events)?;
        let end = End::Listener(self.observer.clone());
        Ok(Signing::over(self.later("the events of choreographies", place, end), secrets))
    }

    fn channel(&self, service: &str, binding: &Binding) -> Result<Arc<dyn Channel>, String> {
        let Some(Described::Broker(broker, queues)) = &binding.transport else {
            return Err("the definition does not say how the service is reached".to_owned());
        };
        self.takes(&format!("the service {service}"), broker, &queues.replies)?;
        let place = self.options.place(broker, Some(queues), None)?;
        Ok(self.later(service, place, End::Engine))
    }

    /// Notes who takes from a queue. Somebody else would be brought half of what is there, and have
    /// to put it aside.
    fn takes(&self, whose: &str, broker: &Broker, queue: &str) -> Result<(), String> {
        let mut takers = self.takers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (broker.key(), queue.to_owned());
        match takers.get(&key) {
            Some(other) if other != whose => Err(format!(
                "{other} takes from {queue} already, in another definition or an earlier version: \
                 whoever takes from a queue takes all of it, so give each a queue of its own (what \
                 was there before is let go by a restart)"
            )),
            Some(_) => Ok(()),
            None => {
                takers.insert(key, whose.to_owned());
                Ok(())
            }
        }
    }

    fn later(&self, whose: &str, found: Found, end: End) -> Arc<dyn Channel> {
        let Found { broker, place } = found;
        let create = !self.options.brokers_as_they_are;
        let what = format!("{broker} for {whose}");
        let runtime = tokio::runtime::Handle::current();
        Arc::new(Later::new(&what, telling(broker, place, end, create), &runtime))
    }
}

/// Connects, and says what was made there, what others have to make, and what is too weak.
pub fn telling(name: &'static str, place: Arc<dyn Place>, end: End, create: bool) -> Connect {
    Box::new(move || {
        let connecting = place.connect(end.clone(), create);
        let told = async move {
            let (channel, topology) = connecting.await?;
            for created in &topology.created {
                tracing::info!("made at {name}: {created}");
            }
            for missing in &topology.missing {
                tracing::warn!("missing at {name}: {missing}");
            }
            for weak in &topology.weak {
                tracing::warn!("{name} promises less than a saga needs: {weak}");
            }
            Ok(channel)
        };
        told.boxed()
    })
}
