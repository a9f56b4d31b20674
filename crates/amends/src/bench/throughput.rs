//! Sagas a second: callers side by side, every fact synced to disk, counted when the catalog holds
//! the last end.

use std::sync::Arc;

use amends_engine::Engine;
use amends_transport_http::{HttpService, Options};

use super::machine::Process;
use super::parts::{Listening, Running};
use super::report::Report;
use super::site::{self, Folder};
use super::work::service;
use super::{Arguments, Error, Part, load};

/// Participants that are functions of this process.
pub async fn in_process(arguments: &Arguments) -> Result<Report, Error> {
    let work = arguments.work();
    let folder = Folder::below(arguments.data.as_deref())?;
    let transport = Arc::new(site::participants(work));
    let window = arguments.concurrency as usize;
    let engine = site::engine(&folder, window, transport, work.definition()?).await?;
    let method = "In one process: the engine on its SQLite store with every sync on, the \
                  participants as Rust functions, the callers as tasks. Each caller starts a saga, \
                  waits for its end, and starts the next. Counted when the catalog holds all.";
    let report = Report::new("in-process", method);
    measure(arguments, &folder, engine, report, None).await
}

/// Participants that are another process, over HTTP.
pub async fn http(arguments: &Arguments) -> Result<Report, Error> {
    let work = arguments.work();
    let folder = Folder::below(arguments.data.as_deref())?;
    let started = Running::start(Part::Participants, arguments, None)?;
    let (participants, Listening { port }) = started.ready().await?;
    let runtime = tokio::runtime::Handle::current();
    let transport = Options::new(runtime)
        .build()
        .map_err(|error| Error::Lost(format!("the HTTP transport: {error}")))?;
    for step in 1..=work.steps {
        let name = service(step);
        let url = format!("http://127.0.0.1:{port}/{name}");
        let bound = transport.bind(&name, HttpService::at(url));
        bound.map_err(|error| Error::Lost(error.to_string()))?;
    }
    let window = arguments.concurrency as usize;
    let transport = Arc::new(transport);
    let engine = site::engine(&folder, window, transport, work.definition()?).await?;
    let method = "The engine, on its SQLite store with every sync on, and the callers in one \
                  process; the participants in another one, over HTTP on the loopback interface. \
                  Each caller starts a saga, waits for its end, and starts the next. Counted when \
                  the catalog holds all.";
    let report = Report::new("http", method);
    let theirs = Process::child(participants.pid());
    measure(arguments, &folder, engine, report, Some(theirs)).await
}

/// Puts the load on an engine, and writes down what it took.
pub(super) async fn measure(
    arguments: &Arguments,
    folder: &Folder,
    engine: Engine,
    mut report: Report,
    participants: Option<Process>,
) -> Result<Report, Error> {
    let handle = engine.handle();
    let own = Process::own();
    let theirs = || participants.as_ref().and_then(Process::cpu_micros);
    let (cpu, their_cpu, written) = (own.cpu_micros(), theirs(), own.written_bytes());
    let records = handle.position().0;
    let load =
        load::run(&handle, arguments.work(), arguments.concurrency as usize, arguments.until())
            .await?;
    let sagas = load.sagas() as f64;
    let between = |before: Option<u64>, after: Option<u64>| Some((after? - before?) as f64);
    report.figure("steps", f64::from(arguments.steps));
    report.figure("data_bytes", f64::from(arguments.data_bytes));
    report.figure("in_flight", f64::from(arguments.concurrency));
    report.figure("sagas", sagas);
    report.figure("sagas_failed", load.failed as f64);
    report.figure("starts_pushed_back", load.pushed_back as f64);
    report.seconds("seconds", load.took);
    report.figure("sagas_per_second", sagas / load.took.as_secs_f64());
    let round_trips = arguments.work().round_trips(load.completed, load.failed);
    report.figure("round_trips_per_second", round_trips as f64 / load.took.as_secs_f64());
    report.latencies(&load.latencies);
    let each = |total: Option<f64>| total.map(|total| total / sagas);
    report.known("cpu_us_per_saga", each(between(cpu, own.cpu_micros())));
    report.known("participants_cpu_us_per_saga", each(between(their_cpu, theirs())));
    report.known("written_bytes_per_saga", each(between(written, own.written_bytes())));
    report.known("stored_bytes_per_saga", each(folder.bytes().map(|bytes| bytes as f64)));
    report.figure("journal_syncs_per_saga", (handle.position().0 - records) as f64 / sagas);
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    report.known("memory_mib_peak", own.resident_bytes_peak().map(mib));
    engine.stop().await;
    Ok(report)
}
