//! The brokers: where they are, and the places there that services and saga types have.

#![cfg_attr(
    not(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "sqs")),
    allow(dead_code, unused_variables, reason = "a build that reaches no broker")
)]

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "sqs")]
mod sqs;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use amends_definition::{Broker as Described, Compiled, Pattern, Queues};
use amends_transport::{Bare, Channel, End, Events, Listener, Topology};
use clap::Args;
use futures_util::future::BoxFuture;

/// A place and the server that has it, as `At`: the crates of all brokers have the same face.
#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "sqs"))]
macro_rules! place_at {
    ($broker:ident) => {
        /// A place, and the server that has it.
        pub(super) struct At {
            server: $broker::Server,
            place: $broker::Place,
        }

        impl super::Place for At {
            fn connect(&self, end: super::End, create: bool) -> super::Connected {
                let (server, place) = (self.server.clone(), self.place.clone());
                Box::pin(async move {
                    let connected = $broker::connect(&server, place, end, create).await;
                    let (channel, topology) = connected.map_err(|error| error.to_string())?;
                    Ok((std::sync::Arc::new(channel) as _, topology))
                })
            }

            fn examine(&self) -> super::BoxFuture<'static, Result<super::Topology, String>> {
                let (server, place) = (self.server.clone(), self.place.clone());
                Box::pin(async move {
                    $broker::examine(&server, &place).await.map_err(|error| error.to_string())
                })
            }

            fn bare(
                &self,
                end: super::End,
            ) -> super::BoxFuture<'static, Result<std::sync::Arc<dyn super::Bare>, String>> {
                let (server, place) = (self.server.clone(), self.place.clone());
                Box::pin(async move {
                    let bare = $broker::bare(&server, &place, end).await;
                    Ok(std::sync::Arc::new(bare.map_err(|error| error.to_string())?) as _)
                })
            }
        }
    };
}

#[cfg(any(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "sqs"))]
use place_at;

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
    /// Who we are there, where the address does not say it: a file of credentials, as `nsc` makes it
    #[arg(long, value_name = "FILE", env = "AMENDS_NATS_CREDENTIALS")]
    nats_credentials: Option<PathBuf>,
    /// The RabbitMQ server, for services that are described with `rabbitmq`:
    /// amqp://user:password@host:5672/vhost, or amqps://; with commas between several of a cluster
    #[arg(long, value_name = "URL", env = "AMENDS_RABBITMQ", hide_env_values = true)]
    rabbitmq: Option<String>,
    /// Where Amazon SQS is, for services that are described with `sqs`: a region, as eu-central-1, or
    /// an address, as http://127.0.0.1:9324. Who we are stands where all of Amazon's tools look:
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the role of the machine or container
    #[arg(long, value_name = "REGION|URL", env = "AMENDS_SQS", hide_env_values = true)]
    sqs: Option<String>,
    /// Make no stream, topic, queue or consumer that is missing at a broker; say which it is, and wait
    #[arg(long, env = "AMENDS_BROKERS_AS_THEY_ARE")]
    pub brokers_as_they_are: bool,
}

/// An end, and what was found where it was connected.
pub type Connected = BoxFuture<'static, Result<(Arc<dyn Channel>, Topology), String>>;

/// A place at a broker: what is there, and the ends that can be connected to it.
pub trait Place: Send + Sync {
    /// Connects an end, and says what was found; what is missing is made with `create`.
    fn connect(&self, end: End, create: bool) -> Connected;

    /// Looks at what is there for every end that is known, and makes nothing.
    fn examine(&self) -> BoxFuture<'static, Result<Topology, String>>;

    /// The broker's own client by itself, for a benchmark; what is missing is made.
    fn bare(&self, end: End) -> BoxFuture<'static, Result<Arc<dyn Bare>, String>>;
}

/// A place, and at which broker it is.
pub struct Found {
    /// The broker's name.
    pub broker: &'static str,
    /// The place.
    pub place: Arc<dyn Place>,
}

impl BrokerOptions {
    /// What says the same to another process of this program.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        let config = self.kafka_config.as_deref().map(Path::as_os_str);
        let credentials = self.nats_credentials.as_deref().map(Path::as_os_str);
        let said = [
            ("AMENDS_KAFKA", self.kafka.as_deref().map(OsStr::new)),
            ("AMENDS_KAFKA_CONFIG", config),
            ("AMENDS_NATS", self.nats.as_deref().map(OsStr::new)),
            ("AMENDS_NATS_CREDENTIALS", credentials),
            ("AMENDS_RABBITMQ", self.rabbitmq.as_deref().map(OsStr::new)),
            ("AMENDS_SQS", self.sqs.as_deref().map(OsStr::new)),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// A place: its queues, where something is taken there, and where its events go.
    pub fn place(
        &self,
        broker: &Described,
        queues: Option<&Queues>,
        events: Option<Events>,
    ) -> Result<Found, String> {
        let queues =
            queues.map(|said| amends_transport::Queues::new(&said.commands, &said.replies));
        match broker {
            #[cfg(feature = "kafka")]
            Described::Kafka => {
                let addresses = said("Kafka", "--kafka ADDRESS", self.kafka.as_deref())?;
                let settings = self.kafka_config.as_deref();
                let place = kafka::place(addresses, settings, queues, events)?;
                Ok(Found { broker: "Kafka", place: Arc::new(place) })
            }
            #[cfg(feature = "nats")]
            Described::Nats { stream } => {
                let url = said("NATS", "--nats URL", self.nats.as_deref())?;
                let credentials = self.nats_credentials.as_deref();
                let place = nats::place(url, credentials, stream, queues, events)?;
                Ok(Found { broker: "NATS", place: Arc::new(place) })
            }
            #[cfg(feature = "rabbitmq")]
            Described::RabbitMq { exchange } => {
                let url = said("RabbitMQ", "--rabbitmq URL", self.rabbitmq.as_deref())?;
                let place = rabbitmq::place(url, exchange, queues, events);
                Ok(Found { broker: "RabbitMQ", place: Arc::new(place) })
            }
            #[cfg(feature = "sqs")]
            Described::Sqs => {
                let at = said("SQS", "--sqs REGION|URL", self.sqs.as_deref())?;
                let place = sqs::place(at, queues, events);
                Ok(Found { broker: "SQS", place: Arc::new(place) })
            }
            #[allow(unreachable_patterns, reason = "a build that leaves none out")]
            left_out => Err(format!(
                "this amends was built without what reaches `{}`; see its cargo features",
                left_out.key()
            )),
        }
    }
}

/// The events of a saga type, and who is known to listen to them: each service of a choreography.
pub fn heard(at: &str, compiled: &Compiled) -> Events {
    let steps = compiled.definition.steps().iter();
    let services: BTreeSet<&str> = match compiled.pattern {
        Pattern::Choreography => {
            steps.filter_map(|step| step.action()).map(|action| &*action.service).collect()
        }
        Pattern::Orchestration => BTreeSet::new(),
    };
    // A service's name that no broker can say is told when it connects.
    let listeners = services.into_iter().filter_map(|name| Listener::named(name).ok());
    Events::at(at).heard_by(listeners)
}

/// Where a broker is, as the person said who started this.
fn said<'a>(broker: &str, way: &str, option: Option<&'a str>) -> Result<&'a str, String> {
    option.ok_or_else(|| {
        format!("it is reached over {broker}, and nothing says where that is: say {way}")
    })
}
