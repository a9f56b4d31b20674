//! A broker that runs: killed, and started again on what it kept, or cut off where it keeps nothing.

use amends_testbed as testbed;

use super::Broker;

/// See the module.
pub struct Running {
    pub broker: &'static dyn Broker,
    pub url: String,
    /// Taken out while it is killed and started again.
    process: Option<Process>,
}

/// It, and the door before one that forgets.
struct Process {
    server: testbed::Server,
    door: Option<testbed::Door>,
}

impl Running {
    /// Starts it.
    pub async fn start(broker: &'static dyn Broker) -> Result<Self, String> {
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
