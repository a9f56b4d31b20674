//! What counts for a step once defaults are filled in.

use amends_core::Millis;
use amends_core::definition::{Backoff, Jitter, Retry, UndoPolicy};

use crate::file::{
    BackoffFile, CompensationFile, DefaultsFile, Field, JitterWord, RetryFile, StepFile,
};

/// One attempt, where nothing is said: long enough for a service under load, short enough to try
/// again before a person notices.
pub const TIMEOUT_DEFAULT: Millis = Millis::secs(10);

/// A step over all its attempts, where no time at all is said: the five minutes that the original
/// order saga waits for a step without a time-out of its own.
pub const DEADLINE_DEFAULT: Millis = Millis::mins(5);

/// How many timeouts make a deadline, where only `defaults.timeout` is said: room for a dozen
/// attempts without an answer.
pub const DEADLINE_TIMEOUTS: u64 = 12;

/// The pauses between attempts where nothing is said: the first at once to a person's eye, the
/// longest still often enough within a deadline of minutes.
pub const BACKOFF_DEFAULT: Backoff = Backoff {
    initial: Millis(200),
    factor_percent: 200,
    max: Millis::secs(10),
    jitter: Jitter::Full,
};

/// How compensations are repeated where nothing is said: more patient than an action, since an
/// undo cannot be given up lightly.
pub const UNDO_DEFAULT: UndoPolicy = UndoPolicy {
    timeout: Millis::secs(30),
    max_attempts: 10,
    backoff: Backoff {
        initial: Millis(500),
        factor_percent: 200,
        max: Millis::secs(30),
        jitter: Jitter::Full,
    },
};

/// What counts for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) timeout: Millis,
    pub(crate) deadline: Millis,
    pub(crate) accepted_timeout: Option<Millis>,
    pub(crate) retry: Retry,
    pub(crate) undo: UndoPolicy,
}

impl Policy {
    /// The step's own word first, then the defaults', then what is built in.
    pub(crate) fn of(step: &StepFile, defaults: Option<&DefaultsFile>) -> Self {
        let said = |field: &Option<Field<Millis>>| field.as_ref().map(|f| f.value);
        let default_timeout = defaults.and_then(|d| said(&d.timeout));
        let deadline = said(&step.deadline)
            // A step that says only `timeout` has it as its deadline too.
            .or(said(&step.timeout))
            .or(step.sla.as_ref().and_then(|sla| said(&sla.value.breach)))
            .or(defaults.and_then(|d| said(&d.deadline)))
            .or(default_timeout.map(|timeout| timeout.times(DEADLINE_TIMEOUTS)))
            .unwrap_or(DEADLINE_DEFAULT);
        let timeout = said(&step.timeout)
            .or(default_timeout)
            // Nothing said about one attempt: it may not outlast the step.
            .unwrap_or(TIMEOUT_DEFAULT.min(deadline));
        let retry = [defaults.and_then(|d| d.retry.as_ref()), step.retry.as_ref()]
            .into_iter()
            .flatten()
            .fold(Retry { max_attempts: None, backoff: BACKOFF_DEFAULT }, |so_far, field| {
                over_retry(so_far, &field.value)
            });
        Self {
            timeout,
            deadline,
            accepted_timeout: said(&step.accepted_timeout),
            retry,
            undo: undo_policy(step, defaults),
        }
    }
}

fn undo_policy(step: &StepFile, defaults: Option<&DefaultsFile>) -> UndoPolicy {
    let mut undo = UNDO_DEFAULT;
    let mut over = |timeout: Option<Millis>, retry: Option<&RetryFile>| {
        undo.timeout = timeout.unwrap_or(undo.timeout);
        if let Some(retry) = retry {
            let so_far = Retry { max_attempts: Some(undo.max_attempts), backoff: undo.backoff };
            let merged = over_retry(so_far, retry);
            undo.max_attempts = merged.max_attempts.unwrap_or(undo.max_attempts);
            undo.backoff = merged.backoff;
        }
    };
    if let Some(policy) = defaults.and_then(|d| d.undo_policy.as_ref()).map(|field| &field.value) {
        over(policy.timeout.as_ref().map(|f| f.value), policy.retry.as_ref().map(|f| &f.value));
    }
    if let Some(Field { value: CompensationFile::Policy(policy), .. }) = &step.compensation {
        over(policy.timeout.as_ref().map(|f| f.value), policy.retry.as_ref().map(|f| &f.value));
    }
    undo
}

fn over_retry(so_far: Retry, said: &RetryFile) -> Retry {
    Retry {
        max_attempts: said.max_attempts.as_ref().map(|f| f.value).or(so_far.max_attempts),
        backoff: match &said.backoff {
            Some(backoff) => over_backoff(so_far.backoff, &backoff.value),
            None => so_far.backoff,
        },
    }
}

fn over_backoff(so_far: Backoff, said: &BackoffFile) -> Backoff {
    let initial = said.initial.as_ref().map_or(so_far.initial, |f| f.value);
    let max = said.max.as_ref().map_or(so_far.max, |f| f.value);
    Backoff {
        initial: if said.initial.is_some() { initial } else { initial.min(max) },
        factor_percent: said.factor.as_ref().map_or(so_far.factor_percent, |f| percent(f.value)),
        max: if said.max.is_some() { max } else { max.max(initial) },
        jitter: match &said.jitter {
            Some(jitter) if jitter.value == JitterWord::None => Jitter::None,
            Some(_) => Jitter::Full,
            None => so_far.jitter,
        },
    }
}

/// A factor in percent; what is out of its range has a finding and never runs.
fn percent(factor: f64) -> u32 {
    (factor * 100.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}
