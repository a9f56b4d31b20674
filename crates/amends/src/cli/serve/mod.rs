//! `amends serve`: the engine on a data folder, behind the REST API, until it is told to stop.

pub(super) mod binder;
pub(super) mod brokers;
mod definitions;
pub(super) mod logs;
mod reply_key;
pub(super) mod stop;
mod summary;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_engine::Engine;
use amends_server::{NoSecrets, PORT_DEFAULT, Server, Tls, Tokens};
use amends_store::Store;
use amends_transport::Listener;
use clap::Args;
use tokio::sync::watch;

use super::Outcome;
use super::definition_file::AllowedEnv;
use super::exit::{Exit, Failure};
use crate::brokers::BrokerOptions;
use binder::Services;
use definitions::Files;
use logs::{LogFormat, Logs};
use stop::Signals;

/// How long answers of participants that are on their way are waited for when the server stops.
/// What is not answered by then counts as unknown and is asked again after the next start.
const ANSWERS_GRACE: Duration = Duration::from_secs(5);

/// Run sagas: the engine on a data folder, behind the REST API
///
/// Prints the address on stdout once it listens; everything else goes to stderr. Ends in order at
/// SIGINT or SIGTERM, at once at the second. Every option can also stand in amends.toml, under
/// [serve].
#[derive(Args, Debug)]
pub struct Serve {
    /// The data folder; made when it is not there, used by one server at a time
    #[arg(long, value_name = "DIR", default_value = "amends-data", env = "AMENDS_DATA")]
    pub data: PathBuf,
    /// Where to listen; with port 0 the system picks one
    #[arg(long, value_name = "ADDR", default_value = listen_default(), env = "AMENDS_LISTEN")]
    listen: SocketAddr,
    /// Definition files, or folders of them (*.yaml, *.yml, *.json)
    ///
    /// A type whose file is no longer there takes no new sagas; those that run go on. Without any,
    /// the types that were brought in over the API are served.
    #[arg(long, value_name = "PATH", value_delimiter = ',', env = "AMENDS_DEFINITIONS")]
    definitions: Vec<PathBuf>,
    /// Take in definition files when they change; a bad edit is reported and the old version stays
    #[arg(long, env = "AMENDS_WATCH")]
    watch: bool,
    /// The address under which participants reach this server, for answers that come later
    #[arg(long, value_name = "URL", env = "AMENDS_PUBLIC_URL")]
    public_url: Option<String>,
    /// Under which name this server hears what services say of the sagas that they run among themselves
    ///
    /// Servers of one name share what is said, so each installation at a broker needs its own.
    #[arg(long, value_name = "NAME", default_value = OBSERVER, env = "AMENDS_OBSERVER")]
    observer: String,
    /// Ask services to undo a saga that they run among themselves when a step of it was not heard in
    /// its time, and it may still be undone
    #[arg(long, env = "AMENDS_ACTIVE_RECOVERY")]
    active_recovery: bool,
    /// Who may call, as TOML: [[token]] name, token or sha256, role, services
    #[arg(long, value_name = "FILE", env = "AMENDS_TOKENS")]
    tokens: Option<PathBuf>,
    /// The certificate chain, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "AMENDS_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "AMENDS_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Listen on other than loopback without TLS, because it ends in front of this server
    #[arg(long, env = "AMENDS_INSECURE")]
    insecure: bool,
    /// What is logged: error, warn, info, debug (every transition), or directives such as
    /// amends_engine=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "AMENDS_LOG")]
    log: String,
    /// How it is logged: for people, or one JSON object a line
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "AMENDS_LOG_FORMAT")]
    log_format: LogFormat,
    /// End at once when stdin does: for a program that starts a server and must not outlive it
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
    #[command(flatten)]
    brokers: BrokerOptions,
    #[command(flatten)]
    env: AllowedEnv,
}

/// The observer's name, unless told otherwise.
const OBSERVER: &str = "amends";

/// Where a server listens unless told otherwise.
pub fn listen_default() -> String {
    format!("127.0.0.1:{PORT_DEFAULT}")
}

impl Serve {
    pub fn run(self) -> Outcome {
        if self.exit_with_stdin {
            stop::exit_with_stdin();
        }
        let logs = logs::start(&self.log, self.log_format)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Error, format!("no threads: {error}")))?;
        let outcome = runtime.block_on(self.serve(&logs));
        // What is left are exchanges whose grace is over.
        runtime.shutdown_background();
        outcome
    }

    async fn serve(self, logs: &Logs) -> Outcome {
        let began = Instant::now();
        let mut signals = Signals::new()?;
        let files = Files::new(self.definitions.clone(), self.env.clone());
        let checked = files.read(logs)?;
        let options = self.server_options()?;
        let observer = Listener::named(&self.observer)
            .map_err(|error| Failure::new(Exit::Usage, format!("--observer: {error}")))?;
        let listen = reserve(self.listen)?;
        let store = open(&self.data).await?;
        let key = reply_key::load(&self.data)?;

        let services = Services::new(self.brokers.clone(), observer)?;
        let engine_options = amends_engine::Options {
            public_url: self.public_url(listen),
            token_key: Some(key.clone()),
            active_recovery: self.active_recovery,
            ..amends_engine::Options::default()
        };
        let started = Engine::start(engine_options, store, Arc::clone(&services) as _).await;
        let mut engine = started.map_err(|error| Failure::new(Exit::Error, error))?;
        let handle = engine.handle();

        let options = amends_server::Options {
            listen,
            token_key: Some(key),
            secrets: Arc::clone(&services) as _,
            ..options
        };
        let ready = async {
            definitions::deploy(&handle, checked).await?;
            let bound = Server::bind(options, handle.clone()).await;
            bound.map_err(|error| Failure::new(Exit::Conflict, error))
        };
        let server = match ready.await {
            Ok(server) => server,
            Err(failure) => {
                engine.stop().await;
                return Err(failure);
            }
        };
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", server.local_addr());
        summary::print(logs, &self, &handle, &url, began.elapsed()).await;
        if self.watch {
            tokio::spawn(files.watch(handle, logs.clone()));
        }
        self.until_stopped(&mut engine, server, &mut signals, logs).await?;
        services.close(ANSWERS_GRACE).await;
        engine.stop().await;
        logs.say("stopped; everything is on disk");
        Ok(())
    }

    /// Serves until a signal comes or the engine breaks off.
    async fn until_stopped(
        &self,
        engine: &mut Engine,
        server: Server,
        signals: &mut Signals,
        logs: &Logs,
    ) -> Outcome {
        let (stop, stopped) = watch::channel(false);
        let mut stopping = stopped.clone();
        let serving = tokio::spawn(server.run(async move {
            let _ = stopping.wait_for(|stop| *stop).await; // or the sender is gone
        }));
        let broke = tokio::select! {
            error = engine.broken() => Some(error),
            name = signals.next() => {
                logs.say(&format!("{name}: stopping; again to stop at once"));
                signals.exit_at_the_next();
                None
            }
        };
        stop.send_replace(true);
        let _ = serving.await; // a panic in it was logged by its own task
        let Some(error) = broke else { return Ok(()) };
        Err(Failure::new(Exit::Broken, error).hint(format_args!(
            "look at the disk of {}, then start the server again",
            self.data.display()
        )))
    }

    fn server_options(&self) -> Result<amends_server::Options, Failure> {
        let tokens = match &self.tokens {
            Some(path) => {
                let read = Tokens::read(path);
                Some(read.map_err(|error| Failure::new(Exit::Usage, error))?)
            }
            None => None,
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(chain), Some(key)) => {
                let read = Tls::read(chain, key);
                Some(read.map_err(|error| Failure::new(Exit::Usage, error))?)
            }
            _ => None,
        };
        if !self.listen.ip().to_canonical().is_loopback() {
            let address = self.listen;
            if tokens.is_none() {
                let error = amends_server::Error::NeedsTokens { address };
                return Err(Failure::new(Exit::Usage, error).hint("--tokens tokens.toml"));
            }
            if tls.is_none() && !self.insecure {
                let error = amends_server::Error::NeedsTls { address };
                let next = "--tls-cert chain.pem --tls-key key.pem, or --insecure";
                return Err(Failure::new(Exit::Usage, error).hint(next));
            }
        }
        let (insecure, secrets) = (self.insecure, Arc::new(NoSecrets));
        Ok(amends_server::Options { tokens, tls, insecure, secrets, ..Default::default() })
    }

    /// Where participants answer to. An address such as 0.0.0.0 is none that could be called.
    fn public_url(&self, listen: SocketAddr) -> Option<String> {
        if let Some(said) = &self.public_url {
            return Some(said.trim_end_matches('/').to_owned());
        }
        let scheme = if self.tls_cert.is_some() { "https" } else { "http" };
        (!listen.ip().is_unspecified()).then(|| format!("{scheme}://{listen}"))
    }
}

/// Makes sure that the port is free before anything is opened, and picks one where none is said:
/// participants are told the address with the first command.
fn reserve(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    let bound = TcpListener::bind(listen).and_then(|listener| listener.local_addr());
    bound.map_err(|error| {
        let error = match error.kind() {
            std::io::ErrorKind::AddrInUse => amends_server::Error::PortTaken { address: listen },
            _ => amends_server::Error::Listen { address: listen, error },
        };
        Failure::new(Exit::Conflict, error)
    })
}

async fn open(data: &std::path::Path) -> Result<Store, Failure> {
    let folder = data.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        amends_store_sqlite::open(&folder, &amends_store_sqlite::Options::default())
    });
    match opened.await {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(error @ amends_store_sqlite::OpenError::Held { .. })) => {
            Err(Failure::new(Exit::Conflict, error))
        }
        Ok(Err(error)) => Err(Failure::new(Exit::Error, error)),
        Err(panic) => Err(Failure::new(Exit::Error, panic)),
    }
}
