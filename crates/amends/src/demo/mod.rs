//! The demonstration: the engine and the example services on this machine, faults to order, a
//! `kill -9` in the middle, and at the end the ledgers of the services, which decide.
//!
//! Everything is real: the engine is this same binary as a process of its own, the services answer
//! over HTTP and keep SQLite ledgers, and nothing that is shown comes from anywhere else.

mod act;
mod api;
mod engine;
mod ledgers;
mod scenes;
mod screen;
mod stage;

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use act::Act;
use screen::Screen;
use stage::Stage;

pub use screen::Look;

/// How long tasks of the services may take to end when all is over.
const END_WITHIN: Duration = Duration::from_secs(2);

/// How the demonstration is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leave engine and services serving at the end, until a signal comes.
    pub keep: bool,
    /// How it is shown.
    pub look: Look,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every saga is all done or all undone.
    Kept,
    /// The ledgers show otherwise.
    Broken,
    /// A signal ended it early.
    Interrupted,
}

/// Runs it from the rise of the curtain to the removal of everything it made.
pub fn run(options: Options) -> anyhow::Result<End> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let interrupted = interruption()?;
        tokio::select! {
            end = perform(options) => end,
            () = interrupted => Ok(End::Interrupted),
        }
    });
    runtime.shutdown_timeout(END_WITHIN);
    end
}

/// Done at the first Ctrl-C, SIGTERM or SIGHUP from now on.
fn interruption() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

async fn perform(options: Options) -> anyhow::Result<End> {
    let began = Instant::now();
    let mut screen = Screen::new(options.look);
    screen.say(&scenes::prologue(&screen));
    let mut stage = Stage::set().await?;
    let played = play(&mut stage, &mut screen, began).await;
    let end = match played {
        Ok(end) => end,
        Err(e) => return Err(e.context(stage.engine.log_tail())),
    };
    if options.keep {
        screen.say(&scenes::still_serving(&screen, &stage));
        std::future::pending::<()>().await;
    }
    stage.clear().await?;
    Ok(end)
}

async fn play(stage: &mut Stage, screen: &mut Screen, began: Instant) -> anyhow::Result<End> {
    let mut acts = Vec::new();
    for scene in scenes::all() {
        let mut act = Act::new(scene);
        act.play(stage, screen).await?;
        acts.push(act);
    }
    let found = ledgers::read(stage, &acts)?;
    screen.say(&found.tell(screen, began.elapsed()));
    Ok(if found.holds() { End::Kept } else { End::Broken })
}
