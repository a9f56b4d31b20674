//! Where a benchmark runs: a data folder with every sync on, and an engine over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use amends_definition::Compiled;
use amends_engine::{Binder, Carrier, Deployment, Engine, Options};
use amends_store::Store;
use amends_transport::{CommandView, Fail, InProcess, RawJson, Transport};
use bytes::Bytes;

use super::Error;
use super::work::{Asked, RESULT, Work, service};

/// A folder that is deleted at the end, unless it was named by the user.
pub struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    /// A folder below the one named, or below the one for temporary files. What is on it is what
    /// is measured, so a folder in memory says nothing.
    pub fn below(parent: Option<&Path>) -> Result<Self, Error> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = parent.join(format!("amends-bench-{}", std::process::id()));
        let io = |source| Error::Folder { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(io)?;
        Ok(Self { path, ours: true })
    }

    /// One that somebody else made, and deletes.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), ours: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the files in it.
    pub fn bytes(&self) -> Option<u64> {
        let entries = std::fs::read_dir(&self.path).ok()?;
        Some(entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.path); // what is left over harms nobody
        }
    }
}

/// An engine over the folder, which knows the definition.
pub async fn engine(
    folder: &Folder,
    window: usize,
    transport: Arc<dyn Transport>,
    compiled: Compiled,
) -> Result<Engine, Error> {
    let store = open(folder).await?;
    let options = Options { window, ..Options::default() };
    engine_on(store, options, transport, compiled).await
}

/// The same where participants answer by message.
pub async fn engine_by_message(
    folder: &Folder,
    window: usize,
    transport: Arc<dyn Transport>,
    compiled: Compiled,
) -> Result<Engine, Error> {
    let store = open(folder).await?;
    let options = Options { window, ..Options::default() };
    start(store, options, One { transport, answers_by_message: true }, compiled).await
}

/// Opens the folder's store.
pub async fn open(folder: &Folder) -> Result<Store, Error> {
    let path = folder.path().to_owned();
    let opened = move || amends_store_sqlite::open(&path, &amends_store_sqlite::Options::default());
    let opened = tokio::task::spawn_blocking(opened).await;
    Ok(opened.map_err(|panic| Error::Lost(panic.to_string()))??)
}

/// An engine on an open store.
pub async fn engine_on(
    store: Store,
    options: Options,
    transport: Arc<dyn Transport>,
    compiled: Compiled,
) -> Result<Engine, Error> {
    start(store, options, One { transport, answers_by_message: false }, compiled).await
}

async fn start(
    store: Store,
    options: Options,
    carrier: One,
    compiled: Compiled,
) -> Result<Engine, Error> {
    let engine = Engine::start(options, store, Arc::new(carrier)).await?;
    engine.handle().deploy(vec![Deployment { compiled }]).await?;
    Ok(engine)
}

/// Every service is carried by one transport.
struct One {
    transport: Arc<dyn Transport>,
    answers_by_message: bool,
}

impl Binder for One {
    fn bind(&self, _: &str, _: &amends_definition::Binding) -> Option<Carrier> {
        let transport = Arc::clone(&self.transport);
        Some(Carrier { transport, answers_by_message: self.answers_by_message })
    }
}

/// Participants in this process that answer at once.
pub fn participants(work: Work) -> InProcess {
    let mut transport = InProcess::new(tokio::runtime::Handle::current());
    for n in 1..=work.steps {
        let may_refuse = n == work.refusing_step();
        transport = transport
            .handle(&format!("{}.Do", service(n)), move |command| act(command, may_refuse))
            .handle(&format!("{}.Undo", service(n)), |command| act(command, false));
    }
    transport
}

async fn act(command: CommandView, may_refuse: bool) -> Result<RawJson, Fail> {
    if may_refuse && command.data_as::<Asked>()?.refuse {
        return Err(Fail::refused_with("NO", "refused as asked"));
    }
    Ok(RawJson(Bytes::from_static(RESULT)))
}
