//! What is killed in mid-run, each when so many orders have ended: every broker and the server once,
//! and services.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::book::Book;
use crate::stage::Stage;

/// How long what was killed stays away: long enough to be missed.
const AWAY: Duration = Duration::from_secs(2);

/// Between two looks how far the orders are.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The last one comes when so many of a hundred orders have ended: those that are on their way at
/// once may end while one is under way, and some must be left for the next.
const LAST_AT_PERCENT: u64 = 70;

/// Whom one strikes, by the place on the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Broker(usize),
    Server,
    Service(usize),
}

/// One that has struck.
pub struct Struck {
    what: String,
    after_ends: u64,
    sagas: u64,
    /// Until it was there again.
    away: Duration,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, after_ends, sagas, away } = self;
        let (percent, away) = (after_ends * 100 / sagas.max(&1), away.as_secs_f64());
        write!(f, "{what} at {percent} % ({after_ends} ended), there again after {away:.1} s")
    }
}

/// What is to be killed, in this order.
pub struct Blows {
    victims: Vec<Victim>,
    sagas: u64,
}

impl Blows {
    /// So many brokers and services, and the server in the middle of them.
    pub fn of(brokers: usize, services: usize, sagas: u64) -> Self {
        let mut victims: Vec<Victim> = (0..brokers).map(Victim::Broker).collect();
        victims.extend((0..services).map(Victim::Service));
        victims.insert(victims.len() / 2, Victim::Server);
        Self { victims, sagas }
    }

    /// How many orders end from one to the next. With no more than that on their way at once, none
    /// falls when all is over.
    pub const fn apart(&self) -> u64 {
        self.sagas * LAST_AT_PERCENT / 100 / self.victims.len() as u64
    }

    /// Strikes all of them, in turn. `at_work` is true while one is under way.
    pub async fn strike(
        &self,
        stage: &mut Stage,
        book: &Book,
        at_work: &AtomicBool,
    ) -> Result<Vec<Struck>, String> {
        let (mut struck, sagas) = (Vec::new(), self.sagas);
        for (turn, victim) in (1..).zip(&self.victims) {
            while book.ends() < turn * self.apart() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let (after_ends, began) = (book.ends(), Instant::now());
            at_work.store(true, Ordering::SeqCst);
            let what = one(stage, *victim).await?;
            at_work.store(false, Ordering::SeqCst);
            if after_ends >= sagas {
                return Err(format!("{what} when all was over: too few orders"));
            }
            struck.push(Struck { what, after_ends, sagas, away: began.elapsed() });
            println!("  {}", struck[struck.len() - 1]);
        }
        Ok(struck)
    }
}

async fn one(stage: &mut Stage, victim: Victim) -> Result<String, String> {
    match victim {
        Victim::Broker(place) => {
            let running = &mut stage.brokers[place];
            running.kill().await?;
            tokio::time::sleep(AWAY).await;
            running.start_again().await?;
            let done = if running.broker.forgets() { "cut off" } else { "killed" };
            Ok(format!("broker {} {done}", running.broker.name()))
        }
        Victim::Server => {
            stage.server.kill()?;
            tokio::time::sleep(AWAY).await;
            stage.server.start().await?;
            Ok("server killed".to_owned())
        }
        Victim::Service(place) => {
            let service = &mut stage.services[place];
            service.hired.kill()?;
            tokio::time::sleep(AWAY).await;
            service.hired.revive()?;
            Ok(format!("service {} killed", service.hired.step.short))
        }
    }
}
