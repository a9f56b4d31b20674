//! A server, and a connection to it.

use std::fmt;
use std::time::Duration;

use amends_transport::without_login;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ErrorKind};
use tokio::time::timeout;

use crate::place::ConnectError;

/// How often either side says that it is there. One that says nothing for twice as long is taken
/// for dead, so it is also how long a message waits whose end was cut off.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long one address may take to let us in: a machine that is off says nothing at all.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);

/// After a connection was lost; twice as long after each try that failed.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two tries: what waits for the server should not wait for us.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A RabbitMQ server, or several of a cluster, and how we come in.
#[derive(Clone)]
pub struct Server {
    /// `amqp://user:password@127.0.0.1:5672/vhost`, with commas between several; `amqps://` to have
    /// it encrypted. What is percent-encoded is taken apart, `%2f` being the virtual host `/`.
    pub url: String,
    /// How often either side says that it is there, in whole seconds.
    pub heartbeat: Duration,
}

impl Server {
    /// At this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), heartbeat: HEARTBEAT }
    }

    /// To the first address that lets us in.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        let mut why = String::new();
        for address in self.url.split(',').map(str::trim) {
            let properties = ConnectionProperties::default().with_connection_name("amends".into());
            let connecting = Connection::connect_uri(self.parsed(address)?, properties);
            match timeout(CONNECTED_WITHIN, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => why = words(&error),
                Err(_) => why = format!("it says nothing in {} s", CONNECTED_WITHIN.as_secs()),
            }
        }
        Err(ConnectError::Unreachable { url: without_login(&self.url), why })
    }

    fn parsed(&self, address: &str) -> Result<AMQPUri, ConnectError> {
        // What the parser says may quote the password.
        let mut uri: AMQPUri =
            address.parse().map_err(|_| ConnectError::Address(without_login(address)))?;
        // It takes an address in brackets for the local host.
        if let Some((host, _)) = address.split_once('[').and_then(|(_, h)| h.split_once(']')) {
            host.clone_into(&mut uri.authority.host);
        }
        let seconds = u16::try_from(self.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(seconds);
        Ok(uri)
    }
}

/// Without the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &without_login(&self.url))
            .field("heartbeat", &self.heartbeat)
            .finish()
    }
}

/// The pause after this one.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}

/// What the server says, or the client of it.
pub(crate) fn words(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_told_without_its_password() {
        for url in ["me:s3cr3t@h", "http://me:s3cr3t@h"] {
            let server = Server::new(url);
            let error = server.parsed(url).unwrap_err().to_string();
            assert!(error.contains("amqp://") && !error.contains("s3cr3t"), "{error}");
            assert!(!format!("{server:?}").contains("s3cr3t"), "{server:?}");
        }
    }

    #[test]
    fn an_address_in_brackets_is_no_other() {
        let server = Server::new("amqp://[::1]:5673/%2f");
        let uri = server.parsed(&server.url).unwrap();
        assert_eq!((&*uri.authority.host, uri.authority.port, &*uri.vhost), ("::1", 5673, "/"));
        assert_eq!(uri.query.heartbeat, Some(10));
    }
}
