//! How services are reached: from what a definition says to a transport that carries commands.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_definition::{Binding, Messaging, RefusedWhen, Transport as Described};
use amends_engine::{Binder, Carrier};
use amends_server::Secrets;
use amends_transport::{Channel, Closing, Listener, Outgoing, Replies, Transport};
use amends_transport_http::{HttpService, HttpTransport, Options};
use amends_wire::signature::Secret;

use super::super::exit::{Exit, Failure};
use super::brokers::Brokers;
use crate::brokers::BrokerOptions;

/// Every service that a definition describes.
pub struct Services {
    http: Arc<HttpTransport>,
    brokers: Brokers,
    /// Each way a service was described, in the order in which they came.
    described: Mutex<Vec<(String, Binding)>>,
}

impl Services {
    /// Knows none yet.
    pub fn new(brokers: BrokerOptions, observer: Listener) -> Result<Arc<Self>, Failure> {
        let built = Options::new(tokio::runtime::Handle::current()).build();
        let http = built.map_err(|error| Failure::new(Exit::Error, format!("TLS: {error}")))?;
        let (http, brokers) = (Arc::new(http), Brokers::new(brokers, observer));
        Ok(Arc::new(Self { http, brokers, described: Mutex::default() }))
    }

    /// Sends nothing more, and waits so long for what is open.
    pub async fn close(&self, grace: Duration) {
        tokio::join!(self.http.close(grace), self.brokers.close(grace));
    }

    /// What carries the commands of a service behind a broker.
    fn by_message(&self, service: &str, binding: &Binding) -> Result<Carrier, String> {
        let secrets = secret(service, binding)?.into_iter().collect();
        let transport = self.brokers.bind(service, binding, secrets)?;
        Ok(Carrier { transport, answers_by_message: true })
    }

    /// The name under which the transport knows a service as it is described: two definitions may
    /// describe one service differently.
    fn name(&self, service: &str, binding: &Binding) -> Arc<str> {
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(name, held): &(String, Binding)| name == service && held == binding;
        let place = described.iter().position(same).unwrap_or_else(|| {
            described.push((service.to_owned(), binding.clone()));
            described.len() - 1
        });
        let others = described[..place].iter().filter(|(name, _)| name == service).count();
        if others == 0 { service.into() } else { format!("{service}#{}", others + 1).into() }
    }
}

impl Binder for Services {
    fn bind(&self, service: &str, binding: &Binding) -> Option<Carrier> {
        let unbound = |why: &str| tracing::warn!(service, "{why}; its commands wait");
        let url = match binding.transport.as_ref() {
            Some(Described::Http { url: Some(url) }) => url.clone(),
            Some(Described::Http { url: None }) => {
                unbound("the service's url needs an environment variable that is not set");
                return None;
            }
            _ => {
                let bound = self.by_message(service, binding);
                return bound.inspect_err(|why| unbound(why)).ok();
            }
        };
        let http = match http_service(service, binding, url) {
            Ok(http) => http,
            Err(why) => {
                unbound(&why);
                return None;
            }
        };
        let name = self.name(service, binding);
        if let Err(error) = self.http.bind(&name, http) {
            unbound(&error.to_string());
            return None;
        }
        let transport = Arc::new(Named { name, http: Arc::clone(&self.http) });
        Some(Carrier { transport, answers_by_message: false })
    }

    fn messaging(&self, messaging: &Messaging) -> Option<Arc<dyn Channel>> {
        let secret = secret_in(messaging.secret_env.as_deref(), "`messaging`");
        let bound = secret
            .and_then(|secret| self.brokers.messaging(messaging, secret.into_iter().collect()));
        let unbound = |why: &String| {
            tracing::warn!("{why}; nothing is asked for or published by message");
        };
        bound.inspect_err(unbound).ok()
    }

    fn observing(
        &self,
        messaging: &Messaging,
        services: &BTreeSet<Arc<str>>,
    ) -> Option<Arc<dyn Channel>> {
        let secret = secret_in(messaging.secret_env.as_deref(), "`messaging`");
        let bound = secret.and_then(|secret| {
            self.brokers.observing(messaging, services, secret.into_iter().collect())
        });
        let unbound = |why: &String| {
            tracing::warn!(
                "{why}; nothing is heard of the sagas that services run among themselves"
            );
        };
        bound.inspect_err(unbound).ok()
    }
}

/// A service as a definition describes it, at this address.
pub fn http_service(service: &str, binding: &Binding, url: String) -> Result<HttpService, String> {
    let refused_when = binding.refused_when.clone().map(|rule| {
        Arc::new(move |body: &[u8]| judge(&rule, body)) as amends_transport_http::RefusedWhen
    });
    Ok(HttpService {
        url,
        commands: binding.paths.clone(),
        secrets: secret(service, binding)?.into_iter().collect(),
        headers: Vec::new(),
        not_found_is_gone: binding.not_found_is_gone,
        refused_when,
    })
}

/// A service signs its replies with the secret with which its commands are signed.
impl Secrets for Services {
    fn secrets(&self, service: &str, binding: &Binding) -> Vec<Secret> {
        secret(service, binding).ok().flatten().into_iter().collect()
    }
}

/// The secret that the binding names; never sending unsigned what should be signed.
fn secret(service: &str, binding: &Binding) -> Result<Option<Secret>, String> {
    secret_in(binding.secret_env.as_deref(), service)
}

pub fn secret_in(name: Option<&str>, whose: &str) -> Result<Option<Secret>, String> {
    let Some(name) = name else { return Ok(None) };
    let text = std::env::var(name)
        .map_err(|_| format!("the secret of {whose} is not in the environment ({name})"))?;
    Secret::new(&text).map(Some).map_err(|error| format!("{name}: {error}"))
}

/// Is this answer a refusal? One that cannot be read, or that lacks what the rule looks at, is judged
/// by its status.
fn judge(rule: &RefusedWhen, body: &[u8]) -> Option<bool> {
    let response = serde_json::from_slice(body).ok()?;
    rule.refuses(&response).ok()
}

/// The transport, for the service that it knows under this name.
struct Named {
    name: Arc<str>,
    http: Arc<HttpTransport>,
}

impl Transport for Named {
    fn send(&self, outgoing: Outgoing, replies: Replies) {
        let service = Arc::clone(&self.name);
        self.http.send(Outgoing { service, ..outgoing }, replies);
    }

    fn kept_open(&self) -> usize {
        self.http.kept_open()
    }

    fn close(&self, grace: Duration) -> Closing {
        self.http.close(grace)
    }
}
