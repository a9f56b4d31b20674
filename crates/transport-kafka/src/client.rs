//! What every client of the library has in common: how it comes in, what it last complained of, and
//! where it ends.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use amends_transport::UNSETTLED_MAX;
use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_conf_res_t;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::oneshot;

use crate::place::{ConnectError, Server};

/// The longest pause before a broker that is away is looked for again: whoever has started it does
/// not want to wait longer.
const RECONNECT_MS_MAX: u32 = 1_000;

impl Server {
    /// The settings of a client: theirs, and ours over them.
    pub(crate) fn config(&self, own: &[(&str, String)]) -> Result<ClientConfig, ConnectError> {
        if self.addresses.contains('@') {
            let why = "an address is host:port; who we are stands in the settings, as \
                       sasl.username and sasl.password";
            return Err(ConnectError::Login(why.to_owned()));
        }
        let mut config = ClientConfig::new();
        config.set("client.id", "amends");
        // The certificates of the system: the library that is built along knows none.
        if cfg!(feature = "encrypted") {
            config.set("ssl.ca.location", "probe");
        }
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.addresses)
            .set("reconnect.backoff.max.ms", RECONNECT_MS_MAX.to_string());
        for (name, value) in own {
            config.set(*name, value);
        }
        // What is complained of is heard also where nobody logs it.
        config.set_log_level(RDKafkaLogLevel::Info);
        Ok(config)
    }
}

/// What an end of messages takes into memory before it is asked for: what it may hold, each of the
/// size that is usual, a dozen times over.
pub(crate) const READ_AHEAD_KIB: usize = UNSETTLED_MAX * 64;

/// Why a client was not made. The library shows the value that it does not take, and that may be a
/// password.
pub(crate) fn not_made(error: &KafkaError) -> ConnectError {
    ConnectError::Login(match error {
        KafkaError::ClientConfig(rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("the client library has no setting {name}")
        }
        KafkaError::ClientConfig(_, _, name, _) if cfg!(feature = "encrypted") => {
            format!("{name} does not take the value that it was given")
        }
        KafkaError::ClientConfig(_, _, name, _) => format!(
            "{name} does not take the value that it was given; TLS and SCRAM need a build with \
             the feature `tls`"
        ),
        error => error.to_string(),
    })
}

/// Hears what the library complains of.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<Option<String>>);

impl Complaints {
    /// The last one.
    pub(crate) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An error, where it is a mere "timed out" with what was complained of meanwhile.
    pub(crate) fn explain(&self, error: &KafkaError) -> String {
        let says_little = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::MessageTimedOut
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::QueueFull
            )
        );
        match self.last() {
            Some(complaint) if says_little => format!("{error}: {complaint}"),
            _ => error.to_string(),
        }
    }

    fn hear(&self, complaint: &str) {
        // What stands before it is a thread's name.
        let complaint = complaint.split_once("]: ").map_or(complaint, |(_, said)| said);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(complaint.to_owned());
    }
}

impl ClientContext for Complaints {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.hear(message);
        }
        tracing::debug!("{facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down is known from one of them, which said why.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.hear(reason);
        }
        tracing::debug!("{error}: {reason}");
    }
}

impl ConsumerContext for Complaints {}

/// Does what blocks on a thread of its own, which nobody waits for where nobody wants to know any
/// more: a runtime that ends would wait for its own threads. `None` where there is no thread.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    let work = move || drop(done.send(work()));
    std::thread::Builder::new().name("kafka-ask".to_owned()).spawn(work).ok()?;
    result.await.ok()
}

/// A client that ends on a thread of its own: it says goodbye to the brokers, and blocks meanwhile.
pub(crate) struct OffThread<T: Send + 'static> {
    client: Option<T>,
    ended: Option<oneshot::Sender<()>>,
}

impl<T: Send + 'static> OffThread<T> {
    pub(crate) fn new(client: T) -> Self {
        Self { client: Some(client), ended: None }
    }

    /// Also tells when it has ended.
    pub(crate) fn told(client: T) -> (Self, oneshot::Receiver<()>) {
        let (ended, end) = oneshot::channel();
        (Self { client: Some(client), ended: Some(ended) }, end)
    }
}

impl<T: Send + 'static> Deref for OffThread<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.client.as_ref().expect("it is there until this is dropped")
    }
}

impl<T: Send + 'static> Drop for OffThread<T> {
    fn drop(&mut self) {
        let (client, ended) = (self.client.take(), self.ended.take());
        let end = move || {
            drop(client);
            if let Some(ended) = ended {
                let _ = ended.send(()); // perhaps nobody waits
            }
        };
        // Where there is no thread to be had it ends here.
        let _ = std::thread::Builder::new().name("kafka-end".to_owned()).spawn(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::producer::BaseProducer;

    fn refused(server: Server) -> String {
        let made = server.config(&[]).and_then(|config| {
            config.create::<BaseProducer>().map(drop).map_err(|error| not_made(&error))
        });
        made.unwrap_err().to_string()
    }

    #[test]
    fn a_setting_that_is_not_taken_is_named_and_its_value_is_not() {
        let why = refused(Server::new("h:1").with("no.such.thing", "s3cr3t"));
        assert!(why.contains("no setting no.such.thing") && !why.contains("s3cr3t"), "{why}");
        let why = refused(Server::new("h:1").with("security.protocol", "s3cr3t"));
        assert!(why.contains("security.protocol") && !why.contains("s3cr3t"), "{why}");
        let why = refused(Server::new("me:s3cr3t@h:1"));
        assert!(why.contains("sasl.username") && !why.contains("s3cr3t"), "{why}");
    }

    #[test]
    fn ours_stand_over_theirs() {
        let server = Server::new("h:1").with("acks", "0").with("client.id", "me");
        let config = server.config(&[("acks", "all".to_owned())]).unwrap();
        assert_eq!((config.get("acks"), config.get("client.id")), (Some("all"), Some("me")));
    }

    #[test]
    fn a_complaint_explains_what_says_little_alone() {
        let complaints = Complaints::default();
        let late = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        assert_eq!(complaints.explain(&late), late.to_string());
        complaints.hear("[thrd:h:1/bootstrap]: h:1/bootstrap: refused");
        assert_eq!(complaints.explain(&late), format!("{late}: h:1/bootstrap: refused"));
        let large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert_eq!(complaints.explain(&large), large.to_string());
    }
}
