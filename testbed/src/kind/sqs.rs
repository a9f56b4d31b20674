//! A server that speaks SQS: moto, which keeps queues as Amazon's service does, in memory.
//!
//! Killed, it has lost everything. How a client meets a service that is away is tried with a
//! [`Door`](crate::Door) in front of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::Kind;
use crate::cache::{self, run};
use crate::program::Program;

/// The version that `requirements.txt` is of.
const VERSION: &str = "5.2.5";

/// The server and all that it needs, a version each.
const REQUIREMENTS: &str = include_str!("sqs/requirements.txt");

/// What starts it, and says who is known.
const SERVER: &str = include_str!("sqs/server.py");

/// Of Python's environments.
const PACKAGE: &str = "python3 python3-venv";

/// How long the answer may take of a server that listens already.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Who may do everything at a server that asks who one is: key and secret.
pub const SQS_OWNER: (&str, &str) = ("AKIAOWNER00000000000", "s3cr3t-of-the-owner");

/// Who is known there and may look at queues, but make none.
pub const SQS_GUEST: (&str, &str) = ("AKIAGUEST00000000000", "s3cr3t-of-the-guest");

/// A server that lets everyone do everything.
pub fn sqs() -> Box<dyn Kind> {
    Box::new(Sqs { asks: false })
}

/// A server that takes what is signed by [`SQS_OWNER`] or [`SQS_GUEST`], and nothing else.
pub fn sqs_with_logins() -> Box<dyn Kind> {
    Box::new(Sqs { asks: true })
}

struct Sqs {
    /// Whether it asks who one is.
    asks: bool,
}

impl Kind for Sqs {
    fn name(&self) -> &'static str {
        if self.asks { "sqs_logins" } else { "sqs" }
    }

    /// It runs as anyone, and its environment is where perhaps only root may read.
    fn user(&self) -> &'static str {
        "root"
    }

    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>> {
        fs::write(folder.join("server.py"), SERVER)?;
        Ok(None)
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        let environment = environment()?;
        let python = Program::find("python", &[environment.join("bin")], PACKAGE)?;
        let server = python.arg(folder.join("server.py")).arg(port.to_string());
        let server = server.env("PYTHONDONTWRITEBYTECODE", "1");
        if !self.asks {
            return Ok(server);
        }
        let ((owner, owner_secret), (guest, guest_secret)) = (SQS_OWNER, SQS_GUEST);
        let server = server.args(["owner", owner, owner_secret, "sqs:*"]);
        Ok(server.args(["guest", guest, guest_secret, "sqs:Get*"]))
    }

    fn is_ready(&self, _folder: &Path, port: u16) -> bool {
        let answered = || -> std::io::Result<[u8; 5]> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(ANSWER_WITHIN))?;
            stream.write_all(b"GET /moto-api/data.json HTTP/1.0\r\n\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        // A connection to ourselves would answer with our own words.
        answered().is_ok_and(|answer| &answer == b"HTTP/")
    }

    fn url(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}")
    }
}

/// The server's environment. It is made where it is not there yet, which takes some seconds to a
/// minute.
fn environment() -> anyhow::Result<PathBuf> {
    cache::folder(&format!("moto-{VERSION}"), is_whole, |folder| {
        eprintln!("moto {VERSION} is fetched from PyPI, once, to {}", folder.display());
        fetch(folder)
    })
}

/// The list lies in the environment when all of it is there; and its Python may have gone since.
fn is_whole(environment: &Path) -> bool {
    environment.join("bin").join("python").exists()
        && fs::read_to_string(list_in(environment)).is_ok_and(|list| list == REQUIREMENTS)
}

fn list_in(environment: &Path) -> PathBuf {
    environment.join("requirements.txt")
}

fn fetch(environment: &Path) -> anyhow::Result<()> {
    let wanted = environment.with_extension("wanted");
    fs::write(&wanted, REQUIREMENTS)?;
    let python = Program::find("python3", &[], PACKAGE)?;
    run(&python.args(["-m", "venv", "--clear"]).arg(environment))
        .context("Python cannot make an environment; `apt-get install python3-venv` may help")?;
    let python = Program::find("python", &[environment.join("bin")], PACKAGE)?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(&python.args(install).arg(&wanted)).context("moto cannot be had")?;
    // Last: an environment that was left half full is made anew.
    fs::rename(&wanted, list_in(environment)).context("the list of what it holds cannot be kept")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_has_its_version_and_moto_has_ours() {
        let lines = REQUIREMENTS.lines().filter(|line| !line.starts_with('#'));
        assert!(lines.clone().all(|line| line.split_once("==").is_some()), "{REQUIREMENTS}");
        assert!(lines.clone().any(|line| line == format!("moto=={VERSION}")));
    }
}
