//! Kafka, one node that is broker and controller (KRaft).

mod jars;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::Kind;
use crate::program::Program;

/// How long an answer may take of a server that listens already.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Of any Java from 17 on.
const PACKAGE: &str = "default-jre-headless";

/// Which versions of its requests the server speaks: the one question that needs no login.
const API_VERSIONS: [u8; 10] = [0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

/// Who may do everything at a Kafka that asks who one is, with the password.
pub const KAFKA_OWNER: (&str, &str) = ("owner", "s3cr3t-of-the-owner");

/// Who is known there and may do nothing.
pub const KAFKA_GUEST: (&str, &str) = ("guest", "s3cr3t-of-the-guest");

/// A Kafka that lets everyone do everything.
pub fn kafka() -> Box<dyn Kind> {
    Box::new(Kafka { asks_who_one_is: false })
}

/// A Kafka that asks for a login (SASL/PLAIN): [`KAFKA_OWNER`] or [`KAFKA_GUEST`].
pub fn kafka_with_logins() -> Box<dyn Kind> {
    Box::new(Kafka { asks_who_one_is: true })
}

struct Kafka {
    asks_who_one_is: bool,
}

impl Kind for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    /// Kafka runs as anyone, and its jars are where perhaps only root may read.
    fn user(&self) -> &'static str {
        "root"
    }

    fn set_up(&self, folder: &Path) -> anyhow::Result<Option<Program>> {
        let settings = self.write_settings(folder, 0, 0)?;
        // What a cluster is called matters to nobody here.
        let id = ["--cluster-id", "AAAAAAAAAAAAAAAAAAAAAQ"];
        let format = java()?.arg("kafka.tools.StorageTool").arg("format").args(id);
        Ok(Some(format.arg("--config").arg(settings)))
    }

    fn serve(&self, folder: &Path, port: u16) -> anyhow::Result<Program> {
        // Nothing on disk remembers the controller's port.
        let controller = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        let controller = controller.local_addr()?.port();
        let settings = self.write_settings(folder, port, controller)?;
        Ok(java()?.arg("kafka.Kafka").arg(settings))
    }

    fn is_ready(&self, _folder: &Path, port: u16) -> bool {
        let answered = || -> io::Result<()> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_read_timeout(Some(ANSWER_WITHIN))?;
            stream.write_all(&(API_VERSIONS.len() as u32).to_be_bytes())?;
            stream.write_all(&API_VERSIONS)?;
            stream.read_exact(&mut [0; 8]) // length, and the number of the question
        };
        answered().is_ok()
    }

    fn url(&self, port: u16) -> String {
        format!("127.0.0.1:{port}")
    }
}

impl Kafka {
    fn write_settings(&self, folder: &Path, port: u16, controller: u16) -> io::Result<PathBuf> {
        let data = folder.join("data");
        let data = data.display();
        let protocol = if self.asks_who_one_is { "SASL_PLAINTEXT" } else { "PLAINTEXT" };
        let mut settings = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=CLIENT://127.0.0.1:{port}\n\
             listener.security.protocol.map=CLIENT:{protocol},CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=CLIENT\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={data}\n\
             {SETTINGS}"
        );
        if self.asks_who_one_is {
            let (owner, owner_password) = KAFKA_OWNER;
            let (guest, guest_password) = KAFKA_GUEST;
            // The controller has no listener but its own, where nobody says who they are.
            settings.push_str(&format!(
                "listener.name.client.sasl.enabled.mechanisms=PLAIN\n\
                 listener.name.client.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required \
                 username=\"{owner}\" password=\"{owner_password}\" \
                 user_{owner}=\"{owner_password}\" user_{guest}=\"{guest_password}\";\n\
                 sasl.mechanism.inter.broker.protocol=PLAIN\n\
                 authorizer.class.name=\
                 org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:{owner};User:ANONYMOUS\n"
            ));
        }
        let path = folder.join("server.properties");
        fs::write(&path, settings)?;
        Ok(path)
    }
}

/// What is the same for all. A topic has three partitions, so that two copies of an end have
/// something to share. What would be three copies of Kafka's own topics, in fifty partitions, is
/// one in one. A group does not wait for its third member before it gives work to its first, and a
/// server that was killed is taken for dead after two seconds: only then may it come back.
const SETTINGS: &str = "\
num.partitions=3
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
";

/// Java with Kafka's classes, small, and soon there: it runs for the length of a test.
fn java() -> anyhow::Result<Program> {
    let mut classes = jars::folder()?.into_os_string();
    classes.push("/*");
    Ok(Program::find("java", &[], PACKAGE)?
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg("-cp")
        .arg(classes))
}
