//! A start with many sagas in flight: one process fills the folder and is killed, another one
//! recovers it, and it is measured how long it takes to its first sending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use amends_transport::{CommandView, Fail, InProcess, RawJson};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::parts::{self, Running};
use super::report::Report;
use super::site::{self, Folder};
use super::work::{RESULT, service};
use super::{Arguments, Error, Part, load};

/// How many sagas are in flight, unless it is said.
pub const SAGAS: u64 = 100_000;

/// How long the first sending is waited for.
const FIRST_SENDING_MAX: Duration = Duration::from_secs(120);

/// How often it is looked whether all sagas have got as far as they do.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the recovering process says.
#[derive(Deserialize, Serialize)]
struct Recovered {
    opened_ms: f64,
    started_ms: f64,
    first_sending_ms: f64,
    sagas_in_memory: u64,
    resident_bytes: u64,
}

/// Both, one after the other.
pub async fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let folder = Folder::below(arguments.data.as_deref())?;
    let fill = Running::start(Part::Fill, arguments, Some(folder.path()))?;
    let (fill, _) = fill.ready::<bool>().await?;
    fill.kill();
    let spawned = Instant::now();
    let recover = Running::start(Part::Recover, arguments, Some(folder.path()))?;
    let (recover, recovered) = recover.ready::<Recovered>().await?;
    let spawned = spawned.elapsed();
    drop(recover);
    let method = "One process starts the sagas; each has its first step done and its second sent, \
                  which nobody answers. The process is killed. Another one opens the folder: \
                  counted from its start until the store is open, the engine runs, and the first \
                  command is at its participant.";
    let mut report = Report::new("restart", method);
    report.figure("sagas_in_flight", arguments.sagas.unwrap_or(SAGAS) as f64);
    report.figure("store_open_ms", recovered.opened_ms);
    report.figure("engine_started_ms", recovered.started_ms);
    report.figure("first_sending_ms", recovered.first_sending_ms);
    report.figure("process_ms", spawned.as_secs_f64() * 1_000.0);
    report.figure("memory_mib", recovered.resident_bytes as f64 / (1024.0 * 1024.0));
    report.known("stored_bytes", folder.bytes().map(|bytes| bytes as f64));
    Ok(report)
}

/// Puts the sagas in flight, and waits to be killed.
pub async fn fill(arguments: &Arguments) -> Result<(), Error> {
    let sagas = arguments.sagas.unwrap_or(SAGAS);
    let folder = Folder::at(arguments.data.as_deref().unwrap_or(".".as_ref()));
    let hanging = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&hanging);
    let transport = functions(arguments, move |command| {
        let first = command.step_name() == "step-1";
        if !first {
            count.fetch_add(1, Ordering::Relaxed);
        }
        async move {
            match first {
                true => Ok(RawJson(Bytes::from_static(RESULT))),
                false => std::future::pending().await,
            }
        }
    });
    let window = usize::try_from(sagas).unwrap_or(usize::MAX);
    let compiled = arguments.work().definition()?;
    let engine = site::engine(&folder, window, Arc::new(transport), compiled).await?;
    load::start_all(&engine.handle(), sagas, arguments).await?;
    while hanging.load(Ordering::Relaxed) < sagas {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    parts::say(&true).await?;
    parts::until_the_end().await;
    Ok(())
}

/// Recovers them, and says how long it took.
pub async fn recover(arguments: &Arguments) -> Result<(), Error> {
    let began = Instant::now();
    let millis = || began.elapsed().as_secs_f64() * 1_000.0;
    let folder = Folder::at(arguments.data.as_deref().unwrap_or(".".as_ref()));
    let (sent, told) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let notify = Arc::clone(&sent);
    let transport = functions(arguments, move |_| {
        if !told.swap(true, Ordering::Relaxed) {
            notify.notify_one();
        }
        async { Ok(RawJson(Bytes::from_static(RESULT))) }
    });
    let store = site::open(&folder).await?;
    let opened_ms = millis();
    let compiled = arguments.work().definition()?;
    let options = amends_engine::Options::default();
    let engine = site::engine_on(store, options, Arc::new(transport), compiled).await?;
    let started_ms = millis();
    tokio::time::timeout(FIRST_SENDING_MAX, sent.notified())
        .await
        .map_err(|_| Error::Lost("no command was sent after the restart".to_owned()))?;
    let first_sending_ms = millis();
    let recovered = Recovered {
        opened_ms,
        started_ms,
        first_sending_ms,
        sagas_in_memory: engine.handle().health().sagas_in_memory,
        resident_bytes: super::machine::Process::own().resident_bytes().unwrap_or_default(),
    };
    parts::say(&recovered).await?;
    parts::until_the_end().await;
    Ok(())
}

/// Every command is carried out by this function.
fn functions<F, Acting>(arguments: &Arguments, act: F) -> InProcess
where
    F: Fn(CommandView) -> Acting + Clone + Send + Sync + 'static,
    Acting: Future<Output = Result<RawJson, Fail>> + Send + 'static,
{
    let mut transport = InProcess::new(tokio::runtime::Handle::current());
    for n in 1..=arguments.steps {
        transport = transport.handle(&format!("{}.Do", service(n)), act.clone());
        transport = transport.handle(&format!("{}.Undo", service(n)), act.clone());
    }
    transport
}
