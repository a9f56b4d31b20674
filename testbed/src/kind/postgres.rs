//! PostgreSQL.

use std::path::{Path, PathBuf};

use super::Kind;
use crate::program::Program;

/// A test opens a few pools, and a storm many.
const CONNECTIONS_MAX: &str = "max_connections=200";

/// Debian keeps each version in a folder of its own, and none of its servers in the path.
const VERSIONS: &str = "/usr/lib/postgresql";

const PACKAGE: &str = "postgresql";

/// A PostgreSQL, of the newest version that is installed.
pub fn postgres() -> Box<dyn Kind> {
    Box::new(Postgres { folders: folders() })
}

struct Postgres {
    /// Where its programs may be, newest version first.
    folders: Vec<PathBuf>,
}

/// What a folder of this kind holds.
fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

impl Kind for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn user(&self) -> &'static str {
        "postgres"
    }

    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>> {
        let program = Program::find("initdb", &self.folders, PACKAGE)?
            .arg("--pgdata")
            .arg(data(folder))
            .args(["--username", "amends", "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        Ok(Some(program))
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        Ok(Program::find("postgres", &self.folders, PACKAGE)?
            .arg("-D")
            .arg(data(folder))
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"])
            .arg(folder)
            .args(["-c", CONNECTIONS_MAX, "-c", "shared_buffers=32MB"]))
    }

    fn is_ready(&self, _folder: &Path, port: u16) -> bool {
        let port = port.to_string();
        let asked = Program::find("pg_isready", &self.folders, PACKAGE)
            .map(|program| program.args(["-h", "127.0.0.1", "-p", &port, "-q"]).succeeds());
        asked.unwrap_or(false)
    }

    fn url(&self, port: u16) -> String {
        format!("postgres://amends@127.0.0.1:{port}/postgres")
    }
}
