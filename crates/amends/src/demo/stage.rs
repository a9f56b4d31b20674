//! The stage: a folder that goes when it is over, the example services, and the engine.

use anyhow::Context;

use amends_example_services::{Durability, Service, Services, Settings, Worked};

use super::engine::Engine;

/// How an order's steps are waited for here: one attempt, and it is given up.
const ORDER_TIMES: &str = "defaults: { timeout: 3s, deadline: 3s }";

/// How a transfer's steps are waited for: asked again, until four seconds have passed.
const BANK_TIMES: &str = "defaults: { timeout: 1s, deadline: 4s }";

/// All that the demonstration needs.
pub struct Stage {
    pub services: Services,
    pub engine: Engine,
    // The last one, so that it goes when nobody writes to it any more.
    folder: tempfile::TempDir,
}

impl Stage {
    /// Starts services and engine in a folder of their own.
    pub async fn set() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("amends-demo-")
            .tempdir()
            .context("no folder for the demonstration can be made")?;
        // Nobody cuts the power here; what is killed is the engine.
        let settings = Settings { durability: Durability::Normal, ..Settings::default() };
        let services =
            Services::start_with(&folder.path().join("ledgers"), &cast(), settings).await?;
        let definitions = folder.path().join("definitions");
        std::fs::create_dir(&definitions)?;
        for (worked, times) in [(Worked::Order, ORDER_TIMES), (Worked::Bank, BANK_TIMES)] {
            let text = hurried(&services.definition(worked), times);
            std::fs::write(definitions.join(format!("{}.yaml", worked.name())), text)?;
        }
        let engine = Engine::start(folder.path()).await?;
        Ok(Self { services, engine, folder })
    }

    /// Where all of it is.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Ends it in order; nothing is left.
    pub async fn clear(self) -> anyhow::Result<()> {
        let Self { services, engine, folder } = self;
        drop(engine);
        services.stop().await?;
        folder.close().context("the demonstration's folder cannot be removed")
    }
}

/// The services of the two sagas, each once.
pub fn cast() -> Vec<Service> {
    let named = |worked: Worked| worked.services().iter().copied();
    let mut cast: Vec<Service> = named(Worked::Order).chain(named(Worked::Bank)).collect();
    cast.sort_unstable();
    cast.dedup();
    cast
}

/// A worked definition with short times in place of its own, so that nobody waits for fifteen
/// minutes, and with the fence that the example services have.
fn hurried(definition: &str, times: &str) -> String {
    let mut text = String::new();
    for line in definition.lines() {
        let key = line.trim_start();
        if ["defaults:", "timeout:", "deadline:"].iter().any(|old| key.starts_with(old)) {
            continue;
        }
        if line.contains("{ http:") && !line.contains("fence:") {
            text.push_str(&line.replacen("{ http:", "{ fence: barrier, http:", 1));
        } else {
            text.push_str(line);
        }
        text.push('\n');
        if line.starts_with("saga: ") {
            text.push_str(times);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use amends_definition::{Severity, Surroundings, check};

    use super::*;

    #[test]
    fn the_hurried_definitions_are_as_sound_as_the_worked_ones() {
        for (worked, times) in [(Worked::Order, ORDER_TIMES), (Worked::Bank, BANK_TIMES)] {
            let text = hurried(worked.definition(), times);
            let checked = check(text.as_bytes(), "hurried.yaml", &Surroundings::none());
            assert_eq!(checked.count(Severity::Error), 0, "{text}");
            assert!(text.contains("fence: barrier"), "{text}");
        }
    }
}
