//! Python: the participant kit and the example participants, in an environment of their own under
//! `target`, beside real databases.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::built;

/// What the environment holds, a version each.
const REQUIREMENTS: &str = "python/requirements-test.txt";

/// A part of the stage: where it runs, and what the environment's Python is to do there.
struct Part {
    folder: &'static str,
    arguments: &'static [&'static str],
}

/// In this order; the first needs no database and is over in seconds.
const PARTS: &[Part] = &[
    Part { folder: "python", arguments: &["-m", "ruff", "check", "."] },
    Part { folder: "python", arguments: &["-m", "ruff", "format", "--check", "."] },
    Part { folder: "python", arguments: &["-m", "mypy"] },
];

/// What the kit's tests run on.
const SERVERS: &[&str] =
    &["postgres", "mariadb", "nats", "rabbitmq", "kafka", "kafka_logins", "sqs", "sqs_logins"];

/// The kit's tests, which find the servers by their variables.
const KIT: &[&str] = &["-m", "pytest", "-q"];

/// What starts them.
const TESTBED: &str = "amends-testbed";

/// The service of the kit's storm, whose killing and judging the kit for Rust does.
const STORM_SERVICE: &str = "python/tests/storm_service.py";

/// A few hundred on each database take a minute; thousands are for who has time.
const STORM_SAGAS: &str = "300";

/// The example participants, each in a process of its own: with the machine's own Python, because
/// nothing is to be installed for them.
const EXAMPLES: &[&str] =
    &["-m", "unittest", "discover", "--start-directory", "examples/order/participants"];

/// All that the stage runs.
pub(crate) fn commands(root: &Path) -> anyhow::Result<Vec<Command>> {
    let python = environment(root)?;
    let mut commands: Vec<Command> =
        PARTS.iter().map(|part| of(&python, &root.join(part.folder), part.arguments)).collect();
    // The kit's tests have sagas run by `amends`, which `conformance` also holds against the examples.
    commands.push(built::building(root, &["--bin", "amends", "--bin", TESTBED]));
    let mut kit = built::program(root, TESTBED);
    kit.args(SERVERS)
        .arg("--")
        .arg(&python)
        .args(KIT)
        .current_dir(root.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    commands.push(kit);
    commands.push(storm(root, &python));
    commands.push(of(Path::new("python3"), root, EXAMPLES));
    Ok(commands)
}

/// Sagas on each database, with the service killed at random and started again.
fn storm(root: &Path, python: &Path) -> Command {
    let mut storm = Command::new("cargo");
    storm
        .args(["test", "--locked", "--quiet", "--workspace", "--test", built::STORM])
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .args(["--", "--sagas", STORM_SAGAS, "--service"])
        .arg(python)
        .arg(root.join(STORM_SERVICE))
        .current_dir(root.join("python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    storm
}

fn of(python: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The environment's Python: made once, and again when what it holds has changed.
fn environment(root: &Path) -> anyhow::Result<PathBuf> {
    let wanted = std::fs::read_to_string(root.join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let folder = root.join("target").join("python");
    let python = folder.join("bin").join("python");
    let holds = folder.join("requirements-test.txt");
    if python.exists() && std::fs::read_to_string(&holds).is_ok_and(|held| held == wanted) {
        return Ok(python);
    }
    println!("making an environment for Python in {}, once", folder.display());
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), "make")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    done(install.arg(root.join(REQUIREMENTS)), "fill")?;
    // Written last: an environment that was left half full is made anew.
    std::fs::write(&holds, wanted).with_context(|| holds.display().to_string())?;
    Ok(python)
}

fn done(command: &mut Command, what: &str) -> anyhow::Result<()> {
    let status = command.status().context("python3 cannot be run")?;
    ensure!(status.success(), "Python cannot {what} the environment; see above");
    Ok(())
}
