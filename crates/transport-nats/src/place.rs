//! Where a service's messages are: a server, a stream, its subjects.

use std::path::PathBuf;
use std::time::Duration;

use amends_transport::{End, Kind};
use async_nats::ConnectOptions;

/// How long the server leaves a message with an end before it brings it to another, unless the end
/// says that it is still at work, which it does three times meanwhile. So it is also how long a
/// message waits whose end has died.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// A NATS server, or several of a cluster, and how we come in.
#[derive(Clone)]
pub struct Server {
    /// `nats://127.0.0.1:4222`, with commas between several; `tls://` to have it encrypted.
    pub url: String,
    /// Who we are, where that is not said in the address.
    pub login: Option<Login>,
    /// How long a message is left with an end that says nothing.
    pub ack_wait: Duration,
}

/// Who we are.
#[derive(Clone)]
pub enum Login {
    /// A file of credentials, as `nsc` makes it.
    Credentials(PathBuf),
    /// A token.
    Token(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Credentials(_) => "Credentials",
            Self::Token(_) => "Token",
        })
    }
}

/// Without whoever comes in by the address.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.shown())
            .field("login", &self.login)
            .field("ack_wait", &self.ack_wait)
            .finish()
    }
}

impl Server {
    /// At this address, as nobody in particular.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), login: None, ack_wait: ACK_WAIT }
    }

    /// The address without whoever comes in there.
    pub(crate) fn shown(&self) -> String {
        let one = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            (None, Some((_, host))) => host.to_owned(),
            (_, None) => url.to_owned(),
        };
        self.url.split(',').map(one).collect::<Vec<_>>().join(",")
    }

    pub(crate) async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = ConnectOptions::new().name("amends");
        Ok(match &self.login {
            None => options,
            Some(Login::Token(token)) => options.token(token.clone()),
            Some(Login::Credentials(path)) => {
                let opened = options.credentials_file(path).await;
                opened.map_err(|error| {
                    ConnectError::Login(format!("{} cannot be read: {error}", path.display()))
                })?
            }
        })
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.url.split(',').map(|url| url.trim().to_owned()).collect()
    }
}

/// Where the messages of a service are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The stream that holds the subjects of commands and replies.
    pub stream: String,
    /// The subject of its commands.
    pub commands: String,
    /// The subject of its replies.
    pub replies: String,
    /// What stands before the names of its events: `orders.events` makes
    /// `orders.events.InventoryReserved`. Without it the service publishes none.
    pub events: Option<String>,
}

impl Place {
    /// The subject that an end takes from.
    pub(crate) fn taken_by(&self, end: End) -> &str {
        match end {
            End::Engine => &self.replies,
            End::Service => &self.commands,
        }
    }

    /// Where an end puts aside what cannot be taken.
    pub fn dead_letters(&self, end: End) -> String {
        format!("{}.dead-letters", self.taken_by(end))
    }

    /// The name of the consumer that all copies of an end share.
    pub(crate) fn consumer(&self, end: End) -> String {
        let subject = self.taken_by(end);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        format!("amends-{}", subject.chars().map(plain).collect::<String>())
    }

    /// The subject of a message; `None` where the place has none for it.
    pub(crate) fn subject(&self, kind: Kind, name: &str) -> Option<String> {
        match kind {
            Kind::Command => Some(self.commands.clone()),
            Kind::Reply => Some(self.replies.clone()),
            Kind::Event => Some(format!("{}.{name}", self.events.as_ref()?)),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server is not there, or does not let us in.
    #[error("NATS at {url} cannot be reached: {why}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the client says.
        why: String,
    },
    /// What we would show to come in.
    #[error("the NATS login cannot be used: {0}")]
    Login(String),
    /// Something that has to be there is not, and was not to be made.
    #[error("NATS has no {what}: {way}")]
    Missing {
        /// What.
        what: String,
        /// What to do.
        way: String,
    },
    /// Something could not be looked at or made.
    #[error("{what} of NATS cannot be had: {why}")]
    Topology {
        /// What.
        what: String,
        /// What the server says.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("nats://me:s3cr3t@h:1,tls://t@i:2", "nats://h:1,tls://i:2"),
            ("me:s3@cr3t@h:1", "h:1"),
        ] {
            assert_eq!(Server::new(url).shown(), shown);
        }
    }

    #[test]
    fn a_consumer_has_a_name_that_the_server_takes() {
        let place = Place {
            stream: "S".to_owned(),
            commands: "shop.notify.commands".to_owned(),
            replies: "r".to_owned(),
            events: None,
        };
        assert_eq!(place.consumer(End::Service), "amends-shop-notify-commands");
        assert_eq!(place.dead_letters(End::Engine), "r.dead-letters");
    }
}
