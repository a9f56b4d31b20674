//! NATS with JetStream.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Kind;
use crate::program::Program;

/// How long the greeting may take of a server that listens already.
const GREETING_WITHIN: Duration = Duration::from_secs(1);

const PACKAGE: &str = "nats-server";

/// What a server that asks who one is knows: an operator, and the account of a shop. The keys were made for
/// tests, and open nothing else.
const LOGINS: &str = include_str!("nats/logins.conf");

/// In the folder of a server that asks: the credentials of a user of its account.
pub const NATS_OWNER: &str = "owner.creds";

/// The same of a user of another account, which it does not know.
pub const NATS_STRANGER: &str = "stranger.creds";

/// What a server knows that asks for names and passwords: one who may do everything, and one who may
/// publish no subject that begins with `denied`.
const RIGHTS: &str = r#"authorization {
  users: [
    { user: owner, password: owners }
    { user: guest, password: guests, permissions: { publish: { deny: ["denied.>"] } } }
  ]
}
"#;

/// Who may do everything at [`nats_with_rights`]: the name, and the password.
pub const NATS_KEEPER: (&str, &str) = ("owner", "owners");

/// Who may there publish nothing below `denied`.
pub const NATS_GUEST: (&str, &str) = ("guest", "guests");

/// A NATS server with JetStream.
pub fn nats() -> Box<dyn Kind> {
    Box::new(Nats { asks: None, folders: vec![PathBuf::from("/usr/sbin")] })
}

/// One that takes whoever shows [`NATS_OWNER`], and nobody else.
pub fn nats_with_logins() -> Box<dyn Kind> {
    Box::new(Nats { asks: Some(LOGINS), folders: vec![PathBuf::from("/usr/sbin")] })
}

/// One that takes [`NATS_KEEPER`] and [`NATS_GUEST`] by their passwords.
pub fn nats_with_rights() -> Box<dyn Kind> {
    Box::new(Nats { asks: Some(RIGHTS), folders: vec![PathBuf::from("/usr/sbin")] })
}

struct Nats {
    /// What it knows of who one is, where it asks.
    asks: Option<&'static str>,
    /// Where its program may be, beside those of the path.
    folders: Vec<PathBuf>,
}

impl Kind for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn user(&self) -> &'static str {
        "nats"
    }

    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>> {
        if let Some(known) = self.asks {
            fs::write(folder.join("logins.conf"), known)?;
            fs::write(folder.join(NATS_OWNER), include_str!("nats/owner.creds"))?;
            fs::write(folder.join(NATS_STRANGER), include_str!("nats/stranger.creds"))?;
        }
        Ok(None)
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        let server = Program::find("nats-server", &self.folders, PACKAGE)?
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream"])
            .arg("--store_dir")
            .arg(folder.join("data"));
        Ok(if self.asks.is_some() {
            server.arg("--config").arg(folder.join("logins.conf"))
        } else {
            server
        })
    }

    /// It greets before JetStream has read what it has, so a client may have to wait for that.
    fn is_ready(&self, _folder: &Path, port: u16) -> bool {
        let greeted = || -> std::io::Result<[u8; 4]> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(GREETING_WITHIN))?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting)?;
            Ok(greeting)
        };
        greeted().is_ok_and(|greeting| &greeting == b"INFO")
    }

    fn url(&self, port: u16) -> String {
        format!("nats://127.0.0.1:{port}")
    }
}
