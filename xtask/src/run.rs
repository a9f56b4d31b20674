//! `cargo xtask test`: the machine is made ready, and every stage runs, whatever the one before
//! came to.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};

use crate::machine;
use crate::stages::{By, STAGES, Stage};
use crate::summary::{Counter, Counts, End, Row, table};
use crate::tidy;

/// Runs the named stages, or all: did every one of them end well?
pub(crate) fn test(root: &Path, wanted: &[&str]) -> anyhow::Result<bool> {
    for name in wanted {
        let known = STAGES.iter().any(|stage| stage.name == *name);
        ensure!(known, "there is no stage {name}; `cargo xtask stages` lists them");
    }
    let missing = machine::prepare();
    for what in &missing {
        eprintln!("missing: {what}");
    }
    let chosen = STAGES.iter().filter(|stage| wanted.is_empty() || wanted.contains(&stage.name));
    let mut rows = Vec::new();
    for stage in chosen {
        println!("\n== {}: {}", stage.name, stage.what);
        let start = Instant::now();
        let end = run(root, stage).unwrap_or_else(|e| {
            eprintln!("{}: {e:#}", stage.name);
            End::Ran(Counts { passed: 0, failed: 1 })
        });
        let took = start.elapsed();
        println!("== {}: {:.1} s", stage.name, took.as_secs_f64());
        rows.push(Row { name: stage.name, end, took });
    }
    for what in &missing {
        eprintln!("missing: {what}");
    }
    let (text, all) = table(&rows);
    println!("\n{text}");
    Ok(all.failed == 0)
}

fn run(root: &Path, stage: &Stage) -> anyhow::Result<End> {
    match stage.by {
        By::Program([program, arguments @ ..]) => {
            program_run(root, Command::new(program).args(arguments))
        }
        By::Program([]) => Err(anyhow!("the stage names no program")),
        By::Tidy => Ok(End::Ran(Counter::default().counts(tidy::print(root)?))),
        By::Deny(arguments) => {
            let deny = machine::cargo_deny(root)?;
            program_run(root, Command::new(deny).args(arguments))
        }
        By::Advisories => match machine::advisory_database_reachable() {
            Ok(()) => {
                let deny = machine::cargo_deny(root)?;
                program_run(root, Command::new(deny).args(["check", "advisories"]))
            }
            Err(why) => Ok(End::NotRun(why)),
        },
    }
}

/// Runs a program: what it prints is shown as it comes, and its tests are counted.
fn program_run(root: &Path, command: &mut Command) -> anyhow::Result<End> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} cannot be run"))?;
    let counter = Mutex::new(Counter::default());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| show(out, &counter, &mut std::io::stdout()));
        show(err, &counter, &mut std::io::stderr());
    });
    let status = child.wait().with_context(|| format!("{name} cannot be waited for"))?;
    let counter = counter.into_inner().map_err(|_| anyhow!("the output of {name} was lost"))?;
    Ok(End::Ran(counter.counts(status.success())))
}

fn show(from: Option<impl Read>, counter: &Mutex<Counter>, to: &mut impl Write) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        // Nobody may be there to read it; the stage runs all the same.
        let _ = writeln!(to, "{line}");
        if let Ok(mut counter) = counter.lock() {
            counter.read(&line);
        }
    }
}
