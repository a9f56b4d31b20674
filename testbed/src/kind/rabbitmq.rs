//! RabbitMQ.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Kind;
use crate::program::Program;
use crate::server::free_port;

/// How long the greeting may take of a server that listens already.
const GREETING_WITHIN: Duration = Duration::from_secs(1);

const PACKAGE: &str = "rabbitmq-server";

/// The names of Erlang's nodes are kept by a program of its own, which a node starts in the
/// background and never ends. So we start it, where nobody else's is, as a child of the server that
/// goes when the server does, however it ends: `$1` is its port, `$2` the server.
const SCRIPT: &str = r#"
setpriv --pdeathsig KILL epmd -address 127.0.0.1 -port "$1" &
exec "$2"
"#;

/// The largest message is small, so that a test of what is larger sends little.
const CONFIG: &str = "\
max_message_size = 1048576
raft.wal_max_size_bytes = 67108864
log.console.level = warning
";

/// One thread of each sort, so that some servers fit on a small machine; and no other machine
/// reaches it.
const ERLANG: &str =
    "-noinput +S 1:1 +SDcpu 1:1 +SDio 1 +A 1 -kernel inet_dist_use_interface {127,0,0,1}";

/// A RabbitMQ without plugins.
pub fn rabbitmq() -> Box<dyn Kind> {
    // What Debian has in the path changes the user, and writes to the log of the machine's own.
    Box::new(RabbitMq { folders: vec![PathBuf::from("/usr/lib/rabbitmq/bin")] })
}

struct RabbitMq {
    /// Where its program may be, beside those of the path.
    folders: Vec<PathBuf>,
}

impl Kind for RabbitMq {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    fn user(&self) -> &'static str {
        "rabbitmq"
    }

    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>> {
        std::fs::write(folder.join("rabbitmq.conf"), CONFIG)?;
        std::fs::write(folder.join("plugins"), "[].\n")?;
        Ok(None)
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        let server = Program::find("rabbitmq-server", &self.folders, PACKAGE)?;
        let names = free_port()?.to_string();
        Ok(Program::find("sh", &[], "dash")?
            .args(["-c", SCRIPT, "amends-testbed-rabbitmq", &names])
            .arg(server.path())
            // Its secret lies there.
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", &names)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("amends-{port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_DIST_PORT", free_port()?.to_string())
            // Not the machine's own settings.
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("none"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("logs"))
            .env("RABBITMQ_LOGS", "-")
            // The script becomes the server instead of waiting for it.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG))
    }

    /// It listens when it has read what it has.
    fn is_ready(&self, _folder: &Path, port: u16) -> bool {
        let greeted = || -> std::io::Result<u8> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(GREETING_WITHIN))?;
            stream.write_all(b"AMQP\x00\x00\x09\x01")?;
            let mut first = [0];
            stream.read_exact(&mut first)?;
            Ok(first[0])
        };
        // The first frame is a method; and a connection to ourselves would greet with our own words.
        greeted().is_ok_and(|first| first == 1)
    }

    fn url(&self, port: u16) -> String {
        format!("amqp://127.0.0.1:{port}")
    }
}
