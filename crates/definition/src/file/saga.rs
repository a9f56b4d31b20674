//! The file's top level, its defaults and alerts.

use amends_core::Millis;

use crate::file::decode::{DurationSchema, record};
use crate::file::{ItemFile, JitterWord, MessagingFile, Named, PatternWord, ServiceFile, Template};

record! {
    /// A saga definition for amends.
    #[schemars(title = "amends saga definition", extend("required" = ["saga", "steps"]))]
    SagaFile("a mapping with `saga` and `steps`") {
        /// The name of the saga type.
        saga: String,
        /// The version this content is pinned under; left out, a changed definition gets the next number.
        #[schemars(range(min = 1))]
        version: u32,
        /// With a coordinator (the default) or without.
        pattern: PatternWord,
        /// An expression over `data`, in `${ … }`: searchable, and unique among running sagas.
        business_key: String,
        /// How long a saga may take.
        #[schemars(with = "Option<DurationSchema>")]
        deadline: Millis,
        /// What a start's data must look like.
        data: DataFile,
        /// Who carries the commands out, and how they are reached. Not part of what is pinned.
        services: Named<ServiceFile>,
        /// How the saga type itself is reached by message. Not part of what is pinned.
        messaging: MessagingFile,
        /// What counts for every step that does not say otherwise.
        defaults: DefaultsFile,
        /// The steps, in order; `parallel` groups run side by side.
        #[schemars(length(min = 1, max = 64))]
        steps: Vec<ItemFile>,
        /// When somebody is told.
        alerts: AlertsFile,
    }
}

record! {
    /// What a start's data must look like.
    DataFile("a mapping with `schema`") {
        /// A JSON Schema, or the path of one relative to this file.
        schema: Template,
    }
}

record! {
    /// What counts for every step that does not say otherwise.
    DefaultsFile("a mapping") {
        /// How long one attempt is waited for.
        #[schemars(with = "Option<DurationSchema>")]
        timeout: Millis,
        /// How long a step may take over all its attempts.
        #[schemars(with = "Option<DurationSchema>")]
        deadline: Millis,
        /// How attempts are repeated.
        retry: RetryFile,
        /// How compensations are repeated.
        undo_policy: UndoFile,
    }
}

record! {
    /// How attempts are repeated.
    RetryFile("a mapping with `max_attempts` and `backoff`") {
        /// The most attempts. Left out, the deadline alone ends them.
        #[schemars(range(min = 1))]
        max_attempts: u32,
        /// The pause between two attempts.
        backoff: BackoffFile,
    }
}

record! {
    /// A capped exponential pause.
    BackoffFile("a mapping with `initial`, `factor`, `max` and `jitter`") {
        /// The first pause.
        #[schemars(with = "Option<DurationSchema>")]
        initial: Millis,
        /// By how much each pause is longer than the one before.
        #[schemars(range(min = 1, max = 100))]
        factor: f64,
        /// The longest pause.
        #[schemars(with = "Option<DurationSchema>")]
        max: Millis,
        /// How much of a pause is left to chance.
        jitter: JitterWord,
    }
}

record! {
    /// How compensations are repeated.
    UndoFile("a mapping with `timeout` and `retry`") {
        /// How long one attempt is waited for.
        #[schemars(with = "Option<DurationSchema>")]
        timeout: Millis,
        /// How attempts are repeated; `max_attempts` makes a dead letter.
        retry: RetryFile,
    }
}

record! {
    /// When somebody is told.
    AlertsFile("a mapping with `stuck`") {
        /// A saga that makes no progress.
        stuck: StuckFile,
    }
}

record! {
    /// A saga that makes no progress.
    StuckFile("a mapping with `after`") {
        /// How long without progress counts as stuck.
        #[schemars(with = "Option<DurationSchema>")]
        after: Millis,
    }
}
