//! The participants under test: asked one exchange at a time, each with a limit, and heard where they
//! answer later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::StepIx;
use amends_transport::Outgoing;
use amends_transport_http::{BindError, HttpService, HttpTransport, Options};
use amends_wire::Outcome;
use amends_wire::signature::Secret;
use http::request::Parts;

use super::callbacks::Callbacks;
use super::exchange::{Circumstance, Exchange};
use super::patience::Patience;

/// How long a connection may take to come about: a participant that is not there is told apart from
/// one that breaks a rule, and soon.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The participants, by service.
#[derive(Clone)]
pub struct Participants {
    http: Arc<HttpTransport>,
    services: Arc<BTreeMap<String, HttpService>>,
    patience: Patience,
    callbacks: Callbacks,
}

/// Why the participants cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Unbound {
    /// A binding is of no use.
    #[error(transparent)]
    Service(#[from] BindError),
    /// The machine's certificates.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Participants {
    /// Those at these addresses; what they answer later comes as `callbacks`.
    pub fn at(
        services: BTreeMap<String, HttpService>,
        patience: Patience,
        callbacks: Callbacks,
    ) -> Result<Self, Unbound> {
        let options = Options {
            connect_timeout: CONNECT_MAX,
            ..Options::new(tokio::runtime::Handle::current())
        };
        let http = options.build().map_err(|error| Unbound::Tls(error.to_string()))?;
        for (name, service) in &services {
            http.bind(name, service.clone())?;
        }
        Ok(Self { http: Arc::new(http), services: Arc::new(services), patience, callbacks })
    }

    /// How long an answer is waited for.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// What the commands of a service are signed with.
    pub fn secrets(&self, service: &str) -> Vec<Secret> {
        self.services.get(service).map(|service| service.secrets.clone()).unwrap_or_default()
    }

    /// Asks, and waits for the answer: in the exchange, or after a 202 by callback.
    pub async fn ask(&self, outgoing: Outgoing, circumstance: Circumstance) -> Exchange {
        self.ask_altered(outgoing, circumstance, |_| {}).await
    }

    /// The same with another head than an engine would send.
    pub async fn ask_altered(
        &self,
        mut outgoing: Outgoing,
        circumstance: Circumstance,
        alter: impl FnOnce(&mut Parts) + Send,
    ) -> Exchange {
        let place = self.callbacks.open(&mut outgoing);
        let mut exchange = Exchange::of(&outgoing, circumstance, &self.path(&outgoing), place);
        let step = StepIx(outgoing.ticket.step);
        let within = self.patience.exchange();
        let exchanged = self.http.exchange_altered(outgoing, alter);
        let answer = tokio::time::timeout(within, exchanged).await;
        let in_time = answer.is_ok();
        (exchange.outcome, exchange.seen) = answer.unwrap_or_else(|_| {
            (Outcome::unknown(format!("none came within {} s", within.as_secs_f32())), None)
        });
        exchange.broke_off = in_time && exchange.seen.is_none();
        match exchange.outcome {
            // What is no command has no answer that could come later.
            Outcome::Accepted if !circumstance.is_probe() => {
                exchange.accepted = true;
                let within = self.patience.accepted(step);
                match self.callbacks.answer(place, within).await {
                    Some(callback) => exchange.hears(callback),
                    None => {
                        let why = format!("no callback came within {} s", within.as_secs_f32());
                        exchange.outcome = Outcome::unknown(why);
                    }
                }
            }
            // A callback may be ahead of its 202, or outlive it.
            Outcome::Unknown { .. } => {
                if let Some(callback) = self.callbacks.own(place) {
                    exchange.hears(callback);
                }
            }
            _ => {}
        }
        exchange
    }

    /// Puts all the callbacks that came into the exchanges that they belong to, now that nothing more
    /// is waited for. What was secret in a request is taken out of them.
    pub fn settle(&self, log: &mut [Exchange]) {
        for exchange in log {
            let Some((outgoing, callbacks)) = self.callbacks.settle(exchange.place) else {
                continue;
            };
            exchange.callbacks.extend(callbacks);
            for callback in &mut exchange.callbacks {
                self.http.conceal(&outgoing, &mut callback.body);
            }
        }
    }

    fn path(&self, outgoing: &Outgoing) -> String {
        let name = outgoing.command.rsplit_once('.').map_or(&*outgoing.command, |(_, name)| name);
        let said = self.services.get(&*outgoing.service).and_then(|s| s.commands.get(name));
        said.cloned().unwrap_or_else(|| format!("/{name}"))
    }
}
