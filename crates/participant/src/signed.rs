//! Signatures of commands, where a service shares a secret with its engine (Standard Webhooks).

use std::time::{SystemTime, UNIX_EPOCH};

use amends_wire::Headers;
use amends_wire::signature::{
    Secret, SignatureError, Signed, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};

/// A secret that signs nothing.
pub type BadSecret = SignatureError;

/// The secrets of a service: while one is rotated there are two.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Secret>);

impl Secrets {
    pub(crate) fn add(&mut self, secret: &str) -> Result<(), BadSecret> {
        self.0.push(Secret::new(secret)?);
        Ok(())
    }

    pub(crate) fn into_inner(self) -> Vec<Secret> {
        self.0
    }

    /// Is it signed by someone who knows one of them? Where there is none, it need not be.
    pub(crate) fn check<H: Headers>(&self, headers: &H, body: &[u8]) -> Result<(), SignatureError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let signed = Signed {
            id: headers.value(WEBHOOK_ID),
            timestamp: headers.value(WEBHOOK_TIMESTAMP),
            signature: headers.value(WEBHOOK_SIGNATURE),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        signed.verify(&self.0, body, now)
    }
}
