//! `amends sidecar`: a service in any language takes part in choreographies through plain HTTP to its own
//! process.

mod door;

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use amends_choreography::{Choreographed, Unfit};
use amends_definition::Messaging;
use amends_participant::{Choreographies, Participant, Reacting, Retention};
use amends_transport::{Channel, End, Later, Listener, Transport};
use amends_transport_http::{HttpService, HttpTransport, Options};
use clap::Args;
use sqlx::Sqlite;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::Outcome;
use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::input::duration;
use super::serve::binder::{http_service, secret_in};
use super::serve::brokers::telling;
use super::serve::logs::{self, LogFormat, Logs};
use super::serve::stop::Signals;
use super::{columns, shown};
use crate::brokers::{BrokerOptions, Found, heard};

/// Connections to its own database: one writes at a time, the others read.
const CONNECTIONS: u32 = 4;

/// How long a transaction waits for the one that writes.
const WRITE_WAIT: Duration = Duration::from_secs(5);

/// How many sagas are at work at once: as many commands as an engine leaves with a service.
const AT_ONCE: usize = 64;

/// How often what is old is forgotten: seldom, since it is written where sagas are.
const PRUNED_EVERY: Duration = Duration::from_secs(60 * 60);

/// How long answers that are on their way are waited for at a stop. What is not answered by then is asked
/// again.
const ANSWERS_GRACE: Duration = Duration::from_secs(5);

/// Take part in sagas without a coordinator, beside a service in any language
///
/// It listens to the events of the definition's sagas, asks the service for its own steps and undos by HTTP,
/// as a coordinator would, and publishes what became of them. What it knows is in its data folder: killed, it
/// goes on where it was. The service answers in the exchange, and does once what it is asked for twice (the
/// fence `barrier`: see docs/participant-rust.md or docs/participant-python.md, or keep answers by
/// Idempotency-Key).
///
/// The service starts sagas by POST /v1/sagas/<TYPE> at the sidecar's own address, cancels them by POST
/// /v1/sagas/<ID>/cancel, and looks at them by GET /v1/sagas/<ID>.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Sidecar {
    /// The service, as definitions name it
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Definition files with `pattern: choreography`; of one type several, while it is changed: the last is
    /// the one that new sagas go by
    #[arg(long, value_name = "FILE", required = true, value_delimiter = ',')]
    definition: Vec<PathBuf>,
    /// Where the service answers: commands are posted below it, as /ReserveItems
    #[arg(long, value_name = "URL")]
    handler: String,
    /// The data folder; made when it is not there, used by one sidecar at a time
    #[arg(long, value_name = "DIR", default_value = "amends-sidecar")]
    data: PathBuf,
    /// How long what is known of a saga that has ended is kept, and the key that it was started with; what
    /// has not ended is kept in any case. No event may come later: not less than the broker keeps them
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration)]
    keep: Duration,
    /// Who listens beside the services, as `amends serve --observer` is named: whoever speaks over SQS sends to
    /// each, and over RabbitMQ a queue is there before its reader
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    observer: Vec<String>,
    /// Where the service reaches the sidecar, on this machine alone; with port 0 the system picks one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7071")]
    listen: SocketAddr,
    /// What is logged: error, warn, info, debug, or directives such as amends_participant=debug
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "AMENDS_LOG")]
    log: String,
    /// How it is logged: for people, or one JSON object a line
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "AMENDS_LOG_FORMAT")]
    log_format: LogFormat,
    #[command(flatten)]
    brokers: BrokerOptions,
    #[command(flatten)]
    env: AllowedEnv,
}

const AFTER_HELP: &str = "For example:
  amends sidecar --service PaymentService --definition order.yaml \\
    --handler http://127.0.0.1:7102 --nats nats://127.0.0.1:4222
  curl -X POST http://127.0.0.1:7071/v1/sagas/OrderFulfillment \\
    -H 'Idempotency-Key: order-17' -d '{\"order_id\": \"17\", \"total\": 4200}'";

impl Sidecar {
    pub fn run(self) -> Outcome {
        let logs = logs::start(&self.log, self.log_format)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Error, format!("no threads: {error}")))?;
        let outcome = runtime.block_on(self.stand_by(&logs));
        runtime.shutdown_background();
        outcome
    }

    async fn stand_by(self, logs: &Logs) -> Outcome {
        let mut signals = Signals::new()?;
        let definitions = self.definitions()?;
        let listener = self.reserve()?;
        // Held until the process ends, and before anything is heard.
        let _lock = lock(&self.data)?;
        let (channel, secret) = self.channel(&definitions)?;
        let transport = self.transport(&definitions)?;
        let pool = open(&self.data).await?;
        let participant = Participant::builder(&self.service, pool).build();
        let reached = Arc::clone(&transport) as Arc<dyn Transport>;
        let service = participant.choreographies_elsewhere(definitions, reached);
        service.create_tables().await.map_err(|error| unusable(&self.data, &error))?;
        let mut reacting = Reacting::new(service.clone(), channel).at_once(AT_ONCE);
        if let Some(secret) = &secret {
            let told = reacting.secret(secret);
            reacting = told.map_err(|error| Failure::new(Exit::Usage, error))?;
        }
        let address = listener.local_addr().map_err(|error| Failure::new(Exit::Error, error))?;
        super::output::print(&format!("http://{address}\n"))?;
        let types: Vec<&str> = service.saga_types();
        logs.say(&format!(
            "{} takes part in {}; its steps are asked for at {}",
            self.service,
            types.join(", "),
            amends_transport::without_login(&self.handler)
        ));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stop| *stop).await; // or the sender is gone
        };
        let mut reacting = tokio::spawn(reacting.run(until(stopped.clone())));
        let pruning = tokio::spawn(prune(participant, service.clone(), self.keep));
        let mut serving = tokio::spawn(door::serve(listener, service, until(stopped)));
        let ended = tokio::select! {
            name = signals.next() => {
                logs.say(&format!("{name}: stopping; again to stop at once"));
                Ok(())
            }
            // Neither ends by itself: half a sidecar would look like a whole one.
            ended = &mut reacting => Err(("no event is heard any more", ended)),
            ended = &mut serving => Err(("its own address is served no more", ended)),
        };
        signals.exit_at_the_next();
        stop.send_replace(true);
        pruning.abort();
        if let Err((what, ended)) = ended {
            // Or it is the one that has ended: what it takes in last is not lost either way.
            if !reacting.is_finished() {
                let last = tokio::time::timeout(ANSWERS_GRACE, &mut reacting);
                let _ = tokio::join!(last, transport.close(ANSWERS_GRACE));
            }
            let why = ended.err().map_or_else(String::new, |error| format!(": {error}"));
            return Err(Failure::new(Exit::Error, format!("{what}{why}"))
                .hint("start it again: it goes on where it was; the log says what came before"));
        }
        let (_, _, ()) = tokio::join!(serving, reacting, transport.close(ANSWERS_GRACE));
        logs.say("stopped; everything is on disk");
        Ok(())
    }

    fn definitions(&self) -> Result<Vec<Choreographed>, Failure> {
        let mut definitions = Vec::new();
        for path in definition_file::found(&self.definition)? {
            let checked = definition_file::read(&path, &self.env)?;
            let Some(compiled) = checked.compiled.clone() else {
                let width = columns::width_of(&std::io::stderr());
                let found = amends_definition::render_within(&checked, shown::colour_err(), width);
                shown::say(found.trim_end());
                let what = format_args!("{} has errors", path.display());
                return Err(Failure::new(Exit::Error, what));
            };
            let of = Choreographed::new(compiled).map_err(|why| match why {
                why @ Unfit::Orchestrated(_) => {
                    Failure::new(Exit::Usage, format_args!("{}: {why}", path.display()))
                }
                why => Failure::new(Exit::Error, format_args!("{}: {why}", path.display())),
            })?;
            definitions.push(of);
        }
        let has_steps = |of: &Choreographed| of.services().contains(&&*self.service);
        if !definitions.iter().any(has_steps) {
            let mut known: Vec<_> = definitions.iter().flat_map(Choreographed::services).collect();
            known.sort_unstable();
            known.dedup();
            let what = format!("no definition has a step of {}", self.service);
            return Err(Failure::new(Exit::Usage, what)
                .hint(format_args!("the services with steps are {}", known.join(", "))));
        }
        Ok(definitions)
    }

    /// Where all definitions say that events go, and the secret with which they are signed.
    fn channel(
        &self,
        definitions: &[Choreographed],
    ) -> Result<(Arc<dyn Channel>, Option<String>), Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let listener = Listener::named(&self.service).map_err(|error| usage(error.to_string()))?;
        let mut place: Option<&Messaging> = None;
        for of in definitions {
            let messaging = of.compiled().messaging.as_deref();
            let Some(own) = messaging.filter(|messaging| messaging.events.is_some()) else {
                let what = format!("{} does not say where its events go", of.saga_type());
                return Err(usage(what).hint(
                    "messaging: { nats: { stream: ORDERS, events: orders.events } }, say, or kafka, \
                     rabbitmq or sqs",
                ));
            };
            if place.is_some_and(|other| !is_the_same_place(other, own)) {
                let what = "the definitions have their events at several places";
                return Err(usage(what.to_owned())
                    .hint("start a sidecar for each, with a data folder of its own"));
            }
            place = Some(own);
        }
        // The last one is there, since there is one definition at least, and it has a place.
        let (Some(messaging), Some(last)) = (place, definitions.last()) else {
            return Err(usage("no definition was named".to_owned()));
        };
        let observers: Result<Vec<Listener>, _> =
            self.observer.iter().map(|name| Listener::named(name)).collect();
        let observers = observers.map_err(|error| usage(format!("--observer: {error}")))?;
        let events = messaging.events.as_deref().map(|at| {
            let mut events = heard(at, last.compiled());
            events.listeners.extend(observers);
            events
        });
        let Found { broker, place } =
            self.brokers.place(&messaging.broker, None, events).map_err(usage)?;
        let secret = secret_in(messaging.secret_env.as_deref(), "`messaging`").map_err(usage)?;
        let create = !self.brokers.brokers_as_they_are;
        let connect = telling(broker, place, End::Listener(listener), create);
        let what = format!("{broker} for the events of {}", self.service);
        let runtime = tokio::runtime::Handle::current();
        let channel = Arc::new(Later::new(&what, connect, &runtime));
        Ok((channel, secret.map(|secret| secret.text().to_owned())))
    }

    /// What reaches the service.
    fn transport(&self, definitions: &[Choreographed]) -> Result<Arc<HttpTransport>, Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let built = Options::new(tokio::runtime::Handle::current()).build();
        let http = built.map_err(|error| Failure::new(Exit::Error, format!("TLS: {error}")))?;
        // As the newest definition describes it.
        let mut described = definitions.iter().rev();
        let binding = described.find_map(|of| of.compiled().bindings.get(&self.service)).cloned();
        let service = match binding {
            Some(binding) => {
                http_service(&self.service, &binding, self.handler.clone()).map_err(usage)?
            }
            None => HttpService::at(self.handler.clone()),
        };
        http.bind(&self.service, service).map_err(|error| usage(error.to_string()))?;
        Ok(Arc::new(http))
    }

    /// Its own door, before anything is taken.
    fn reserve(&self) -> Result<TcpListener, Failure> {
        if !self.listen.ip().to_canonical().is_loopback() {
            let what = format!("{} is no address of this machine alone", self.listen.ip());
            return Err(Failure::new(Exit::Usage, what).hint(
                "--listen 127.0.0.1:7071: a sidecar stands beside its service, and asks nobody who they are",
            ));
        }
        TcpListener::bind(self.listen).map_err(|error| {
            let what = format!("{} cannot be listened to: {error}", self.listen);
            Failure::new(Exit::Conflict, what).hint("--listen 127.0.0.1:0, or another port")
        })
    }
}

fn is_the_same_place(one: &Messaging, other: &Messaging) -> bool {
    (&one.broker, &one.events, &one.secret_env) == (&other.broker, &other.events, &other.secret_env)
}

/// Two sidecars on one folder would each ask for what the other is asking for.
fn lock(folder: &Path) -> Result<File, Failure> {
    let failed = |error: std::io::Error| unusable(folder, &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(lock);
    let file = file.map_err(failed)?;
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => {
            let what = format!("another sidecar uses {}", folder.display());
            Failure::new(Exit::Conflict, what).hint("--data with a folder of its own")
        }
        std::fs::TryLockError::Error(error) => failed(error),
    })?;
    Ok(file)
}

async fn open(folder: &Path) -> Result<sqlx::Pool<Sqlite>, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("sidecar.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What is acknowledged to the broker is on disk.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(WRITE_WAIT);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
    pool.map_err(|error| unusable(folder, &error))
}

fn unusable(folder: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Error, format!("{} cannot be used: {error}", folder.display()))
        .hint("--data with a folder on a local disk that may be written to")
}

/// Forgets now and then what is old, until it is aborted.
async fn prune(participant: Participant<Sqlite>, service: Beside, keep: Duration) {
    let retention = Retention::for_sagas_of_at_most(keep);
    let mut hourly = tokio::time::interval(PRUNED_EVERY);
    loop {
        hourly.tick().await;
        let pruned = async {
            let sagas = service.prune(retention).await?;
            participant.forget_received(retention.age()).await?;
            Ok::<u64, sqlx::Error>(sagas)
        };
        match pruned.await {
            Ok(0) => {}
            Ok(sagas) => tracing::info!(sagas, "forgot sagas that had ended long ago"),
            Err(error) => tracing::warn!("what is old is not forgotten: {error}"),
        }
    }
}

/// The sidecar's side of its service's sagas.
type Beside = Choreographies<Sqlite>;
