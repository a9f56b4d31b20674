//! SIGINT and SIGTERM: the first stops in order, the second at once.

use super::super::exit::{Exit, Failure};

/// What a shell expects of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// The signals that stop the server.
pub struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Takes them from now on.
    pub fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error| Failure::new(Exit::Error, format!("no signals: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// The next one's name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "terminate",
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Takes them from now on.
    pub fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// The next one's name.
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await; // no signals here; the process can only be ended
        }
        "interrupt"
    }
}

impl Signals {
    /// Ends the process at the next one. What is durable is safe; it is a crash like any other.
    pub fn exit_at_the_next(&mut self) {
        let Ok(mut signals) = Self::new() else { return };
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(INTERRUPTED);
        });
    }
}

/// Ends the process when stdin does, at the latest with the program that holds its other end. What
/// is durable is safe; it is a crash like any other.
pub fn exit_with_stdin() {
    std::thread::spawn(|| {
        // An error ends it as well.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(INTERRUPTED);
    });
}
