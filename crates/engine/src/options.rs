//! Settings and limits, each with its reason.

use std::time::Duration;

use amends_core::Millis;

/// The most bytes of a saga's data. It is in every command and in the saga's first fact; larger
/// content belongs in a store of its own, with a reference to it here.
pub const DATA_BYTES_MAX: usize = 256 * 1024;

/// How many starts wait for a shard before more are told to come back. At 20,000 starts a second
/// this is a fifth of a second of work: waiting longer would only hide the overload.
pub const STARTS_WAITING_MAX: usize = 4_096;

/// How many questions and verbs wait for a shard. People and dashboards ask these.
pub const REQUESTS_WAITING_MAX: usize = 4_096;

/// How many callbacks wait for a shard; more are pushed back to the sender, who repeats them.
pub const CALLBACKS_WAITING_MAX: usize = 8_192;

/// How many inputs a shard takes before it hands the batch to the journal: enough that a sync is
/// shared by many, few enough that the first of them does not wait long.
pub const BATCH_INPUTS_MAX: usize = 2_048;

/// How many bytes of facts a shard gathers before it hands the batch to the journal. With what one
/// more input can bring it stays below what a store takes at once.
pub const BATCH_BYTES_FULL: usize = 4 * 1024 * 1024;

/// The most bytes that a step's inputs may have over all its runs: were every step of a definition
/// to come to its inputs in the same decision, the batch would still be one that a store takes.
pub const STEP_INPUTS_BYTES_MAX: usize = 384 * 1024;

/// How many of these may be starts, so that running sagas are served first.
pub const BATCH_STARTS_MAX: usize = 512;

/// When the journal holds this many bytes that the catalog does not, starts are pushed back: they
/// are what a recovery has to read.
pub const CATALOG_BEHIND_BYTES_MAX: u64 = 1 << 30;

/// How often the catalog takes a checkpoint, so that a list is at most a second behind.
pub const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

/// A saga with nothing due within this time leaves memory once the catalog holds it, and is read
/// back when it is due. Looked for half as often as this.
pub const DUE_WINDOW: Millis = Millis::secs(60);

/// A pause of the engine longer than this is an outage: deadlines make up for it (section 5, time).
pub const OUTAGE_AFTER: Millis = Millis::secs(5);

/// How often a full disk is tried again.
pub const FULL_RETRY_EVERY: Duration = Duration::from_secs(5);

/// How many transitions a watcher may fall behind before it misses some.
pub const TRANSITIONS_KEPT: usize = 8_192;

/// How long an answer waits whose saga could not be read back, before that is tried again.
pub const LOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many sagas are read back from the catalog at the same moment, per shard.
pub const LOADS_MAX: usize = 64;

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many commands a service may have open at a time, over all shards.
    pub window: usize,
    /// How many commands a second each service gets at first after a start of the engine; doubles
    /// every second while answers come.
    pub recovery_rate: u32,
    /// When there are this many sagas of which the catalog does not hold the start, or the end, starts
    /// are pushed back: they stay in memory until it catches up.
    pub catalog_behind_sagas_max: usize,
    /// How long a late answer is waited for after the end (semantics.md, retention).
    pub late_window: Millis,
    /// How long a closed saga is kept.
    pub retention: Millis,
    /// The address under which participants reach this engine, without a trailing slash; without
    /// one no `Amends-Reply-To` is sent.
    pub public_url: Option<String>,
    /// The key that signs reply tokens.
    pub token_key: Option<amends_wire::TokenKey>,
    /// The services of a choreography are asked to undo a saga of which a step was not heard in its time.
    pub active_recovery: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            window: 64,
            recovery_rate: 500,
            catalog_behind_sagas_max: 200_000,
            late_window: Millis::mins(24 * 60),
            retention: Millis::mins(7 * 24 * 60),
            public_url: None,
            token_key: None,
            active_recovery: false,
        }
    }
}
