//! NATS with JetStream.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Kind;
use crate::program::Program;

/// How long the greeting may take of a server that listens already.
const GREETING_WITHIN: Duration = Duration::from_secs(1);

const PACKAGE: &str = "nats-server";

/// A NATS server with JetStream.
pub fn nats() -> Box<dyn Kind> {
    Box::new(Nats { folders: vec![PathBuf::from("/usr/sbin")] })
}

struct Nats {
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

    fn set_up(&self, _folder: &Path) -> anyhow::Result<Option<Program>> {
        Ok(None)
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        Ok(Program::find("nats-server", &self.folders, PACKAGE)?
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream"])
            .arg("--store_dir")
            .arg(folder.join("data")))
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
