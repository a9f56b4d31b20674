//! Where services and saga types are reached: by HTTP, or at a broker.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use amends_definition::{Compiled, Messaging, Transport};
use amends_transport::{End, Topology};
use http::Uri;

use super::Verdict::{self, Bad, Doubtful, Good};
use super::{Doctor, Report};
use crate::brokers::{BrokerOptions, Found, heard};
use crate::cli::Outcome;

/// How long a service has to take a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long a broker has to say what it has: some look for a queue that is not up yet.
const EXAMINE_MAX: Duration = Duration::from_secs(30);

impl Doctor {
    /// Looks at every service of a definition, and at where the saga type itself is reached.
    pub(super) async fn reached(&self, compiled: &Compiled, report: &mut Report) -> Outcome {
        for (name, binding) in &compiled.bindings.0 {
            match &binding.transport {
                Some(Transport::Http { url: Some(url) }) => {
                    let (verdict, text) = reach(url);
                    report.say(verdict, "service", &format!("{name}: {text}"))?;
                }
                Some(Transport::Http { url: None }) => {
                    let text = "its url needs an environment variable that is not set";
                    report.say(Bad, "service", &format!("{name}: {text}"))?;
                }
                Some(Transport::Broker(broker, queues)) => {
                    let place = self.brokers.place(broker, Some(queues), None);
                    self.at_broker(name, place, End::Engine, report).await?;
                }
                None => {
                    let text = format!("{name}: it is not said how it is reached");
                    report.say(Bad, "service", &text)?;
                }
            }
            if let Some(variable) = &binding.secret_env {
                secret(name, variable, report)?;
            }
        }
        if let Some(messaging) = &compiled.messaging {
            let saga_type = compiled.definition.saga_type();
            let Messaging { broker, queues, events, .. } = &**messaging;
            let what = if queues.is_some() { "by message" } else { "events" };
            let name = format!("{saga_type} {what}");
            let events = events.as_deref().map(|at| heard(at, compiled));
            let place = self.brokers.place(broker, queues.as_ref(), events);
            self.at_broker(&name, place, End::Service, report).await?;
            if let Some(variable) = &messaging.secret_env {
                secret(&name, variable, report)?;
            }
        }
        Ok(())
    }

    /// What a broker has of a place; with `--create` what is missing of our end is made first.
    async fn at_broker(
        &self,
        name: &str,
        found: Result<Found, String>,
        end: End,
        report: &mut Report,
    ) -> Outcome {
        let Found { broker, place } = match found {
            Ok(found) => found,
            Err(why) => return report.say(Bad, "service", &format!("{name}: {why}")),
        };
        let looked = async {
            let mut created = Vec::new();
            if self.create {
                let (channel, topology) = place.connect(end, true).await?;
                channel.close().await;
                created = topology.created;
            }
            Ok(Topology { created, ..place.examine().await? })
        };
        let looked = tokio::time::timeout(EXAMINE_MAX, looked).await;
        let late = || Err(format!("{broker} says nothing for {} s", EXAMINE_MAX.as_secs()));
        match looked.unwrap_or_else(|_| late()) {
            Ok(topology) => self.tell(name, broker, &topology, report),
            Err(why) => report.say(Bad, "service", &format!("{name}: {why}")),
        }
    }

    fn tell(&self, name: &str, broker: &str, found: &Topology, report: &mut Report) -> Outcome {
        let is_new = |what: &&String| !found.created.contains(what);
        let there: Vec<&str> = found.there.iter().filter(is_new).map(String::as_str).collect();
        if there.is_empty() && found.created.is_empty() {
            report.say(Good, "service", &format!("{name}: {broker} takes connections"))?;
        }
        if !there.is_empty() {
            let text = format!("{name}: {broker} has {}", there.join(", "));
            report.say(Good, "service", &text)?;
        }
        for created in &found.created {
            report.say(Good, "service", &format!("{name}: made at {broker}: {created}"))?;
        }
        let (verdict, way) = missing(&self.brokers);
        for missing in &found.missing {
            let text = format!("{name}: missing at {broker}: {missing}; {way}");
            report.say(verdict, "service", &text)?;
        }
        for weak in &found.weak {
            let text = format!("{name}: {broker} promises less than a saga needs: {weak}");
            report.say(Doubtful, "service", &text)?;
        }
        Ok(())
    }
}

/// What to say of something that is missing at a broker.
fn missing(brokers: &BrokerOptions) -> (Verdict, &'static str) {
    if brokers.brokers_as_they_are {
        (Bad, "a server may not make it (--brokers-as-they-are): have it made")
    } else {
        (Doubtful, "the end that needs it makes it when it connects, where it may")
    }
}

fn secret(name: &str, variable: &str, report: &mut Report) -> Outcome {
    if std::env::var_os(variable).is_none() {
        report.say(Bad, "secret", &format!("{name}: {variable} is not set"))?;
    }
    Ok(())
}

/// Does anything take connections at this address?
fn reach(url: &str) -> (Verdict, String) {
    let uri: Option<Uri> = url.parse().ok();
    let Some((host, port)) = uri.as_ref().and_then(|uri| {
        let port = uri.port_u16().or(match uri.scheme_str()? {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        })?;
        Some((uri.host()?.trim_matches(['[', ']']).to_owned(), port))
    }) else {
        return (Bad, "its url cannot be read".to_owned());
    };
    let addresses = match (host.as_str(), port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return (Bad, format!("{host} is not found: {error}")),
    };
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(_) => return (Good, format!("{host}:{port} takes connections")),
            Err(error) => why = format!("{host}:{port} takes no connection: {error}"),
        }
    }
    (Bad, why)
}
