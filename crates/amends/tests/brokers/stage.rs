//! The stage: the brokers, the services and the server, in processes of their own.

use std::path::Path;

use amends_testbed as testbed;

use crate::broker::{Broker, Way};
use crate::order;
use crate::server::Server;
use crate::service::Service;

/// See the module. What stands first ends first.
pub struct Stage {
    pub server: Server,
    pub services: Vec<Service>,
    pub brokers: Vec<Running>,
}

/// A broker of a run.
pub struct Running {
    pub broker: &'static dyn Broker,
    pub url: String,
    /// Out of the stage while it is killed and started again.
    process: Option<Process>,
}

/// It, and the door before one that forgets.
struct Process {
    server: testbed::Server,
    door: Option<testbed::Door>,
}

impl Stage {
    /// All of it runs when this returns, and the brokers keep what they have.
    pub async fn set(folder: &Path, way: &Way) -> Result<Self, String> {
        let mut brokers = Vec::new();
        for broker in way.brokers() {
            brokers.push(Running::start(broker).await?);
        }
        let url = |broker: &dyn Broker| {
            let running = brokers.iter().find(|running| running.broker.name() == broker.name());
            running.map(|running| running.url.clone()).unwrap_or_default()
        };
        let definition = order::definition(way);
        let written = std::fs::write(folder.join("order.yaml"), definition);
        written.map_err(|error| format!("the definition cannot be written: {error}"))?;
        let mut services = Vec::new();
        for (place, broker) in way.over.into_iter().enumerate() {
            services.push(Service::start(place, broker, url(broker), folder)?);
        }
        let told = |running: &Running| [running.broker.option().to_owned(), running.url.clone()];
        let options = brokers.iter().flat_map(told).collect();
        let env = brokers.iter().flat_map(|running| running.broker.env()).copied().collect();
        let server = Server::new(folder, options, env)?;
        Ok(Self { server, services, brokers })
    }
}

impl Running {
    async fn start(broker: &'static dyn Broker) -> Result<Self, String> {
        let process = off_thread(move || {
            let server = testbed::Server::start(broker.make()())?;
            let door = broker.forgets().then(|| testbed::Door::before(server.port()));
            Ok(Process { server, door: door.transpose()? })
        });
        let process = process.await?;
        let mut url = process.server.url();
        if let Some(door) = &process.door {
            url = url.replace(&process.server.port().to_string(), &door.port().to_string());
        }
        Ok(Self { broker, url, process: Some(process) })
    }

    /// Kills it, as a loss of power would, or cuts it off.
    pub async fn kill(&mut self) -> Result<(), String> {
        let kill = |process: &mut Process| match &mut process.door {
            Some(door) => {
                door.shut();
                Ok(())
            }
            None => process.server.kill(),
        };
        self.act(kill).await
    }

    /// Starts it on what it had, or lets it be reached.
    pub async fn start_again(&mut self) -> Result<(), String> {
        let start = |process: &mut Process| match &mut process.door {
            Some(door) => door.open(),
            None => process.server.start_again(),
        };
        self.act(start).await
    }

    async fn act(&mut self, act: fn(&mut Process) -> anyhow::Result<()>) -> Result<(), String> {
        let mut process = self.process.take().ok_or("it was lost before")?;
        let acted = off_thread(move || act(&mut process).map(|()| process)).await;
        self.process = Some(acted?);
        Ok(())
    }
}

async fn off_thread<T: Send + 'static>(
    act: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, String> {
    let acted = tokio::task::spawn_blocking(act).await.map_err(|error| error.to_string())?;
    acted.map_err(|error| format!("{error:#}"))
}
