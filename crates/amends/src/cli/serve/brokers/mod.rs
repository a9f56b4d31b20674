//! The brokers: where they are, a transport for each service that is described as being behind one,
//! and the end at which a saga type itself is reached.

#![cfg_attr(
    not(any(feature = "kafka", feature = "nats", feature = "rabbitmq")),
    allow(dead_code, unused_variables, reason = "a build that reaches no broker")
)]

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_definition::{Binding, Messaging, Transport as Described};
use amends_transport::{ByMessage, Channel, End, Later, Signing, Topology, Transport as _};
use amends_wire::signature::Secret;
use clap::Args;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// Where brokers are.
#[derive(Args, Clone, Debug, Default)]
pub struct BrokerOptions {
    /// The Kafka cluster, for services that are described with `kafka`: host and port, with commas
    /// between several
    #[arg(long, value_name = "ADDRESS", env = "AMENDS_KAFKA")]
    kafka: Option<String>,
    /// How to come in there: a file of lines `name=value` with the client library's settings
    /// (librdkafka's), as `security.protocol`, `sasl.username`, `sasl.password`, `ssl.ca.location`
    #[arg(long, value_name = "FILE", env = "AMENDS_KAFKA_CONFIG")]
    kafka_config: Option<PathBuf>,
    /// The NATS server with JetStream, for services that are described with `nats`; with commas
    /// between several of a cluster
    #[arg(long, value_name = "URL", env = "AMENDS_NATS", hide_env_values = true)]
    nats: Option<String>,
    /// The RabbitMQ server, for services that are described with `rabbitmq`:
    /// amqp://user:password@host:5672/vhost, or amqps://; with commas between several of a cluster
    #[arg(long, value_name = "URL", env = "AMENDS_RABBITMQ", hide_env_values = true)]
    rabbitmq: Option<String>,
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

/// A broker that services can be behind: its name, and what it takes to reach one.
struct Broker {
    name: &'static str,
    /// Of `amends serve`: says where the broker is.
    option: &'static str,
}

/// What of a place is connected.
#[derive(Clone, Copy)]
struct Connecting<'a> {
    end: End,
    /// Where its events go.
    events: Option<&'a str>,
    /// Make what is missing.
    create: bool,
}

/// Connects once, and says what was found there.
type Connect =
    Box<dyn Fn() -> BoxFuture<'static, Result<(Arc<dyn Channel>, Topology), String>> + Send>;

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

    /// The end at which a saga type is asked for, and from which its events go.
    pub fn messaging(
        &self,
        messaging: &Messaging,
        secrets: Vec<Secret>,
    ) -> Result<Arc<dyn Channel>, String> {
        let events = messaging.events.as_deref();
        let channel =
            self.later("requests and events", &messaging.transport, End::Service, events)?;
        Ok(Signing::over(channel, secrets))
    }

    fn channel(&self, service: &str, binding: &Binding) -> Result<Arc<dyn Channel>, String> {
        let Some(described) = &binding.transport else {
            return Err("the definition does not say how the service is reached".to_owned());
        };
        self.later(service, described, End::Engine, None)
    }

    fn later(
        &self,
        whose: &str,
        described: &Described,
        end: End,
        events: Option<&str>,
    ) -> Result<Arc<dyn Channel>, String> {
        let create = !self.options.brokers_as_they_are;
        let (broker, connect) = self.connecting(described, Connecting { end, events, create })?;
        let what = format!("{} for {whose}", broker.name);
        let runtime = tokio::runtime::Handle::current();
        Ok(Arc::new(Later::new(&what, broker.telling(connect), &runtime)))
    }

    fn connecting(
        &self,
        described: &Described,
        what: Connecting<'_>,
    ) -> Result<(Broker, Connect), String> {
        match described {
            #[cfg(feature = "kafka")]
            Described::Kafka { commands, replies } => {
                let addresses = KAFKA.at(self.options.kafka.as_deref())?;
                let settings = self.options.kafka_config.as_deref();
                Ok((KAFKA, kafka::connecting(addresses, settings, [commands, replies], what)?))
            }
            #[cfg(feature = "nats")]
            Described::Nats { stream, commands, replies } => {
                let url = NATS.at(self.options.nats.as_deref())?;
                Ok((NATS, nats::connecting(url, [stream, commands, replies], what)))
            }
            #[cfg(feature = "rabbitmq")]
            Described::RabbitMq { exchange, commands, replies } => {
                let url = RABBITMQ.at(self.options.rabbitmq.as_deref())?;
                Ok((RABBITMQ, rabbitmq::connecting(url, [exchange, commands, replies], what)))
            }
            left_out => Err(format!(
                "this amends was built without what reaches it ({left_out:?}); see its cargo \
                 features"
            )),
        }
    }
}

#[cfg(feature = "kafka")]
const KAFKA: Broker = Broker { name: "Kafka", option: "--kafka ADDRESS" };

#[cfg(feature = "nats")]
const NATS: Broker = Broker { name: "NATS", option: "--nats URL" };

#[cfg(feature = "rabbitmq")]
const RABBITMQ: Broker = Broker { name: "RabbitMQ", option: "--rabbitmq URL" };

impl Broker {
    /// Where it is, as the person said who started the server.
    fn at<'a>(&self, option: Option<&'a str>) -> Result<&'a str, String> {
        let Self { name, option: way } = self;
        option.ok_or_else(|| {
            format!("it is reached over {name}, and nothing says where that is: serve with {way}")
        })
    }

    /// Says what was made there, what others have to make, and what is too weak.
    fn telling(&self, connect: Connect) -> amends_transport::Connect {
        let name = self.name;
        Box::new(move || {
            let connecting = connect();
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
}
