//! Where SQS is, who we are there, and how long we wait for it.

use std::fmt;
use std::time::Duration;

use amends_transport::without_login;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};

use crate::place::ConnectError;

/// How long a message is hidden from others when an end has taken it, unless that end asks for as
/// long again, which it does three times meanwhile. So it is also how long a message waits whose end
/// has died.
const HELD_FOR: Duration = Duration::from_secs(30);

/// How long the service keeps a question for messages open when it has none: as long as it may. Each
/// question is paid for.
const ASKED_FOR: Duration = Duration::from_secs(20);

/// How long a connection may take.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer may take: less than a publisher waits for a confirmation
/// ([`CONFIRMED_WITHIN`](amends_transport::CONFIRMED_WITHIN)), so that it is told what happened.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// The region of whoever says an address and no region: what speaks SQS on a laptop has none.
const NO_REGION: &str = "us-east-1";

/// What the service has for this account, and who we are.
#[derive(Clone)]
pub struct Server {
    /// A region of Amazon's (`eu-central-1`), or an address: that of a VPC endpoint, or of what speaks
    /// SQS elsewhere (`http://127.0.0.1:9324`). With an address the region, which is signed along, is
    /// what `AWS_REGION` or the profile says.
    pub at: String,
    /// Who we are. Without it, whoever the surroundings say: the environment
    /// (`AWS_ACCESS_KEY_ID` …), the shared files with `AWS_PROFILE`, a web identity, the container's
    /// role, the machine's.
    pub login: Option<Login>,
    /// How long a message is hidden from others whose end says nothing; whole seconds.
    pub held_for: Duration,
    /// How long a question for messages is kept open; whole seconds, 20 at most.
    pub asked_for: Duration,
}

/// A key and its secret.
#[derive(Clone)]
pub struct Login {
    /// The access key's id.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

/// A secret is a secret.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("at", &without_login(&self.at))
            .field("login", &self.login)
            .field("held_for", &self.held_for)
            .field("asked_for", &self.asked_for)
            .finish()
    }
}

impl Server {
    /// In this region, or at this address, as whoever the surroundings say.
    pub fn new(at: impl Into<String>) -> Self {
        Self { at: at.into(), login: None, held_for: HELD_FOR, asked_for: ASKED_FOR }
    }

    /// As somebody in particular.
    #[must_use]
    pub fn with_login(mut self, key: &str, secret: &str) -> Self {
        self.login = Some(Login { key: key.to_owned(), secret: secret.to_owned() });
        self
    }

    /// A client. Nothing is asked of the service yet.
    pub(crate) async fn client(&self) -> Result<Client, ConnectError> {
        let address = self.checked()?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(encrypting())
            // Whoever publishes decides when it is tried again, and a circuit may be open by then.
            .retry_config(RetryConfig::disabled())
            .timeout_config(answered_within(ANSWERED_WITHIN))
            // An open question for messages stalls by design.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Ok(name) = AppName::new("amends") {
            loader = loader.app_name(name);
        }
        loader = match address {
            None => loader.region(Region::new(self.at.clone())),
            Some(_) => {
                // The machine's own region is not asked for: it takes seconds where there is none.
                let said = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                    .or_else(ProfileFileRegionProvider::new())
                    .or_else(Region::from_static(NO_REGION));
                loader.region(said)
            }
        };
        if let Some(Login { key, secret }) = &self.login {
            loader = loader.credentials_provider(Credentials::new(key, secret, None, None, "said"));
        }
        let surroundings = loader.load().await;
        let mut config = aws_sdk_sqs::config::Builder::from(&surroundings);
        if let Some(address) = address {
            config = config.endpoint_url(address);
            if address.starts_with("http://") {
                // Neither certificates nor ciphers are looked for.
                config = config.http_client(Builder::new().build_http());
            }
        }
        Ok(Client::from_conf(config.build()))
    }

    /// The address, where it is none of Amazon's regions.
    fn checked(&self) -> Result<Option<&str>, ConnectError> {
        let no = |why| Err(ConnectError::Server { at: without_login(&self.at), why });
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match self.at.split_once("://") {
            None if !self.at.is_empty() && self.at.chars().all(plain) => Ok(None),
            None => no("it is neither a region nor an address"),
            Some(("http" | "https", rest)) if rest.contains('@') => {
                no("an address has no login: it comes from the environment, or a profile")
            }
            Some(("http" | "https", rest)) if !rest.is_empty() => Ok(Some(&self.at)),
            Some(_) => no("an address begins with http:// or https://"),
        }
    }
}

/// With the certificates that the machine trusts.
fn encrypting() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// An answer, the whole of it and whatever leads to it.
pub(crate) fn answered_within(limit: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECTED_WITHIN)
        .operation_attempt_timeout(limit)
        .operation_timeout(limit)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let server = Server::new("http://me:s3cr3t@h:1").with_login("AKIAKEY", "s3cr3t");
        let error = server.checked().unwrap_err();
        let shown = format!("{server:?} {error} {error:?}");
        assert!(!shown.contains("s3cr3t") && shown.contains("AKIAKEY"), "{shown}");
        assert!(error.to_string().contains("http://h:1"), "{error}");
    }

    #[test]
    fn a_region_or_an_address_is_taken_and_nothing_else() {
        assert_eq!(Server::new("eu-central-1").checked().unwrap(), None);
        for address in
            ["http://127.0.0.1:9324", "https://vpce-1.sqs.eu-central-1.vpce.amazonaws.com"]
        {
            assert_eq!(Server::new(address).checked().unwrap(), Some(address));
        }
        for wrong in ["", "127.0.0.1:9324", "amqp://h", "https://", "Frankfurt"] {
            assert!(Server::new(wrong).checked().is_err(), "{wrong}");
        }
    }
}
