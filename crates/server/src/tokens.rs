//! Tokens: who may call the API, and in which role. Only their hashes are kept.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use toml::{Table, Value};

/// The fewest characters of a token: shorter ones can be guessed.
pub const TOKEN_CHARS_MIN: usize = 16;

/// The most tokens of a file: each is compared at every request.
pub const TOKENS_MAX: usize = 1_000;

/// The largest file of tokens; a thousand of them have a tenth of that.
pub const TOKENS_FILE_BYTES_MAX: usize = 1024 * 1024;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Looks at everything but what is redacted.
    Viewer,
    /// Starts, cancels and signals sagas, and looks at them.
    Starter,
    /// Does what a person has to do about sagas, and sees what is redacted.
    Operator,
    /// Brings definitions in, too.
    Admin,
    /// Replies for its services, and nothing else.
    Participant,
}

impl Role {
    const NAMES: [(&'static str, Self); 5] = [
        ("viewer", Self::Viewer),
        ("starter", Self::Starter),
        ("operator", Self::Operator),
        ("admin", Self::Admin),
        ("participant", Self::Participant),
    ];

    /// Its name in a file of tokens.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// May it do what `needed` may? A participant may do what only it may do, and nothing else.
    pub fn may(self, needed: Self) -> bool {
        match (self.rank(), needed.rank()) {
            (Some(own), Some(needed)) => own >= needed,
            _ => self == needed,
        }
    }

    const fn rank(self) -> Option<u8> {
        match self {
            Self::Viewer => Some(0),
            Self::Starter => Some(1),
            Self::Operator => Some(2),
            Self::Admin => Some(3),
            Self::Participant => None,
        }
    }
}

/// Who a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's name, which stands in the audit.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// The services that a participant may speak for.
    pub services: Vec<String>,
}

/// The tokens of an installation.
pub struct Tokens(Vec<Token>);

struct Token {
    sha256: [u8; 32],
    identity: Identity,
}

/// Hashes are not shown either.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|token| &token.identity)).finish()
    }
}

/// Why a file of tokens is not taken. It never quotes the file, which holds secrets.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("the tokens in {path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is no TOML.
    #[error(
        "the tokens are not TOML from line {line} on; write [[token]] with name, role, and token or sha256"
    )]
    NotToml {
        /// Where.
        line: usize,
    },
    /// A token is not as it should be.
    #[error("token {number} ({name}): {what}")]
    Bad {
        /// Which, counted from 1.
        number: usize,
        /// Its name, where it says one.
        name: String,
        /// What is wrong and what to write.
        what: String,
    },
    /// The file as a whole is not as it should be.
    #[error("{0}")]
    File(String),
}

impl Tokens {
    /// Reads a file of tokens.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let unreadable =
            |error| TokensError::Unreadable { path: path.display().to_string(), error };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > TOKENS_FILE_BYTES_MAX as u64 {
            let what = format!(
                "the tokens file has {bytes} bytes; at most {TOKENS_FILE_BYTES_MAX} are read"
            );
            return Err(TokensError::File(what));
        }
        Self::parse(&std::fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Reads the text of such a file: `[[token]]` entries with `name`, `role` (viewer, starter,
    /// operator, admin, participant), `token` or its `sha256`, and for a participant `services`.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..before].iter().filter(|&&b| b == b'\n').count() + 1;
            TokensError::NotToml { line }
        })?;
        let file = |what: &str| Err(TokensError::File(what.to_owned()));
        let entries = match table.remove("token") {
            Some(Value::Array(entries)) if !entries.is_empty() => entries,
            Some(Value::Array(_)) | None => {
                return file("the tokens file has no [[token]]; without a token nobody could call");
            }
            Some(_) => return file("`token` must be written as [[token]] entries"),
        };
        if let Some(key) = table.keys().next() {
            return file(&format!(
                "the tokens file has an unknown key {key:?}; it has [[token]] only"
            ));
        }
        if entries.len() > TOKENS_MAX {
            return file(&format!(
                "the tokens file has {} tokens; at most {TOKENS_MAX} are taken",
                entries.len()
            ));
        }
        let mut tokens: Vec<Token> = Vec::with_capacity(entries.len());
        for (i, entry) in entries.into_iter().enumerate() {
            let name =
                entry.get("name").and_then(Value::as_str).unwrap_or("without name").to_owned();
            let token = token(entry).and_then(|token| match same(&tokens, &token) {
                Some(what) => Err(what.to_owned()),
                None => Ok(token),
            });
            let bad = |what| TokensError::Bad { number: i + 1, name, what };
            tokens.push(token.map_err(bad)?);
        }
        Ok(Self(tokens))
    }

    /// Whose token this is. It takes the same time wherever the two differ, and whether or not
    /// there is one.
    pub fn find(&self, presented: &str) -> Option<&Identity> {
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for token in &self.0 {
            let equal: Choice = token.sha256.ct_eq(&hash);
            if bool::from(equal) {
                found = Some(&token.identity);
            }
        }
        found
    }
}

fn same(tokens: &[Token], token: &Token) -> Option<&'static str> {
    if tokens.iter().any(|other| other.identity.name == token.identity.name) {
        return Some("its name stands twice; the audit could not tell them apart");
    }
    let equal = |other: &Token| bool::from(other.sha256.ct_eq(&token.sha256));
    tokens.iter().any(equal).then_some("it is the same secret as another token")
}

fn token(entry: Value) -> Result<Token, String> {
    let Value::Table(mut entry) = entry else { return Err("it must be a table".to_owned()) };
    let mut text = |key: &str| match entry.remove(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("its {key} must be text in quotes")),
        None => Ok(None),
    };
    let name = text("name")?.ok_or("it has no name; it stands in the audit")?;
    let role = text("role")?.ok_or("it has no role")?;
    let sha256 = match (text("token")?, text("sha256")?) {
        (Some(token), None) if token.chars().count() < TOKEN_CHARS_MIN => {
            return Err(format!(
                "it is shorter than {TOKEN_CHARS_MIN} characters; take random ones"
            ));
        }
        (Some(token), None) => Sha256::digest(token.as_bytes()).into(),
        (None, Some(hash)) => {
            hex(&hash).ok_or("its sha256 must be 64 hexadecimal digits: sha256sum of the token")?
        }
        _ => return Err("it must have either token or sha256".to_owned()),
    };
    let names = Role::NAMES.map(|(name, _)| name).join(", ");
    let known = Role::NAMES.iter().find(|(name, _)| *name == role);
    let role = known.map(|(_, role)| *role).ok_or(format!("its role must be one of {names}"))?;
    let services = services(entry.remove("services"))?;
    if (role == Role::Participant) == services.is_empty() {
        return Err(
            "services = [\"…\"] belongs to a participant, and a participant needs it".to_owned()
        );
    }
    match entry.keys().next() {
        Some(key) => Err(format!("it has an unknown key {key:?}")),
        None => Ok(Token { sha256, identity: Identity { name: name.into(), role, services } }),
    }
}

fn services(value: Option<Value>) -> Result<Vec<String>, String> {
    let wrong = || "its services must be a list of names".to_owned();
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Array(names) = value else { return Err(wrong()) };
    names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_by_themselves_or_by_their_hash() {
        let hash: [u8; 32] = Sha256::digest(b"another long secret").into();
        let file = format!(
            "[[token]]\nname = \"ada\"\nrole = \"operator\"\ntoken = \"a rather long secret\"\n\
             [[token]]\nname = \"pay\"\nrole = \"participant\"\nservices = [\"Pay\"]\nsha256 = \"{}\"\n",
            crate::saga_json::hash(&hash)
        );
        let tokens = Tokens::parse(&file).unwrap();
        assert_eq!(&*tokens.find("a rather long secret").unwrap().name, "ada");
        let pay = tokens.find("another long secret").unwrap();
        assert_eq!((pay.role, &pay.services[..]), (Role::Participant, &["Pay".to_owned()][..]));
        assert_eq!(tokens.find("a rather long secre"), None);
        assert!(!format!("{tokens:?}").contains("secret"));
    }

    #[test]
    fn a_role_may_do_what_lower_roles_may() {
        use Role::*;
        for (role, may) in [
            (Viewer, &[Viewer][..]),
            (Starter, &[Viewer, Starter]),
            (Operator, &[Viewer, Starter, Operator]),
            (Admin, &[Viewer, Starter, Operator, Admin]),
            (Participant, &[Participant]),
        ] {
            for needed in [Viewer, Starter, Operator, Admin, Participant] {
                assert_eq!(role.may(needed), may.contains(&needed), "{role:?} {needed:?}");
            }
        }
    }

    #[test]
    fn a_bad_file_is_refused_with_its_place_and_without_its_secrets() {
        let secret = "hunter2-hunter2-hunter2";
        let entry = |rest: &str| format!("[[token]]\nname = \"ada\"\n{rest}\n");
        for (file, expected) in [
            (String::new(), "no [[token]]"),
            (format!("[[token]]\nname = \"x\ntoken = \"{secret}\""), "line 2"),
            (format!("token = \"{secret}\""), "[[token]] entries"),
            (entry(&format!("token = \"{secret}\"")), "no role"),
            (entry("role = \"viewer\"\ntoken = \"short\""), "shorter than 16"),
            (entry("role = \"viewer\""), "either token or sha256"),
            (entry("role = \"viewer\"\nsha256 = \"xyz\""), "64 hexadecimal"),
            (entry("role = \"viewer\"\ntoken = 123456789012345678"), "text in quotes"),
            (entry(&format!("role = \"root\"\ntoken = \"{secret}\"")), "one of viewer"),
            (
                entry(&format!("role = \"participant\"\ntoken = \"{secret}\"")),
                "participant needs it",
            ),
            (
                entry(&format!("role = \"viewer\"\nservices = [\"A\"]\ntoken = \"{secret}\"")),
                "belongs to a participant",
            ),
            (entry(&format!("role = \"viewer\"\ntoken = \"{secret}\"\nrolle = 1")), "unknown key"),
            (entry(&format!("role = \"viewer\"\ntoken = \"{secret}\"")).repeat(2), "twice"),
            (
                entry(&format!("role = \"viewer\"\ntoken = \"{secret}\""))
                    + &entry(&format!("role = \"viewer\"\ntoken = \"{secret}\""))
                        .replace("ada", "bob"),
                "same secret",
            ),
        ] {
            let error = Tokens::parse(&file).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
