//! The stage: the brokers, the services and the server, in processes of their own.

use std::path::Path;

use crate::broker::{Broker, Running};
use crate::order;
use crate::server::Server;
use crate::service::Service;
use crate::way::Way;

/// See the module. What stands first ends first.
pub struct Stage {
    pub server: Server,
    pub services: Vec<Service>,
    pub brokers: Vec<Running>,
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
