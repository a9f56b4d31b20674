//! Reply tokens: the part of a callback's address that lets it answer one command and no other.
//!
//! A token carries the command's identity and an HMAC-SHA256 over it, so that nothing is stored
//! and no other credential is needed. Layout before base64url without padding: version (1 byte,
//! 1), saga id (16, big-endian), direction (1: 0 action, 1 compensation), round (2, big-endian),
//! MAC (32), step name (the rest, UTF-8). The MAC is over a fixed label and all but itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::command::{CommandId, Direction, SagaId};

/// The least an installation key may have: half of the MAC's strength would already be plenty.
pub const TOKEN_KEY_BYTES_MIN: usize = 16;

/// The longest token that is read; a step name has far less.
const TOKEN_CHARS_MAX: usize = 1024;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 20;
const MAC_BYTES: usize = 32;
/// Keeps a token's MAC apart from anything else that may ever be made with the same key.
const LABEL: &[u8] = b"amends reply token\0";

/// An installation's key for reply tokens.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

/// A key is never shown.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// Why a token, or a key, is not taken. Which byte was wrong is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The key is shorter than [`TOKEN_KEY_BYTES_MIN`].
    #[error(
        "the installation key for reply tokens is too short; give at least {TOKEN_KEY_BYTES_MIN} random bytes"
    )]
    ShortKey,
    /// The text is no token of this version.
    #[error(
        "the address holds no reply token; post to the Amends-Reply-To of the command, unchanged"
    )]
    Malformed,
    /// The token was not made with this key.
    #[error("the reply token was not issued by this installation")]
    Forged,
}

impl TokenKey {
    /// A key from its bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() < TOKEN_KEY_BYTES_MIN {
            return Err(TokenError::ShortKey);
        }
        let mut mac = <Hmac<Sha256>>::new_from_slice(bytes).map_err(|_| TokenError::ShortKey)?;
        mac.update(LABEL);
        Ok(Self(mac))
    }

    /// The token that lets its bearer reply to this command: URL-safe text.
    pub fn issue(&self, command: &CommandId) -> String {
        let mut bytes = head(command).to_vec();
        let mut mac = self.0.clone();
        mac.update(&bytes);
        mac.update(command.step_name.as_bytes());
        bytes.extend_from_slice(&mac.finalize().into_bytes());
        bytes.extend_from_slice(command.step_name.as_bytes());
        BASE64.encode(bytes)
    }

    /// The command that a token lets its bearer reply to. The comparison takes the same time
    /// wherever the two differ.
    pub fn verify(&self, token: &str) -> Result<CommandId, TokenError> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Malformed);
        }
        let bytes = BASE64.decode(token).map_err(|_| TokenError::Malformed)?;
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(TokenError::Malformed)?;
        let (tag, step) = rest.split_at_checked(MAC_BYTES).ok_or(TokenError::Malformed)?;
        let command = read(head, step).ok_or(TokenError::Malformed)?;
        let mut mac = self.0.clone();
        mac.update(head);
        mac.update(step);
        mac.verify_slice(tag).map_err(|_| TokenError::Forged)?;
        Ok(command)
    }
}

fn head(command: &CommandId) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = VERSION;
    head[1..17].copy_from_slice(&command.saga_id.0.to_be_bytes());
    head[17] = match command.direction {
        Direction::Action => 0,
        Direction::Compensation => 1,
    };
    head[18..].copy_from_slice(&command.round.to_be_bytes());
    head
}

fn read(head: &[u8], step: &[u8]) -> Option<CommandId> {
    let (&version, rest) = head.split_first()?;
    let (saga_id, rest) = rest.split_first_chunk::<16>()?;
    let (&direction, round) = rest.split_first()?;
    let direction = match direction {
        0 => Direction::Action,
        1 => Direction::Compensation,
        _ => return None,
    };
    (version == VERSION).then_some(CommandId {
        saga_id: SagaId(u128::from_be_bytes(*saga_id)),
        step_name: std::str::from_utf8(step).ok()?.to_owned(),
        direction,
        round: u16::from_be_bytes(round.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> TokenKey {
        TokenKey::new(&[byte; 32]).unwrap()
    }

    fn command() -> CommandId {
        CommandId {
            saga_id: SagaId(7 << 64),
            step_name: "create_shipment.3".to_owned(),
            direction: Direction::Compensation,
            round: 2,
        }
    }

    #[test]
    fn a_token_names_its_command_and_stays_the_same() {
        let token = key(1).issue(&command());
        assert_eq!(key(1).verify(&token), Ok(command()));
        // Commands in flight carry it: an upgrade must not change it.
        assert_eq!(token, include_str!("../golden/reply_token.txt").trim_end());
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn another_installations_token_is_forged() {
        assert_eq!(key(2).verify(&key(1).issue(&command())), Err(TokenError::Forged));
    }

    #[test]
    fn every_part_of_the_identity_is_under_the_mac() {
        let bytes = BASE64.decode(key(1).issue(&command())).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let verdict = key(1).verify(&BASE64.encode(changed));
            assert!(verdict.is_err(), "byte {at}: {verdict:?}");
        }
        // A byte moved from the MAC's end to the name's start, and a name cut short.
        assert!(key(1).verify(&BASE64.encode(&bytes[..bytes.len() - 1])).is_err());
    }

    #[test]
    fn short_keys_and_odd_texts_are_refused() {
        assert!(matches!(TokenKey::new(b"short"), Err(TokenError::ShortKey)));
        for text in ["", "a", "====", "é", &"A".repeat(64), &"A".repeat(4096)] {
            assert_eq!(key(1).verify(text), Err(TokenError::Malformed), "{text}");
        }
        assert_eq!(format!("{:?}", key(1)), "TokenKey");
    }

    proptest! {
        #[test]
        fn any_command_comes_back_and_any_text_is_answered(
            saga: u128, step in "\\PC{1,20}", round: u16, undo: bool, text in any::<String>()
        ) {
            let direction = if undo { Direction::Compensation } else { Direction::Action };
            let id = CommandId { saga_id: SagaId(saga), step_name: step, direction, round };
            prop_assert_eq!(key(1).verify(&key(1).issue(&id)), Ok(id));
            prop_assert!(key(1).verify(&text).is_err());
        }
    }
}
