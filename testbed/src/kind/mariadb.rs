//! MariaDB, which speaks for MySQL.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Kind;
use crate::program::Program;

/// A test opens a few pools, and a storm many.
const CONNECTIONS_MAX: &str = "--max-connections=200";

/// How long the greeting may take of a server that listens already.
const GREETING_WITHIN: Duration = Duration::from_secs(1);

const PACKAGE: &str = "mariadb-server";

/// Run by the server before it takes connections, at every start.
const FIRST_SQL: &str = "CREATE DATABASE IF NOT EXISTS amends CHARACTER SET utf8mb4;\n";

/// A MariaDB.
pub fn mariadb() -> Box<dyn Kind> {
    Box::new(Mariadb { folders: vec![PathBuf::from("/usr/sbin")] })
}

struct Mariadb {
    /// Where its programs may be, beside those of the path.
    folders: Vec<PathBuf>,
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Its temporary tables are in its folder, too: a server that starts removes all that lie where it
/// keeps its own, and in a shared place those of another that is just being set up.
impl Kind for Mariadb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn user(&self) -> &'static str {
        "mysql"
    }

    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>> {
        std::fs::write(folder.join("first.sql"), FIRST_SQL)?;
        let program = Program::find("mariadb-install-db", &self.folders, PACKAGE)?
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .option("--datadir", data(folder))
            .option("--tmpdir", folder);
        Ok(Some(program))
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        Ok(Program::find("mariadbd", &self.folders, PACKAGE)?
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .option("--datadir", data(folder))
            .option("--tmpdir", folder)
            .option("--socket", folder.join("socket"))
            .option("--pid-file", folder.join("server.pid"))
            .option("--init-file", folder.join("first.sql"))
            .option("--port", port.to_string())
            .args([CONNECTIONS_MAX, "--innodb-buffer-pool-size=32M"])
            // The default, said because it is the point: what is committed has been synced.
            .args(["--innodb-flush-log-at-trx-commit=1"]))
    }

    /// It listens early and greets when it takes work.
    fn is_ready(&self, _folder: &Path, port: u16) -> bool {
        let greeted = || -> std::io::Result<usize> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(GREETING_WITHIN))?;
            stream.read(&mut [0; 1])
        };
        greeted().is_ok_and(|bytes| bytes == 1)
    }

    fn url(&self, port: u16) -> String {
        format!("mysql://root@127.0.0.1:{port}/amends")
    }
}
