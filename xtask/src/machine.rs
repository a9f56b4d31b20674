//! What the tests need of the machine: what is missing is installed where we may, else named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// A program that some stage calls.
struct Tool {
    program: &'static str,
    /// What tells that it is there, where that is not the program on the path.
    shown_by: Option<fn() -> bool>,
    debian_package: &'static str,
    why: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cc",
        shown_by: None,
        debian_package: "gcc",
        why: "SQLite is compiled from its source",
    },
    Tool {
        program: "c++",
        shown_by: None,
        debian_package: "g++",
        why: "libFuzzer is compiled from its source",
    },
    Tool {
        program: "git",
        shown_by: None,
        debian_package: "git",
        why: "tidy asks it which files there are",
    },
    Tool {
        program: "faketime",
        shown_by: None,
        debian_package: "faketime",
        why: "the server's clock jumps in the chaos tests",
    },
    Tool {
        program: "mkfs.ext4",
        shown_by: Some(has_mkfs),
        debian_package: "e2fsprogs",
        why: "the server's disk is filled in the chaos tests",
    },
    Tool {
        program: "python3",
        shown_by: None,
        debian_package: "python3",
        why: "participants are tested in Python",
    },
    Tool {
        program: "python3 -m venv",
        shown_by: Some(has_venv),
        debian_package: "python3-venv",
        why: "the participant kit for Python is tested in an environment of its own, and what speaks \
              SQS in tests runs in another",
    },
    Tool {
        program: "npm",
        shown_by: None,
        debian_package: "npm",
        why: "the schema of AsyncAPI comes from there",
    },
    Tool {
        program: "postgres",
        shown_by: Some(has_postgres),
        debian_package: "postgresql",
        why: "the participant kits are tested on it",
    },
    Tool {
        program: "mariadbd",
        shown_by: Some(has_mariadb),
        debian_package: "mariadb-server",
        why: "the participant kits are tested on it",
    },
    Tool {
        program: "nats-server",
        shown_by: Some(has_nats),
        debian_package: "nats-server",
        why: "commands by message are tested over it",
    },
    Tool {
        program: "rabbitmq-server",
        shown_by: Some(has_rabbitmq),
        debian_package: "rabbitmq-server",
        why: "commands by message are tested over it",
    },
    Tool {
        program: "java",
        shown_by: None,
        debian_package: "default-jre-headless",
        why: "Kafka runs on it, and commands by message are tested over Kafka",
    },
    Tool {
        program: "mvn",
        shown_by: None,
        debian_package: "maven",
        why: "it fetches Kafka, which no Debian package has",
    },
    Tool {
        program: "OpenSSL's headers",
        shown_by: Some(has_openssl),
        debian_package: "libssl-dev",
        why: "Kafka is reached by TLS in tests",
    },
    Tool {
        program: "pkg-config",
        shown_by: None,
        debian_package: "pkgconf",
        why: "it says where OpenSSL is",
    },
    Tool {
        program: "make",
        shown_by: None,
        debian_package: "make",
        why: "Kafka's client library is compiled from its source",
    },
];

/// A part of the Rust toolchain, by the program that it brings.
const COMPONENTS: &[(&str, &str)] = &[("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")];

/// The version that is installed where cargo-deny is missing: a minute on two cores, once.
const DENY_VERSION: &str = "0.20.2";

/// The version that breaks the machine in small ways.
const MUTANTS_VERSION: &str = "27.1.0";

/// Where the list of known holes lives; cargo-deny fetches it from there.
const ADVISORY_DATABASE: &str = "https://github.com/rustsec/advisory-db";

/// What could not be had.
pub(crate) struct Missing {
    pub(crate) name: &'static str,
    /// What it is for, and what to do.
    pub(crate) what: String,
}

/// Brings what is missing; says what could not be had.
pub(crate) fn prepare() -> Vec<Missing> {
    let mut missing = Vec::new();
    for (program, component) in COMPONENTS.iter().filter(|(program, _)| !on_path(program)) {
        println!("{program} is missing: rustup component add {component}");
        if !succeeds(Command::new("rustup").args(["component", "add", component])) {
            let what = format!("run `rustup component add {component}`");
            missing.push(Missing { name: program, what });
        }
    }
    let absent: Vec<&Tool> = TOOLS.iter().filter(|tool| !tool.is_there()).collect();
    if !absent.is_empty() {
        install(&absent);
    }
    for Tool { program, debian_package, why, .. } in absent.iter().filter(|t| !t.is_there()) {
        let way = format!("as root run `apt-get install {debian_package}`");
        let what = format!("{why}: {way}, or install it as your system does");
        missing.push(Missing { name: program, what });
    }
    missing
}

/// cargo-deny: the one on the path, the one we installed before, or a new one.
pub(crate) fn cargo_deny(root: &Path) -> anyhow::Result<PathBuf> {
    cargo_tool(root, "cargo-deny", DENY_VERSION)
}

/// cargo-mutants, the same way.
pub(crate) fn cargo_mutants(root: &Path) -> anyhow::Result<PathBuf> {
    cargo_tool(root, "cargo-mutants", MUTANTS_VERSION)
}

fn cargo_tool(root: &Path, name: &str, version: &str) -> anyhow::Result<PathBuf> {
    if on_path(name) {
        return Ok(name.into());
    }
    let tools = root.join("target").join("tools");
    let program = tools.join("bin").join(name);
    if !program.exists() {
        println!("{name} is missing: installing {version}, once, for some minutes");
        let mut install = Command::new("cargo");
        // Built to be there soon, not to be fast: it runs for seconds, and its release build would
        // take three times as long as this one.
        install.args(["install", name, "--locked", "--debug", "--version", version, "--root"]);
        let status = install.arg(&tools).status().context("cargo cannot be run")?;
        ensure!(status.success(), "{name} could not be installed; see above");
    }
    Ok(program)
}

/// Can the advisory database be fetched from here? The error says why not.
pub(crate) fn advisory_database_reachable() -> Result<(), String> {
    let asked = Command::new("git")
        .args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=10"])
        .args(["ls-remote", "--exit-code", ADVISORY_DATABASE, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{ADVISORY_DATABASE} cannot be reached: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(e) => Err(format!("git cannot be run: {e}")),
    }
}

fn install(tools: &[&Tool]) {
    if !on_path("apt-get") || !is_root() {
        return;
    }
    let packages = tools.iter().map(|tool| tool.debian_package);
    let names: Vec<&str> = packages.collect();
    println!("missing: apt-get install {}", names.join(" "));
    // What fails here is found missing right afterwards, and named.
    succeeds(Command::new("apt-get").args(["update", "--quiet"]));
    // One that cannot be had must not keep the others away.
    if !install_packages(&names) {
        for name in &names {
            install_packages(&[name]);
        }
    }
}

fn install_packages(names: &[&str]) -> bool {
    succeeds(
        Command::new("apt-get")
            .args(["install", "--yes", "--quiet", "--no-install-recommends"])
            .args(names)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // The tests start servers of their own. Those that come with a package would run on
            // after them, and take the machine's ports and memory.
            .env("SYSTEMD_OFFLINE", "1"),
    )
}

impl Tool {
    fn is_there(&self) -> bool {
        self.shown_by.map_or_else(|| on_path(self.program), |shown| shown())
    }
}

/// Only root can mount what it makes, and has its place in the path.
fn has_mkfs() -> bool {
    !is_root() || on_path("mkfs.ext4") || Path::new("/usr/sbin/mkfs.ext4").is_file()
}

/// Debian leaves out of Python what fills an environment.
fn has_venv() -> bool {
    succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}

/// Debian keeps each version in a folder of its own, and none of its servers in the path.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    on_path("initdb") || versions.map(|v| v.path().join("bin/initdb")).any(|p| p.is_file())
}

fn has_openssl() -> bool {
    succeeds(Command::new("pkg-config").args(["--exists", "openssl"]))
}

/// Only root has Debian's place for servers in the path.
fn has_mariadb() -> bool {
    on_path("mariadbd") || Path::new("/usr/sbin/mariadbd").is_file()
}

fn has_nats() -> bool {
    on_path("nats-server") || Path::new("/usr/sbin/nats-server").is_file()
}

/// What Debian has in the path is for root, and runs what lies here.
fn has_rabbitmq() -> bool {
    on_path("rabbitmq-server") || Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").is_file()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
