//! Ctrl-C in commands that have something to say of what they did until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::exit::{Exit, Failure};

/// Whether Ctrl-C was pressed. The first is for the command to end by; who presses it again does not
/// want to wait for that.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Hears it from now on, for a command that works and does not wait.
    pub fn heard() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Error, error))?;
        let came = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&came);
        std::thread::spawn(move || {
            runtime.block_on(async {
                pressed().await;
                set.store(true, Ordering::Release);
                pressed().await;
            });
            std::process::exit(i32::from(Exit::Interrupted.code()));
        });
        Ok(Self(came))
    }

    /// Was it pressed?
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Done when it is pressed.
pub async fn pressed() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await; // no signals here; the process can only be ended
    }
}
