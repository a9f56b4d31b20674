//! Sagas that wait: how much memory the engine holds when a million of them wait for a signal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use amends_definition::Saga;
use amends_engine::Handle;
use amends_transport::InProcess;

use super::machine::Process;
use super::report::Report;
use super::site::{self, Folder};
use super::work::SAGA_TYPE;
use super::{Arguments, Error, load};

/// How many sagas are parked, unless it is said.
const SAGAS: u64 = 1_000_000;

/// How long they would wait.
const SIGNAL_WITHIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long it may take until none is in memory any more: they leave with the checkpoint that
/// holds them, and are counted every few seconds.
const PARKED_MAX: Duration = Duration::from_secs(120);

/// None must be counted for this long: two counts by the engine, of which the first may be from
/// before the last start.
const NONE_FOR: Duration = Duration::from_secs(11);

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Starts them, and waits until all are parked.
pub async fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let folder = Folder::below(arguments.data.as_deref())?;
    let sagas = arguments.sagas.unwrap_or(SAGAS);
    let compiled = Saga::named(SAGA_TYPE)
        .signal("approval", |signal| signal.or_refuse_after(SIGNAL_WITHIN))
        .build()?;
    let transport = Arc::new(InProcess::new(tokio::runtime::Handle::current()));
    let window = arguments.concurrency as usize;
    let engine = site::engine(&folder, window, transport, compiled).await?;
    let handle = engine.handle();
    let own = Process::own();
    let before = own.resident_bytes();
    let began = Instant::now();
    load::start_all(&handle, sagas, arguments).await?;
    load::caught_up(&handle).await?;
    let took = began.elapsed();
    tokio::time::timeout(PARKED_MAX, none_in_memory(&handle))
        .await
        .map_err(|_| Error::Lost(format!("sagas were still in memory after {PARKED_MAX:?}")))?;
    let method = "In one process, on the SQLite store with every sync on: sagas whose only step \
                  waits for a signal, each with its data. Memory is what the kernel holds for the \
                  process once the catalog has caught up and no saga is in memory.";
    let mut report = Report::new("parked", method);
    let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / (1024.0 * 1024.0));
    report.figure("sagas", sagas as f64);
    report.figure("data_bytes", f64::from(arguments.data_bytes));
    report.figure("starts_per_second", sagas as f64 / took.as_secs_f64());
    report.known("memory_mib_empty", mib(before));
    report.known("memory_mib_parked", mib(own.resident_bytes()));
    report.known("memory_mib_peak", mib(own.resident_bytes_peak()));
    report.known("stored_bytes_per_saga", folder.bytes().map(|b| b as f64 / sagas as f64));
    engine.stop().await;
    Ok(report)
}

async fn none_in_memory(handle: &Handle) {
    let mut since = Instant::now();
    while since.elapsed() < NONE_FOR {
        tokio::time::sleep(LOOK_EVERY).await;
        if handle.health().sagas_in_memory > 0 {
            since = Instant::now();
        }
    }
}
