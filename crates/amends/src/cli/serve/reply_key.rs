//! The key that signs reply addresses: made once, kept in the data folder, readable by its owner.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use amends_wire::TokenKey;

use super::super::exit::{Exit, Failure};

const FILE: &str = "reply-token.key";

/// As many as the signature has.
const KEY_BYTES: usize = 32;

/// Reads the folder's key, or makes it. The folder must be open, so that only one does.
pub fn load(folder: &Path) -> Result<TokenKey, Failure> {
    let path = folder.join(FILE);
    let unusable = |error: io::Error| {
        let what =
            format!("the key of reply addresses, {}, cannot be used: {error}", path.display());
        Failure::new(Exit::Error, what)
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(folder, &path).map_err(unusable)?
        }
        Err(error) => return Err(unusable(error)),
    };
    let whole = bytes.len() == KEY_BYTES;
    let key = whole.then(|| TokenKey::new(&bytes).ok()).flatten();
    key.ok_or_else(|| {
        let what = format!("{} does not hold the {KEY_BYTES} bytes of a key", path.display());
        let next = "restore it from the backup; without it, answers to commands in flight are \
                    refused. Where nothing is in flight, remove it and a new one is made";
        Failure::new(Exit::Error, what).hint(next)
    })
}

/// Whole or not at all: a key that changes later would make every open address void.
fn make(folder: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let whole = folder.join(format!("{FILE}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&whole)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&whole, path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_wire::{CommandId, Direction, SagaId};

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let command = CommandId {
            saga_id: SagaId(7),
            step_name: "reserve".to_owned(),
            direction: Direction::Action,
            round: 1,
        };
        let issued = load(folder.path()).unwrap().issue(&command);
        assert_eq!(load(folder.path()).unwrap().issue(&command), issued);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), b"short").unwrap();
        let failure = load(folder.path()).unwrap_err();
        assert!(failure.what().contains("does not hold the 32 bytes"), "{}", failure.what());
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), b"short");
    }
}
