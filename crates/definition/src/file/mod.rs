//! The file as it was written: every key of the format, typed, with the place of each value.
//!
//! Nothing is judged here beyond shape: a missing key is `None`, and the checks say whether that
//! is wrong. The JSON Schema and the canonical form come from the same types.

mod choreography;
mod decode;
mod messaging;
mod saga;
mod service;
mod step;
mod word;

pub(crate) use choreography::{ChoreographyFile, ReactionFile, TriggerFile};
pub(crate) use decode::{Canonical, Decode, Field, Named, OneOrMany, Template, wrong_shape};
pub(crate) use messaging::MessagingFile;
pub(crate) use saga::{BackoffFile, DefaultsFile, RetryFile, SagaFile};
pub(crate) use service::ServiceFile;
pub(crate) use step::{CompensationFile, ItemFile, OnDeadlineFile, StepFile};
pub(crate) use word::{FenceWord, JitterWord, KindWord, NotFoundWord, PatternWord};
