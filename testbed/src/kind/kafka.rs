//! Kafka, one node that is broker and controller (KRaft).

mod jars;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

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

/// The certificate of a Kafka that encrypts, in the server's folder.
pub const KAFKA_CERTIFICATE: &str = "certificate.pem";

/// A Kafka that lets everyone do everything.
pub fn kafka() -> Box<dyn Kind> {
    Box::new(Kafka { door: Door::Open })
}

/// A Kafka that asks for a login (SASL/PLAIN): [`KAFKA_OWNER`] or [`KAFKA_GUEST`].
pub fn kafka_with_logins() -> Box<dyn Kind> {
    Box::new(Kafka { door: Door::Logins })
}

/// A Kafka that encrypts, under [`KAFKA_CERTIFICATE`], and asks for a login that is never said in
/// plain (SCRAM-SHA-512): [`KAFKA_OWNER`].
pub fn kafka_with_tls() -> Box<dyn Kind> {
    Box::new(Kafka { door: Door::Tls })
}

struct Kafka {
    door: Door,
}

/// How one comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Logins,
    Tls,
}

/// Of the file of its key, which ends with the server.
const KEY_PASSWORD: &str = "changeit";

impl Kind for Kafka {
    fn name(&self) -> &'static str {
        match self.door {
            Door::Open => "kafka",
            Door::Logins => "kafka_logins",
            Door::Tls => "kafka_tls",
        }
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
        let format = format.arg("--config").arg(settings);
        if self.door != Door::Tls {
            return Ok(Some(format));
        }
        make_key(folder)?;
        let (name, password) = KAFKA_OWNER;
        let login = format!("SCRAM-SHA-512=[name={name},password={password}]");
        Ok(Some(format.arg("--add-scram").arg(login)))
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
            let mut answer = [0; 8]; // its length, and the number of the question
            if self.door == Door::Tls {
                // What is not encrypted is not answered, but turned away.
                return stream.read(&mut answer).map(drop);
            }
            stream.read_exact(&mut answer)
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
        let protocol = match self.door {
            Door::Open => "PLAINTEXT",
            Door::Logins => "SASL_PLAINTEXT",
            Door::Tls => "SASL_SSL",
        };
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
        match self.door {
            Door::Open => {}
            Door::Logins => settings.push_str(&with_logins()),
            Door::Tls => settings.push_str(&with_tls(folder)),
        }
        let path = folder.join("server.properties");
        fs::write(&path, settings)?;
        Ok(path)
    }
}

/// Whoever is known, and that only the owner may do anything. The controller has a listener of its
/// own, where nobody says who they are.
fn with_logins() -> String {
    let (owner, owner_password) = KAFKA_OWNER;
    let (guest, guest_password) = KAFKA_GUEST;
    format!(
        "listener.name.client.sasl.enabled.mechanisms=PLAIN\n\
         listener.name.client.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"{owner}\" password=\"{owner_password}\" \
         user_{owner}=\"{owner_password}\" user_{guest}=\"{guest_password}\";\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:{owner};User:ANONYMOUS\n"
    )
}

/// The key, whom it is trusted by, and how the broker comes in to itself.
fn with_tls(folder: &Path) -> String {
    let (owner, password) = KAFKA_OWNER;
    let (key, certificate) = (folder.join(KEY), folder.join(KAFKA_CERTIFICATE));
    format!(
        "ssl.keystore.type=PKCS12\n\
         ssl.keystore.location={}\n\
         ssl.keystore.password={KEY_PASSWORD}\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={}\n\
         listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.client.scram-sha-512.sasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required \
         username=\"{owner}\" password=\"{password}\";\n\
         sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512\n",
        key.display(),
        certificate.display()
    )
}

/// The file of the server's key.
const KEY: &str = "key.p12";

/// Makes a key for the loopback, and writes out its certificate, which signs itself.
fn make_key(folder: &Path) -> anyhow::Result<()> {
    let key = folder.join(KEY);
    let keytool = |command: &[&str]| -> anyhow::Result<()> {
        let tool = Program::find("keytool", &[], PACKAGE)?.args(command);
        let tool = tool.args(["-alias", "kafka", "-storepass", KEY_PASSWORD, "-keystore"]);
        ensure!(tool.arg(&key).succeeds(), "keytool {} does not end well", command[0]);
        Ok(())
    };
    keytool(&[
        "-genkeypair",
        "-keyalg",
        "EC",
        "-dname",
        "CN=localhost",
        "-ext",
        "san=ip:127.0.0.1",
        "-ext",
        "bc=ca:true",
        "-storetype",
        "PKCS12",
    ])?;
    let certificate = folder.join(KAFKA_CERTIFICATE).display().to_string();
    keytool(&["-exportcert", "-rfc", "-file", &certificate])
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
