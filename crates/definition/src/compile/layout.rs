//! The steps in a row, each with what it waits for.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_core::definition::{Command, Computed, Fence, Kind, OnDeadline, STEPS_MAX, Step, Work};
use amends_core::{Payload, StepIx, StepSet};

use crate::compile::Policy;
use crate::file::{
    CompensationFile, DefaultsFile, FenceWord, ItemFile, KindWord, OnDeadlineFile, SagaFile,
    StepFile,
};

/// Stands in for a service or a command that is not readable, so that the order of the other steps
/// can still be checked. It is no name a file can have, and such a definition has an error.
pub(crate) const PLACEHOLDER: &str = "?";

/// A step with its place in the row.
#[derive(Clone, Debug)]
pub(crate) struct Laid<'f> {
    pub(crate) file: &'f StepFile,
    pub(crate) policy: Policy,
    /// Which steps it waits for directly. A name in `after` that is unknown or stands later is not
    /// in it.
    pub(crate) after: BTreeSet<usize>,
}

/// Puts the steps in a row, as many as a definition can have; the rest is left out (and found). Without `after`, a step waits for the item before it in the list: a
/// step, or every step of a group; the steps of a group wait for what stands before the group.
pub(crate) fn lay_out(file: &SagaFile) -> Vec<Laid<'_>> {
    let defaults = file.defaults.as_ref().map(|field| &field.value);
    let mut laid: Vec<Laid<'_>> = Vec::new();
    let mut before = BTreeSet::new();
    for item in file.steps.iter().flat_map(|field| &field.value) {
        let first = laid.len();
        match item {
            ItemFile::Step(step) => lay(step, defaults, &before, &mut laid),
            ItemFile::Parallel(group) => {
                for step in group.parallel.iter().flat_map(|field| &field.value) {
                    lay(step, defaults, &before, &mut laid);
                }
            }
        }
        if laid.len() > first {
            before = (first..laid.len()).collect();
        }
    }
    laid
}

fn lay<'f>(
    step: &'f StepFile,
    defaults: Option<&'f DefaultsFile>,
    before: &BTreeSet<usize>,
    laid: &mut Vec<Laid<'f>>,
) {
    // Hostile files have groups of thousands, each step waiting for all of the group before.
    if laid.len() == STEPS_MAX {
        return;
    }
    let named = |name: &str| {
        laid.iter().position(|other| other.file.name.as_ref().is_some_and(|n| n.value == name))
    };
    let after = match &step.after {
        None => before.clone(),
        Some(after) => after.value.all().iter().filter_map(|name| named(&name.value)).collect(),
    };
    laid.push(Laid { file: step, policy: Policy::of(step, defaults), after });
}

impl Laid<'_> {
    /// As the machine knows it; what is missing is filled with placeholders.
    pub(crate) fn step(&self) -> Step {
        let file = self.file;
        Step {
            name: file.name.as_ref().map_or(PLACEHOLDER, |f| f.value.as_str()).into(),
            kind: self.kind(),
            work: self.work(),
            after: self
                .after
                .iter()
                .filter_map(|ix| u8::try_from(*ix).ok())
                .map(StepIx)
                .collect::<StepSet>(),
            computed: Computed {
                when: file.when.is_some(),
                for_each: file.for_each.is_some(),
                input: file.input.is_some(),
            },
            timeout: self.policy.timeout,
            accepted_timeout: self.policy.accepted_timeout,
            deadline: self.policy.deadline,
            retry: self.policy.retry,
            fence: file.fence.as_ref().map(|fence| fence_of(fence.value)),
            undo: self.policy.undo,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.file.name.as_ref().map_or(PLACEHOLDER, |f| f.value.as_str())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.file.kind.as_ref().map_or(Kind::Compensatable, |kind| kind_of(kind.value))
    }

    fn work(&self) -> Work {
        let file = self.file;
        if let Some(signal) = &file.signal {
            return Work::Signal {
                signal: signal.value.as_str().into(),
                on_deadline: match file.on_deadline.as_ref().map(|f| &f.value) {
                    Some(OnDeadlineFile::Continue(value)) => {
                        OnDeadline::Continue(Payload::from(value.to_string().as_str()))
                    }
                    _ => OnDeadline::Refuse,
                },
                judged: file.refuse_when.is_some(),
            };
        }
        Work::Command {
            action: file.action.as_ref().and_then(|f| command(&f.value)).unwrap_or_else(|| {
                Command { service: PLACEHOLDER.into(), name: PLACEHOLDER.into() }
            }),
            compensation: self.compensation().and_then(command),
        }
    }

    /// The compensation as written, unless it is `none`.
    pub(crate) fn compensation(&self) -> Option<&str> {
        match &self.file.compensation.as_ref()?.value {
            CompensationFile::Word(word) if word == "none" => None,
            CompensationFile::Word(word) => Some(word),
            CompensationFile::Policy(policy) => policy.command.as_ref().map(|f| f.value.as_str()),
        }
    }
}

/// `Service.Command` in its two parts.
pub(crate) fn command(text: &str) -> Option<Command> {
    let (service, name) = text.split_once('.')?;
    let fits = crate::check::is_name(service) && crate::check::is_name(name);
    fits.then(|| Command { service: Arc::from(service), name: Arc::from(name) })
}

pub(crate) fn kind_of(word: KindWord) -> Kind {
    match word {
        KindWord::Compensatable => Kind::Compensatable,
        KindWord::Pivot => Kind::Pivot,
        KindWord::Retriable => Kind::Retriable,
        KindWord::BestEffort => Kind::BestEffort,
    }
}

pub(crate) fn fence_of(word: FenceWord) -> Fence {
    match word {
        FenceWord::Barrier => Fence::Barrier,
        FenceWord::Settle => Fence::Settle,
        FenceWord::None => Fence::None,
    }
}
