//! The services, each a process of its own on the participant kit, with the guard and the business in
//! one database, behind the broker of its step.

mod counted;
mod hired;
pub mod ledger;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use amends_participant::Serving;
use amends_transport::End;
use tokio::signal::unix::{SignalKind, signal};

use crate::broker::Broker;
use crate::order::{STEPS, Step};
use crate::way;
use counted::Counted;
pub use counted::{Deliveries, deliveries_are_counted};
pub use hired::Hired;

/// The first argument by which this program is a service.
pub const ARGUMENT: &str = "service";

/// Between two tries to reach a broker that is away.
const CONNECTS_EVERY: Duration = Duration::from_millis(200);

/// One of them.
pub struct Service {
    pub hired: Hired,
    pub broker: &'static dyn Broker,
    pub url: String,
}

impl Service {
    /// Starts the service of this step.
    pub fn start(
        place: usize,
        broker: &'static dyn Broker,
        url: String,
        folder: &Path,
    ) -> Result<Self, String> {
        let (step, shown) = (&STEPS[place], folder.display().to_string());
        let arguments = [ARGUMENT, step.short, broker.name(), &url, &shown].map(str::to_owned);
        let hired = Hired::start(step, arguments.to_vec(), folder.to_owned())?;
        Ok(Self { hired, broker, url })
    }

    /// What was brought to it, also before it was killed.
    pub fn deliveries(&self) -> Result<Deliveries, String> {
        Deliveries::read(&deliveries(&self.hired.folder, self.hired.step))
    }
}

/// How much was brought to all of them, in bytes of what they note of it.
pub fn deliveries_bytes(folder: &Path) -> u64 {
    let bytes = |step| std::fs::metadata(deliveries(folder, step)).map_or(0, |file| file.len());
    STEPS.iter().map(bytes).sum()
}

/// Where a service has all it knows.
pub fn database(folder: &Path, step: &Step) -> PathBuf {
    folder.join(format!("{}.db", step.short))
}

fn deliveries(folder: &Path, step: &Step) -> PathBuf {
    folder.join(format!("{}.deliveries", step.short))
}

/// What a service does that this program runs as.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    as_a_process(arguments, async |arguments| serve(&arguments).await)
}

/// Runs it in this process, which ends with the one that started it.
pub fn as_a_process(
    arguments: impl Iterator<Item = OsString>,
    serve: impl AsyncFnOnce(Vec<String>) -> Result<(), String>,
) -> ExitCode {
    std::thread::spawn(|| {
        // It ends with the one that started it. An error ends it as well.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(1);
    });
    let arguments: Vec<String> =
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let warnings = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN);
    warnings.with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Runtime::new().expect("the runtime starts");
    match runtime.block_on(serve(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &[String]) -> Result<(), String> {
    let [short, over, url, folder] = arguments else {
        return Err(format!("a service is its name, its broker, a URL, a folder: {arguments:?}"));
    };
    let place = STEPS.iter().position(|step| step.short == short).ok_or("no such service")?;
    let broker = way::named(over).ok_or("no such broker")?;
    let folder = Path::new(folder);
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let participant = ledger::participant(place, &database(folder, &STEPS[place])).await;
    let participant = participant.map_err(|error| format!("its database: {error}"))?;
    let channel = loop {
        match broker.connect(url, short, End::Service).await {
            Ok(channel) => break channel,
            Err(error) => eprintln!("{error}"),
        }
        tokio::time::sleep(CONNECTS_EVERY).await;
    };
    let counted = Counted::over(channel, &deliveries(folder, &STEPS[place]));
    let counted = counted.map_err(|error| format!("its deliveries cannot be noted: {error}"))?;
    let stop = async move {
        terminate.recv().await;
    };
    Serving::new(participant, Arc::new(counted)).run(stop).await;
    Ok(())
}
