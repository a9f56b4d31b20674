//! The secrets that a service shares with its engine (Standard Webhooks).

use amends_wire::signature::{Secret, SignatureError};

/// A secret that signs nothing.
pub type BadSecret = SignatureError;

/// The secrets of a service: while one is rotated there are two.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<Secret>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) -> Result<(), BadSecret> {
        self.0.push(Secret::new(secret)?);
        Ok(())
    }

    pub(crate) fn into_inner(self) -> Vec<Secret> {
        self.0
    }

    pub(crate) fn as_slice(&self) -> &[Secret] {
        &self.0
    }
}
