//! The participants under test: asked one exchange at a time, each with a limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_transport::Outgoing;
use amends_transport_http::{BindError, HttpService, HttpTransport, Options};
use amends_wire::Outcome;

use super::exchange::{Circumstance, Exchange};

/// How long a connection may take to come about: a participant that is not there is told apart from
/// one that breaks a rule, and soon.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// The participants, by service.
#[derive(Clone)]
pub struct Participants {
    http: Arc<HttpTransport>,
    services: Arc<BTreeMap<String, HttpService>>,
    patience: Duration,
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
    /// Those at these addresses; an answer is waited for as long as `patience`.
    pub fn at(
        services: BTreeMap<String, HttpService>,
        patience: Duration,
    ) -> Result<Self, Unbound> {
        let options = Options {
            connect_timeout: CONNECT_MAX,
            ..Options::new(tokio::runtime::Handle::current())
        };
        let http = options.build().map_err(|error| Unbound::Tls(error.to_string()))?;
        for (name, service) in &services {
            http.bind(name, service.clone())?;
        }
        Ok(Self { http: Arc::new(http), services: Arc::new(services), patience })
    }

    /// How long an answer is waited for.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, outgoing: Outgoing, circumstance: Circumstance) -> Exchange {
        let mut exchange = Exchange::of(&outgoing, circumstance, &self.path(&outgoing));
        let answer = tokio::time::timeout(self.patience, self.http.exchange(outgoing)).await;
        (exchange.outcome, exchange.seen) = answer.unwrap_or_else(|_| {
            let within = self.patience.as_secs_f32();
            (Outcome::unknown(format!("none within {within} s")), None)
        });
        exchange
    }

    fn path(&self, outgoing: &Outgoing) -> String {
        let name = outgoing.command.rsplit_once('.').map_or(&*outgoing.command, |(_, name)| name);
        let said = self.services.get(&*outgoing.service).and_then(|s| s.commands.get(name));
        said.cloned().unwrap_or_else(|| format!("/{name}"))
    }
}
