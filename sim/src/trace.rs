//! What happened in a run, in order: hashed, so that two runs can be compared, and kept as text where
//! somebody wants to read it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_core::SagaId;
use tokio::time::Instant;

/// See the module. Clones are the same trace.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    start: Instant,
    hash: u64,
    lines: u64,
    kept: Option<Vec<(Option<SagaId>, String)>>,
}

impl Trace {
    /// An empty one, which keeps its lines if they are wanted.
    pub fn new(kept: bool) -> Self {
        let start = Instant::now();
        let kept = kept.then(Vec::new);
        Self(Arc::new(Mutex::new(Inner { start, hash: 0xcbf2_9ce4_8422_2325, lines: 0, kept })))
    }

    /// Milliseconds since the run began.
    pub fn now(&self) -> u64 {
        self.inner().start.elapsed().as_millis() as u64
    }

    /// Takes a line down.
    pub fn line(&self, saga: Option<SagaId>, what: std::fmt::Arguments<'_>) {
        let mut inner = self.inner();
        let mut line = String::with_capacity(96);
        let at = inner.start.elapsed().as_millis();
        let _ = write!(line, "{:>9}.{:03} ", at / 1000, at % 1000);
        if let Some(saga) = saga {
            let _ = write!(line, "{:04x} ", saga.0 as u16);
        }
        let _ = line.write_fmt(what);
        // FNV-1a: two runs that differ by chance do not agree in 64 bits.
        inner.hash = line
            .bytes()
            .fold(inner.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        inner.lines += 1;
        if let Some(kept) = &mut inner.kept {
            kept.push((saga, line));
        }
    }

    /// The hash of all lines, and how many there were.
    pub fn hash(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.hash, inner.lines)
    }

    /// The lines that were kept, each with the saga that it is about.
    pub fn lines(&self) -> Vec<(Option<SagaId>, String)> {
        self.inner().kept.clone().unwrap_or_default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a line down in a trace: of a saga, or of none.
#[macro_export]
macro_rules! note {
    ($trace:expr, $saga:expr, $($what:tt)*) => {
        $trace.line($saga, format_args!($($what)*))
    };
}
