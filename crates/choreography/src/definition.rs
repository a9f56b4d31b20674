//! A definition that services run among themselves.

use std::fmt;
use std::sync::Arc;

use amends_core::StepIx;
use amends_core::choreography::Choreography;
use amends_core::definition::{Definition, Step};
use amends_definition::{Compiled, Expressions, Pattern, Surroundings, check};

/// A definition with `pattern: choreography`. Cheap to clone.
#[derive(Clone)]
pub struct Choreographed(Arc<Inner>);

struct Inner {
    compiled: Compiled,
    of: Choreography,
    hash: String,
}

/// Why a file is nothing that services can run among themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// `amends check` says the same, in more words.
    #[error("the definition has errors; `amends check` explains them: {0}")]
    Errors(String),
    /// It is for a coordinator.
    #[error(
        "the saga type {0} is no choreography: write `pattern: choreography` into its file, or have it run \
         by `amends serve`"
    )]
    Orchestrated(String),
    /// A checked definition with that pattern is none of these.
    #[error("services cannot run it among themselves: {0}")]
    NoChoreography(String),
}

impl Choreographed {
    /// Reads a definition file. Environment variables and the file of a data schema are there as far as
    /// `surroundings` has them.
    ///
    /// # Errors
    ///
    /// It has errors, or is for a coordinator.
    pub fn read(file: &[u8], path: &str, surroundings: &Surroundings<'_>) -> Result<Self, Unfit> {
        let checked = check(file, path, surroundings);
        match checked.compiled {
            Some(compiled) => Self::new(compiled),
            None => {
                let words: Vec<String> = checked
                    .findings
                    .iter()
                    .filter(|finding| finding.severity == amends_definition::Severity::Error)
                    .map(|finding| format!("{}: {}", finding.id.id(), finding.message))
                    .collect();
                Err(Unfit::Errors(words.join("; ")))
            }
        }
    }

    /// Takes one that was checked.
    ///
    /// # Errors
    ///
    /// It is for a coordinator.
    pub fn new(compiled: Compiled) -> Result<Self, Unfit> {
        let saga_type = compiled.definition.saga_type();
        if compiled.pattern != Pattern::Choreography {
            return Err(Unfit::Orchestrated(saga_type.to_string()));
        }
        let of = Choreography::new(Definition::clone(&compiled.definition))
            .map_err(|wrong| Unfit::NoChoreography(format!("{wrong:?}")))?;
        let hash = compiled.hash_hex();
        Ok(Self(Arc::new(Inner { compiled, of, hash })))
    }

    /// The saga type's name.
    pub fn saga_type(&self) -> &str {
        self.0.compiled.definition.saga_type()
    }

    /// Its version, for people: a service tells definitions apart by their hash.
    pub fn version(&self) -> u32 {
        self.0.compiled.said_version.unwrap_or(1)
    }

    /// The SHA-256 of its canonical form, 64 hexadecimal digits: all services of a saga go by the same.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// All that was compiled.
    pub fn compiled(&self) -> &Compiled {
        &self.0.compiled
    }

    /// What the machine knows of it.
    pub fn choreography(&self) -> &Choreography {
        &self.0.of
    }

    /// The services that have steps in it, in the order of their first ones.
    pub fn services(&self) -> Vec<&str> {
        let mut services = Vec::new();
        for command in self.0.of.definition().steps().iter().filter_map(Step::action) {
            if !services.contains(&&*command.service) {
                services.push(&*command.service);
            }
        }
        services
    }

    pub(crate) fn expressions(&self) -> &Expressions {
        &self.0.compiled.expressions
    }

    pub(crate) fn step(&self, ix: StepIx) -> &Step {
        self.0.of.definition().step(ix)
    }

    pub(crate) fn name(&self, ix: StepIx) -> &str {
        &self.step(ix).name
    }

    pub(crate) fn named(&self, name: &str) -> Option<StepIx> {
        self.0.of.definition().indices().find(|&ix| self.name(ix) == name)
    }
}

impl fmt::Debug for Choreographed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choreographed")
            .field("saga_type", &self.saga_type())
            .field("hash", &self.hash())
            .finish_non_exhaustive()
    }
}
