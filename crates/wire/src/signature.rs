//! Signatures on requests and callbacks: Standard Webhooks, version `v1` (HMAC-SHA256).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header that names the message; the same at every repeat of it.
pub const WEBHOOK_ID: &str = "webhook-id";
/// The header with the seconds since 1970 at which it was signed.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, separated by spaces.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// How far a signature's time may lie from ours, either way: the tolerance of the standard.
pub const TOLERANCE_SECS: u64 = 5 * 60;

/// How many signatures of a header are looked at: a rotation has two, an attacker thousands.
const SIGNATURES_MAX: usize = 16;

/// What stands before a secret that is written in base64.
const ENCODED: &str = "whsec_";

/// A secret shared with a participant.
#[derive(Clone)]
pub struct Secret {
    key: Hmac<Sha256>,
    text: Box<str>,
}

/// A secret is never shown.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a signature, or a secret, is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A secret of no bytes signs nothing.
    #[error("the secret is empty; give one, or leave it out")]
    EmptySecret,
    /// What follows `whsec_` is not base64.
    #[error("what follows whsec_ in the secret is not base64; copy the secret again")]
    BadSecret,
    /// A header is missing or cannot be read.
    #[error("{0} is missing or malformed; sign with Standard Webhooks")]
    Header(&'static str),
    /// The signature's time lies too far from ours.
    #[error(
        "webhook-timestamp is more than {TOLERANCE_SECS} s off; set the sender's clock, and sign each repeat anew"
    )]
    Stale,
    /// No signature is by any of the secrets.
    #[error("no signature in webhook-signature is valid; compare the secrets on both sides")]
    Mismatch,
}

impl Secret {
    /// `whsec_` and base64, or any other text, which is then taken as it is.
    pub fn new(text: &str) -> Result<Self, SignatureError> {
        let decoded = match text.strip_prefix(ENCODED) {
            Some(encoded) => BASE64.decode(encoded).map_err(|_| SignatureError::BadSecret)?,
            None => text.as_bytes().to_vec(),
        };
        if decoded.is_empty() {
            return Err(SignatureError::EmptySecret);
        }
        let key = <Hmac<Sha256>>::new_from_slice(&decoded);
        let key = key.map_err(|_| SignatureError::BadSecret)?;
        let text = text.strip_prefix(ENCODED).unwrap_or(text).trim_end_matches('=').into();
        Ok(Self { key, text })
    }

    /// What is secret of its text, to look for where it must not be: without what says that it is a
    /// secret, and without padding.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn mac(&self, id: &str, timestamp: u64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

/// The value of `webhook-signature`, with one signature a secret: while one is rotated the
/// receiver may know either.
pub fn sign(secrets: &[Secret], id: &str, timestamp_unix_s: u64, body: &[u8]) -> String {
    let mut value = String::new();
    for secret in secrets {
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str("v1,");
        let tag = secret.mac(id, timestamp_unix_s, body).finalize().into_bytes();
        BASE64.encode_string(tag, &mut value);
    }
    value
}

/// The three headers as they came.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`.
    pub signature: Option<&'a str>,
}

impl Signed<'_> {
    /// Is one of the signatures by one of the secrets, and recent? A signature of another
    /// version is passed over. Comparisons take the same time wherever the two differ.
    pub fn verify(
        &self,
        secrets: &[Secret],
        body: &[u8],
        now_unix_s: u64,
    ) -> Result<(), SignatureError> {
        let is_stale = |timestamp: u64| now_unix_s.abs_diff(timestamp) > TOLERANCE_SECS;
        self.verify_when(secrets, body, is_stale)
    }

    /// The same, however old it is: for a message, which may have lain in its queue for days.
    pub fn verify_at_any_time(
        &self,
        secrets: &[Secret],
        body: &[u8],
    ) -> Result<(), SignatureError> {
        self.verify_when(secrets, body, |_| false)
    }

    fn verify_when(
        &self,
        secrets: &[Secret],
        body: &[u8],
        is_stale: impl Fn(u64) -> bool,
    ) -> Result<(), SignatureError> {
        let id = self.id.filter(|id| !id.is_empty()).ok_or(SignatureError::Header(WEBHOOK_ID))?;
        let timestamp: u64 = self
            .timestamp
            .and_then(|text| text.parse().ok())
            .ok_or(SignatureError::Header(WEBHOOK_TIMESTAMP))?;
        let signatures = self.signature.ok_or(SignatureError::Header(WEBHOOK_SIGNATURE))?;
        if is_stale(timestamp) {
            return Err(SignatureError::Stale);
        }
        let mut valid = false;
        for signature in signatures.split(' ').take(SIGNATURES_MAX) {
            let Some(tag) = signature.strip_prefix("v1,").and_then(|t| BASE64.decode(t).ok())
            else {
                continue;
            };
            for secret in secrets {
                valid |= secret.mac(id, timestamp, body).verify_slice(&tag).is_ok();
            }
        }
        if valid { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The example of the Standard Webhooks specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn verify(
        secrets: &[Secret],
        signature: &str,
        body: &[u8],
        now: u64,
    ) -> Result<(), SignatureError> {
        let at = AT.to_string();
        Signed { id: Some(ID), timestamp: Some(&at), signature: Some(signature) }
            .verify(secrets, body, now)
    }

    #[test]
    fn the_specifications_example_signs_and_verifies() {
        assert_eq!(sign(&[secret(SECRET)], ID, AT, BODY), SIGNATURE);
        assert_eq!(verify(&[secret(SECRET)], SIGNATURE, BODY, AT), Ok(()));
    }

    #[test]
    fn a_plain_secret_is_its_bytes() {
        let plain = secret("0123456789abcdef");
        let encoded = secret("whsec_MDEyMzQ1Njc4OWFiY2RlZg==");
        let signature = sign(&[plain], ID, AT, BODY);
        assert_eq!(verify(&[encoded], &signature, BODY, AT), Ok(()));
    }

    #[test]
    fn either_secret_of_a_rotation_is_taken_on_either_side() {
        let (old, new) = (secret("the old one"), secret("the new one"));
        let both = [old.clone(), new.clone()];
        let signed_by_both = sign(&both, ID, AT, BODY);
        assert_eq!(verify(std::slice::from_ref(&old), &signed_by_both, BODY, AT), Ok(()));
        assert_eq!(verify(std::slice::from_ref(&new), &signed_by_both, BODY, AT), Ok(()));
        assert_eq!(verify(&both, &sign(&[old], ID, AT, BODY), BODY, AT), Ok(()));
        assert_eq!(
            verify(&both, &format!("v1a,xyz v2,abc {SIGNATURE}"), BODY, AT),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(
            verify(&[secret(SECRET)], &format!("v1a,xyz v1,??? {SIGNATURE}"), BODY, AT),
            Ok(())
        );
    }

    #[test]
    fn what_was_changed_or_is_old_is_refused() {
        let secrets = [secret(SECRET)];
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(verify(&secrets, SIGNATURE, b"{\"test\": 2432232315}", AT), mismatch);
        assert_eq!(verify(&[secret("another")], SIGNATURE, BODY, AT), mismatch);
        assert_eq!(verify(&[], SIGNATURE, BODY, AT), mismatch);
        assert_eq!(verify(&secrets, "v1,", BODY, AT), mismatch);
        assert_eq!(verify(&secrets, "", BODY, AT), mismatch);
        let cut = &SIGNATURE[..24];
        assert_eq!(verify(&secrets, cut, BODY, AT), mismatch);
        for now in [AT + TOLERANCE_SECS, AT - TOLERANCE_SECS] {
            assert_eq!(verify(&secrets, SIGNATURE, BODY, now), Ok(()));
        }
        for now in [AT + TOLERANCE_SECS + 1, AT - TOLERANCE_SECS - 1, 0, u64::MAX] {
            assert_eq!(verify(&secrets, SIGNATURE, BODY, now), Err(SignatureError::Stale));
        }
    }

    #[test]
    fn missing_parts_are_named() {
        let whole =
            Signed { id: Some(ID), timestamp: Some("1614265330"), signature: Some(SIGNATURE) };
        let check = |signed: Signed<'_>| signed.verify(&[secret(SECRET)], BODY, AT);
        assert_eq!(check(whole), Ok(()));
        assert_eq!(check(Signed { id: None, ..whole }), Err(SignatureError::Header(WEBHOOK_ID)));
        for timestamp in [None, Some(""), Some("soon"), Some("-1")] {
            let verdict = check(Signed { timestamp, ..whole });
            assert_eq!(verdict, Err(SignatureError::Header(WEBHOOK_TIMESTAMP)));
        }
        let verdict = check(Signed { signature: None, ..whole });
        assert_eq!(verdict, Err(SignatureError::Header(WEBHOOK_SIGNATURE)));
    }

    #[test]
    fn secrets_that_sign_nothing_are_refused_and_none_is_shown() {
        assert!(matches!(Secret::new(""), Err(SignatureError::EmptySecret)));
        assert!(matches!(Secret::new("whsec_"), Err(SignatureError::EmptySecret)));
        assert!(matches!(Secret::new("whsec_!"), Err(SignatureError::BadSecret)));
        assert_eq!(format!("{:?}", secret(SECRET)), "Secret");
    }

    proptest! {
        #[test]
        fn no_header_panics(id: Option<String>, timestamp: Option<String>, signature: Option<String>, now: u64) {
            let signed = Signed {
                id: id.as_deref(),
                timestamp: timestamp.as_deref(),
                signature: signature.as_deref(),
            };
            prop_assert!(signed.verify(&[secret(SECRET)], BODY, now).is_err());
        }
    }
}
