//! `cargo xtask test`: the machine is made ready, and every stage runs, whatever the one before
//! came to.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use crate::built;
use crate::machine::{self, Missing};
use crate::proof::{self, Evidence};
use crate::python;
use crate::stages::{By, STAGES, Stage};
use crate::summary::{Counter, Counts, End, Row, table};
use crate::tidy;

/// How many tests of a program run at the same time, to Rust's own harness.
const TEST_THREADS: &str = "RUST_TEST_THREADS";

/// More than there are processors: the long tests wait, for a deadline or a server, and do not work.
const TEST_THREADS_UNSAID: &str = "6";

/// Runs the named stages, or all: did every one of them end well?
pub(crate) fn test(root: &Path, wanted: &[&str]) -> anyhow::Result<bool> {
    for name in wanted {
        let known = STAGES.iter().any(|stage| stage.name == *name);
        ensure!(known, "there is no stage {name}; `cargo xtask stages` lists them");
    }
    let missing = machine::prepare();
    for Missing { name, what } in &missing {
        eprintln!("missing: {name}: {what}");
    }
    let mut evidence = Evidence::default();
    let mut rows = Vec::new();
    for stage in STAGES.iter().filter(|stage| wanted.is_empty() || wanted.contains(&stage.name)) {
        rows.push(staged(stage.name, stage.what, || run(root, stage, &mut evidence)));
    }
    if evidence.complete() {
        let what =
            "for every law a check caught a mistake in this run, and docs/proof.md says which";
        rows.push(staged("proof", what, || {
            evidence.compare(root)?;
            Ok(End::Ran(Counts::PASSED))
        }));
    }
    // Of named stages those that need it fail by themselves; the others need not have it.
    let of_all = missing.into_iter().filter(|_| wanted.is_empty());
    rows.extend(of_all.map(|Missing { name, what }| Row {
        name,
        end: End::Missing(what),
        took: Duration::ZERO,
    }));
    let (text, all) = table(&rows);
    println!("\n{text}");
    Ok(all.all_well())
}

/// Runs the stages that say what they proved, and writes it down: did they end well?
pub(crate) fn write_proof(root: &Path) -> anyhow::Result<bool> {
    let mut evidence = Evidence::default();
    for stage in STAGES.iter().filter(|stage| proof::speakers().contains(&stage.name)) {
        match run(root, stage, &mut evidence)? {
            End::Ran(counts) if counts.all_well() => {}
            _ => return Ok(false),
        }
    }
    evidence.write(root)?;
    Ok(true)
}

/// Runs one stage between its two lines; an error is a failure like any other.
fn staged(name: &'static str, what: &str, run: impl FnOnce() -> anyhow::Result<End>) -> Row {
    println!("\n== {name}: {what}");
    let start = Instant::now();
    let end = run().unwrap_or_else(|e| {
        eprintln!("{name}: {e:#}");
        End::Ran(Counts::FAILED)
    });
    let took = start.elapsed();
    println!("== {name}: {:.1} s", took.as_secs_f64());
    Row { name, end, took }
}

fn run(root: &Path, stage: &Stage, evidence: &mut Evidence) -> anyhow::Result<End> {
    match stage.by {
        By::Program([program, arguments @ ..]) => {
            let (end, lines) = program_run(root, Command::new(program).args(arguments))?;
            evidence.hear(stage.name, &lines);
            Ok(end)
        }
        By::Program([]) => Err(anyhow!("the stage names no program")),
        By::Built(name, arguments) => {
            let mut building = built::building(root, &["--bin", name]);
            let (end, _) = program_run(root, &mut building)?;
            if !matches!(end, End::Ran(counts) if counts.all_well()) {
                return Ok(end);
            }
            let (end, lines) = program_run(root, built::program(root, name).args(arguments))?;
            evidence.hear(stage.name, &lines);
            Ok(end)
        }
        By::Python => {
            let mut all = Counts::default();
            for mut command in python::commands(root)? {
                if let (End::Ran(counts), _) = program_run(root, &mut command)? {
                    all += counts;
                }
            }
            Ok(End::Ran(all))
        }
        By::Tidy => Ok(End::Ran(Counter::default().counts(tidy::print(root)?))),
        By::Deny(arguments) => {
            let deny = machine::cargo_deny(root)?;
            Ok(program_run(root, Command::new(deny).args(arguments))?.0)
        }
        By::Advisories => match machine::advisory_database_reachable() {
            Ok(()) => {
                let deny = machine::cargo_deny(root)?;
                Ok(program_run(root, Command::new(deny).args(["check", "advisories"]))?.0)
            }
            Err(why) => Ok(End::NotRun(why)),
        },
    }
}

/// Runs a program, at the root unless it says where: what it prints is shown as it comes, and its
/// tests are counted. Also gives the lines that are rows of a table.
fn program_run(root: &Path, command: &mut Command) -> anyhow::Result<(End, Vec<String>)> {
    let name = command.get_program().to_string_lossy().into_owned();
    if std::env::var_os(TEST_THREADS).is_none() {
        command.env(TEST_THREADS, TEST_THREADS_UNSAID);
    }
    if command.get_current_dir().is_none() {
        command.current_dir(root);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot be run"))?;
    let heard = Mutex::new((Counter::default(), Vec::new()));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| show(out, &heard, &mut std::io::stdout()));
        show(err, &heard, &mut std::io::stderr());
    });
    let status = child.wait().with_context(|| format!("{name} cannot be waited for"))?;
    let heard = heard.into_inner();
    let (counter, rows) = heard.map_err(|_| anyhow!("the output of {name} was lost"))?;
    Ok((End::Ran(counter.counts(status.success())), rows))
}

fn show(from: Option<impl Read>, heard: &Mutex<(Counter, Vec<String>)>, to: &mut impl Write) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // Nobody may be there to read it; the stage runs all the same.
        let _ = writeln!(to, "{line}");
        if let Ok(mut heard) = heard.lock() {
            let (counter, rows) = &mut *heard;
            counter.read(&line);
            if line.contains('\t') {
                rows.push(line.into_owned());
            }
        }
    }
}
