//! The brokers that services are reached by: where they are, and a transport for each service
//! that is described as being behind one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_definition::{Binding, Transport as Described};
use amends_transport::{ByMessage, Signing, Transport as _};
use amends_wire::signature::Secret;
use clap::Args;

/// Where brokers are.
#[derive(Args, Clone, Debug, Default)]
pub struct BrokerOptions {
    /// The NATS server with JetStream, for services that are described with `nats`; with commas
    /// between several of a cluster
    #[arg(long, value_name = "URL", env = "AMENDS_NATS", hide_env_values = true)]
    nats: Option<String>,
    /// Make no stream, queue or consumer that is missing at a broker; say which it is, and wait
    #[arg(long, env = "AMENDS_BROKERS_AS_THEY_ARE")]
    brokers_as_they_are: bool,
}

/// The services behind brokers, each with its transport.
pub struct Brokers {
    options: BrokerOptions,
    /// By the way a service was described: taken in again, a definition finds its transport, since
    /// two would share one queue of replies.
    known: Mutex<Vec<(String, Binding, Arc<ByMessage>)>>,
}

impl Brokers {
    /// Knows no service yet.
    pub fn new(options: BrokerOptions) -> Self {
        Self { options, known: Mutex::default() }
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

    fn channel(
        &self,
        service: &str,
        binding: &Binding,
    ) -> Result<Arc<dyn amends_transport::Channel>, String> {
        match &binding.transport {
            Some(Described::Nats { stream, commands, replies }) => {
                self.nats(service, [stream, commands, replies])
            }
            Some(_) => {
                let why = "the service is reached by a broker, and of those this server knows NATS";
                Err(why.to_owned())
            }
            None => Err("the definition does not say how the service is reached".to_owned()),
        }
    }

    #[cfg(feature = "nats")]
    fn nats(
        &self,
        service: &str,
        [stream, commands, replies]: [&String; 3],
    ) -> Result<Arc<dyn amends_transport::Channel>, String> {
        use amends_transport::{Channel, End, Later};
        use amends_transport_nats::{Place, Server, connect};

        let Some(url) = &self.options.nats else {
            let why = "the service is reached over NATS, and nothing says where that is: serve \
                       with --nats URL";
            return Err(why.to_owned());
        };
        let (server, create) = (Server::new(url.clone()), !self.options.brokers_as_they_are);
        let place = Place {
            stream: stream.clone(),
            commands: commands.clone(),
            replies: replies.clone(),
            events: None,
        };
        let connecting = move || {
            let (server, place) = (server.clone(), place.clone());
            let connecting: futures_util::future::BoxFuture<'static, _> = Box::pin(async move {
                let connected = connect(&server, place, End::Engine, create).await;
                let (channel, topology) = connected.map_err(|error| error.to_string())?;
                for created in &topology.created {
                    tracing::info!("made at NATS: {created}");
                }
                for weak in &topology.weak {
                    tracing::warn!("NATS promises less than a saga needs: {weak}");
                }
                Ok(Arc::new(channel) as Arc<dyn Channel>)
            });
            connecting
        };
        let what = format!("NATS for {service}");
        let runtime = tokio::runtime::Handle::current();
        Ok(Arc::new(Later::new(&what, Box::new(connecting), &runtime)))
    }

    #[cfg(not(feature = "nats"))]
    fn nats(
        &self,
        _service: &str,
        _place: [&String; 3],
    ) -> Result<Arc<dyn amends_transport::Channel>, String> {
        Err("the service is reached over NATS, and this amends was built without the feature `nats`"
            .to_owned())
    }
}
