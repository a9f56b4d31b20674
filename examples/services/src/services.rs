//! Services at work: started together, found by their addresses, stopped together, and their
//! ledgers read.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::door::Door;
use crate::evidence::{Call, Effect, Evidence};
use crate::ledger::{Durability, Ledger};
use crate::server::{self, OnCrash};
use crate::service::{Service, Worked};

/// Where the services listen, always on the loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Wherever there is room.
    Free,
    /// Where the definition files expect them.
    Usual,
    /// Here: for one service.
    This(u16),
}

/// How services run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Where they listen.
    pub ports: Ports,
    /// How durable an answer is when it leaves.
    pub durability: Durability,
    /// Whether every call is noted. The judge needs it; a benchmark may not want it.
    pub call_log: bool,
    /// What the fault `crash` does.
    pub on_crash: OnCrash,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ports: Ports::Free,
            durability: Durability::Full,
            call_log: true,
            on_crash: OnCrash::Restart,
        }
    }
}

/// Running services.
pub struct Services {
    stop: watch::Sender<bool>,
    running: BTreeMap<Service, Running>,
}

struct Running {
    address: SocketAddr,
    db: PathBuf,
    task: JoinHandle<std::io::Result<()>>,
}

impl Services {
    /// Starts services on free loopback ports, each with its ledger `<name>.db` in `folder`, which
    /// is made if need be. A service that was there before goes on with its ledger.
    pub async fn start(folder: &Path, which: &[Service]) -> anyhow::Result<Self> {
        Self::start_with(folder, which, Settings::default()).await
    }

    /// As [`start`](Self::start), otherwise.
    pub async fn start_with(
        folder: &Path,
        which: &[Service],
        settings: Settings,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        let mut services = Self { stop: watch::Sender::new(false), running: BTreeMap::new() };
        for &service in which {
            let db = folder.join(format!("{service}.db"));
            services.add(service, db, settings).await?;
        }
        Ok(services)
    }

    /// Starts one more, with its ledger in the file `db`. One that runs already stays as it is.
    pub async fn add(
        &mut self,
        service: Service,
        db: PathBuf,
        settings: Settings,
    ) -> anyhow::Result<()> {
        if self.running.contains_key(&service) {
            return Ok(());
        }
        let port = match settings.ports {
            Ports::Free => 0,
            Ports::Usual => service.usual_port(),
            Ports::This(port) => port,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
            format!("{service} cannot listen on port {port}; stop who does, or choose another")
        })?;
        let address = listener.local_addr()?;
        let door = Arc::new(Door {
            service,
            ledger: Ledger::open(service, &db, &settings)?,
            stop: self.stop.subscribe(),
            died: Notify::new(),
        });
        let task = tokio::spawn(server::serve(listener, door, settings.on_crash));
        self.running.insert(service, Running { address, db, task });
        Ok(())
    }

    /// Which services run, with their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (Service, SocketAddr)> + '_ {
        self.running.iter().map(|(&service, running)| (service, running.address))
    }

    /// Where a service listens.
    pub fn address(&self, service: Service) -> Option<SocketAddr> {
        self.running.get(&service).map(|running| running.address)
    }

    /// The text of a worked saga's definition with the URLs of these services.
    pub fn definition(&self, worked: Worked) -> String {
        self.addresses().fold(worked.definition().to_owned(), |text, (service, address)| {
            text.replace(&service.usual_url(), &format!("http://{address}"))
        })
    }

    /// What a service did.
    pub fn ledger(&self, service: Service) -> anyhow::Result<Vec<Effect>> {
        Ok(self.read(service)?.effects)
    }

    /// Which calls a service met, in the order of their commits.
    pub fn calls(&self, service: Service) -> anyhow::Result<Vec<Call>> {
        Ok(self.read(service)?.calls)
    }

    /// What all the ledgers prove, for the judge.
    pub fn evidence(&self) -> anyhow::Result<Vec<Evidence>> {
        self.running.keys().map(|&service| self.read(service)).collect()
    }

    fn read(&self, service: Service) -> anyhow::Result<Evidence> {
        let running =
            self.running.get(&service).ok_or_else(|| anyhow!("{service} does not run"))?;
        Evidence::read(service.name(), &running.db)
    }

    /// Stops: no more requests are taken, those at work are answered. Ledgers stay on the disk.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        for (service, running) in self.running {
            running.task.await?.with_context(|| format!("{service} ended early"))?;
        }
        Ok(())
    }
}
