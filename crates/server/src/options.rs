//! How a server is set up.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use amends_definition::Binding;
use amends_wire::TokenKey;
use amends_wire::signature::Secret;

use crate::tls::Tls;
use crate::tokens::Tokens;

/// Where the server listens unless told otherwise.
pub const PORT_DEFAULT: u16 = 7100;

/// How many connections are held at a time; more wait in the system's queue. Each takes a file and
/// some memory, and a common limit of files is 1024, of which stores and participants need some.
pub const CONNECTIONS_MAX: usize = 768;

/// How long requests may take to finish once the server stops: a sync and a few exchanges take far
/// less, and whoever stops it waits.
pub const DRAIN: Duration = Duration::from_secs(10);

/// How a server is set up. By default it listens on loopback, for whoever is at this machine.
pub struct Options {
    /// Where to listen. With port 0 the system picks one.
    pub listen: SocketAddr,
    /// Who may call. Without tokens the address must be loopback.
    pub tokens: Option<Tokens>,
    /// The certificate. Without one the address must be loopback, or `insecure`.
    pub tls: Option<Tls>,
    /// Other addresses are listened on without TLS: it ends in front of this server.
    pub insecure: bool,
    /// What the engine signs reply tokens with.
    pub token_key: Option<TokenKey>,
    /// What services sign their replies with.
    pub secrets: Arc<dyn Secrets>,
    /// How many connections are held at a time.
    pub connections_max: usize,
    /// How long requests may take to finish once the server stops.
    pub drain: Duration,
}

/// Finds the secrets that a service signs its replies with.
pub trait Secrets: Send + Sync + 'static {
    /// The secrets of a service as a definition describes it: none, one, or two while one is
    /// rotated.
    fn secrets(&self, service: &str, binding: &Binding) -> Vec<Secret>;
}

/// No service signs.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn secrets(&self, _service: &str, _binding: &Binding) -> Vec<Secret> {
        Vec::new()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, PORT_DEFAULT).into(),
            tokens: None,
            tls: None,
            insecure: false,
            token_key: None,
            secrets: Arc::new(NoSecrets),
            connections_max: CONNECTIONS_MAX,
            drain: DRAIN,
        }
    }
}

/// Nothing that is secret is shown.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("tokens", &self.tokens.is_some())
            .field("tls", &self.tls.is_some())
            .field("insecure", &self.insecure)
            .field("connections_max", &self.connections_max)
            .field("drain", &self.drain)
            .finish_non_exhaustive()
    }
}
