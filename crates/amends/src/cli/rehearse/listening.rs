//! Where a rehearsal hears the answers that come later. Only this machine reaches it, unless more is
//! said.

use std::net::SocketAddr;
use std::path::PathBuf;

use amends_server::{ReplyDoor, Tls};
use clap::Args;
use http::Uri;

use super::super::exit::{Exit, Failure};
use crate::rehearse::Callbacks;

/// As many as the signature of a token has.
const SECRET_BYTES: usize = 32;

/// Where callbacks are taken.
#[derive(Args, Debug)]
pub struct Listening {
    /// Where to listen for answers that come later (202, then a callback); with port 0 the system
    /// picks one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The address under which services reach that, where it is another one: from a container, or
    /// another host [default: the address of --listen]
    #[arg(long, value_name = "URL")]
    reply_url: Option<String>,
    /// The certificate chain to listen with, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen on other than loopback without TLS, because it ends in front of this machine, or the
    /// network is a test system's
    #[arg(long)]
    insecure: bool,
}

impl Listening {
    /// Listens from now on.
    pub async fn open(&self) -> Result<Callbacks, Failure> {
        let said = self.reply_url.as_deref().map(|url| self.reachable(url)).transpose()?;
        if said.is_none() && self.listen.ip().is_unspecified() {
            let what = format!("{} is no address that services could answer to", self.listen);
            return Err(Failure::new(Exit::Usage, what).hint(
                "--reply-url http://HOST:PORT, as the services see this machine: \
                 http://host.docker.internal:PORT from a container, say",
            ));
        }
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => {
                let read = Tls::read(chain, key);
                Some(read.map_err(|error| Failure::new(Exit::Usage, error))?)
            }
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let door = ReplyDoor::bind(self.listen, tls, self.insecure).await;
        let door = door.map_err(|error| match error {
            amends_server::Error::NeedsTls { .. } => Failure::new(Exit::Usage, error)
                .hint("--tls-cert chain.pem --tls-key key.pem, or --insecure"),
            _ => Failure::new(Exit::Usage, error),
        })?;
        let url = said.unwrap_or_else(|| format!("{scheme}://{}", door.local_addr()));
        let mut secret = [0; SECRET_BYTES];
        let random = getrandom::fill(&mut secret);
        random.map_err(|error| Failure::new(Exit::Error, format!("no randomness: {error}")))?;
        Callbacks::through(door, &url, &secret).map_err(|error| Failure::new(Exit::Error, error))
    }

    /// Is it an address that leads here?
    fn reachable(&self, url: &str) -> Result<String, Failure> {
        let uri: Option<Uri> = url.parse().ok();
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        let is_address = matches!(scheme, Some("http" | "https"))
            && uri.as_ref().is_some_and(|uri| uri.host().is_some() && uri.query().is_none());
        if !is_address {
            // No part of it is shown: it may be a secret in the wrong place.
            let what = "--reply-url is no http:// or https:// URL without a query";
            return Err(Failure::new(Exit::Usage, what));
        }
        if self.listen.port() == 0 {
            let what = "--reply-url leads to a port that is not said: the system would pick one";
            return Err(Failure::new(Exit::Usage, what)
                .hint("--listen 127.0.0.1:PORT, or --listen 0.0.0.0:PORT --insecure"));
        }
        Ok(url.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        listening: Listening,
    }

    async fn opened(args: &[&str]) -> Result<(), String> {
        let line = Line::try_parse_from([&["amends"], args].concat()).expect("it is well-formed");
        line.listening.open().await.map(|_| ()).map_err(|failure| failure.what().to_owned())
    }

    #[tokio::test]
    async fn only_this_machine_is_listened_to_unless_more_is_said() {
        assert_eq!(opened(&[]).await, Ok(()));
        let far = ["--listen", "0.0.0.0:0"];
        let error = opened(&far).await.expect_err("nobody can answer there");
        assert!(error.contains("no address that services could answer to"), "{error}");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let far = format!("0.0.0.0:{port}");
        let far = ["--listen", &far, "--reply-url", "http://host.docker.internal:7200/"];
        let error = opened(&far).await.expect_err("in clear");
        assert!(error.contains("can be reached from other machines"), "{error}");
        assert_eq!(opened(&[&far[..], &["--insecure"]].concat()).await, Ok(()));
    }

    #[tokio::test]
    async fn an_address_that_leads_nowhere_is_refused() {
        for url in ["host:7200", "ftp://host:1", "http://host/?token=hunter2", "/replies"] {
            let error = opened(&["--listen", "127.0.0.1:7", "--reply-url", url]).await;
            let error = error.expect_err(url);
            assert!(error.contains("--reply-url is no http://"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = opened(&["--reply-url", "http://host"]).await.expect_err("which port?");
        assert!(error.contains("a port that is not said"), "{error}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_said() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = opened(&["--listen", &address]).await.expect_err("it is taken");
        assert!(error.contains("is taken: another program"), "{error}");
    }
}
