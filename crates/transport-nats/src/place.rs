//! Where a service's messages are: a server, a stream, its subjects.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amends_transport::{End, Events, Kind, Queues, without_login};
use async_nats::{ConnectOptions, ServerAddr};

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
            .field("url", &without_login(&self.url))
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

    /// As whoever a file of credentials says. It is read again at each connection, so that another
    /// one may be put in its place.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no such file.
    pub fn with_credentials(self, path: &Path) -> Result<Self, ConnectError> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| unusable(path, &format!("cannot be read: {error}")))?;
        credentials(ConnectOptions::new(), path, &text)?;
        Ok(Self { login: Some(Login::Credentials(path.to_owned())), ..self })
    }

    pub(crate) async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = ConnectOptions::new().name("amends");
        Ok(match &self.login {
            None => self.by_address(options),
            Some(Login::Token(token)) => options.token(token.clone()),
            Some(Login::Credentials(path)) => {
                let text = tokio::fs::read_to_string(path).await;
                let text =
                    text.map_err(|error| unusable(path, &format!("cannot be read: {error}")))?;
                credentials(options, path, &text)?
            }
        })
    }

    /// As whoever an address says: the client itself does not look there.
    fn by_address(&self, options: ConnectOptions) -> ConnectOptions {
        let addresses = self.addresses();
        let mut parsed = addresses.iter().filter_map(|at| at.parse::<ServerAddr>().ok());
        let Some(known) = parsed.find(ServerAddr::has_user_pass) else { return options };
        match (known.username(), known.password()) {
            (Some(name), Some(password)) => {
                options.user_and_password(name.to_owned(), password.to_owned())
            }
            (Some(token), None) => options.token(token.to_owned()),
            (None, _) => options,
        }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        self.url.split(',').map(|url| url.trim().to_owned()).collect()
    }
}

/// What the client says of a file that it cannot use may quote it.
fn credentials(
    options: ConnectOptions,
    path: &Path,
    text: &str,
) -> Result<ConnectOptions, ConnectError> {
    let what = "is no file of credentials: it has the user's token (BEGIN NATS USER JWT) and its \
                seed (BEGIN USER NKEY SEED), as `nsc generate creds` writes them";
    options.credentials(text).map_err(|_| unusable(path, what))
}

fn unusable(path: &Path, what: &str) -> ConnectError {
    ConnectError::Login(format!("{} {what}", path.display()))
}

/// Where the messages of a service are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The stream that holds the subjects of commands and replies; events have one beside it.
    pub stream: String,
    /// The subjects of commands and replies. Without them no end takes either.
    pub queues: Option<Queues>,
    /// What stands before the names of its events: `orders.events` makes
    /// `orders.events.InventoryReserved`. Without it none is published, and nobody listens.
    pub events: Option<Events>,
}

impl Place {
    /// A stream, with the subjects of commands and replies.
    pub fn new(
        stream: impl Into<String>,
        commands: impl Into<String>,
        replies: impl Into<String>,
    ) -> Self {
        let queues = Some(Queues::new(commands, replies));
        Self { stream: stream.into(), queues, events: None }
    }

    /// A place of events alone; their stream is named after this one.
    pub fn events_only(stream: impl Into<String>, events: impl Into<Events>) -> Self {
        Self { stream: stream.into(), queues: None, events: Some(events.into()) }
    }

    /// With events that are published below this subject.
    #[must_use]
    pub fn with_events(self, events: impl Into<Events>) -> Self {
        Self { events: Some(events.into()), ..self }
    }

    /// What an end takes.
    pub(crate) fn taken_by(&self, end: &End) -> Option<Taken> {
        let taken = |subject: &str, whose: &str, dead_letters| Taken {
            subject: subject.to_owned(),
            consumer: consumer(whose),
            dead_letters,
        };
        if let End::Listener(listener) = end {
            let at = &self.events.as_ref()?.at;
            // Not below the events: whoever listens would hear of it as of one.
            let aside = format!("{}.{listener}", dead_events(at));
            return Some(taken(&every_event(at), &format!("{at}.{listener}"), aside));
        }
        let subject = self.queues.as_ref()?.taken_by(end)?;
        Some(taken(subject, subject, dead_letters(subject)))
    }

    /// Where an end puts aside what cannot be taken.
    pub fn dead_letters(&self, end: &End) -> Option<String> {
        Some(self.taken_by(end)?.dead_letters)
    }

    /// The subject of a message; `None` where the place has none for it.
    pub(crate) fn subject(&self, kind: Kind, name: &str) -> Option<String> {
        match kind {
            Kind::Command => Some(self.queues.as_ref()?.commands.clone()),
            Kind::Reply => Some(self.queues.as_ref()?.replies.clone()),
            Kind::Event => Some(format!("{}.{name}", self.events.as_ref()?.at)),
        }
    }
}

/// What an end takes.
pub(crate) struct Taken {
    pub(crate) subject: String,
    /// The name of the consumer that all copies of the end share.
    pub(crate) consumer: String,
    /// Where is put aside what it cannot take.
    pub(crate) dead_letters: String,
}

/// All events that are published below a subject.
pub(crate) fn every_event(at: &str) -> String {
    format!("{at}.>")
}

/// What stands before the names of those who listen in a subject of what they put aside.
pub(crate) fn dead_events(at: &str) -> String {
    format!("{at}-dead-letters")
}

/// Where is put aside what cannot be taken from a subject.
pub(crate) fn dead_letters(subject: &str) -> String {
    format!("{subject}.dead-letters")
}

/// A name for a consumer that the server takes.
fn consumer(subject: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    format!("amends-{}", subject.chars().map(plain).collect::<String>())
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
    use amends_transport::Listener;

    #[test]
    fn a_consumer_has_a_name_that_the_server_takes() {
        let place = Place::new("S", "shop.notify.commands", "r").with_events("shop.events");
        let listener = End::Listener(Listener::named("PayService").unwrap());
        for (end, subject, consumer, dead_letters) in [
            (End::Engine, "r", "amends-r", "r.dead-letters"),
            (
                End::Service,
                "shop.notify.commands",
                "amends-shop-notify-commands",
                "shop.notify.commands.dead-letters",
            ),
            (
                listener,
                "shop.events.>",
                "amends-shop-events-PayService",
                "shop.events-dead-letters.PayService",
            ),
        ] {
            let taken = place.taken_by(&end).unwrap();
            assert_eq!((&*taken.subject, &*taken.consumer), (subject, consumer));
            assert_eq!(taken.dead_letters, dead_letters);
        }
    }
}
