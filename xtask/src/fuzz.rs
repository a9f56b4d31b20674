//! `cargo xtask fuzz`: each target under libFuzzer for a while, guided by the code that it reaches.
//!
//! Stable Rust does it: the coverage is an LLVM pass, and only the sanitizers need another toolchain.
//! The build has its own folder, because these flags would rebuild everything else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// How long each target runs where nothing is said: all of them within a minute.
const SECONDS: u64 = 5;

/// What makes the compiler count which code is reached, and what is compared there.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";

/// The longest input. Everything read here tells its story in a few pages; what only size breaks is
/// tested by its limit.
const INPUT_BYTES_MAX: &str = "-max_len=16384";

/// The longest that one input may take: a hundred times what the slowest takes on a busy machine.
const INPUT_SECONDS_MAX: &str = "-timeout=20";

/// The most memory: above every bound that a target asserts itself.
const MEMORY_MB_MAX: &str = "-rss_limit_mb=2048";

/// What is asked for; unsaid is a short run from a seed that is always the same.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) minutes: Option<u64>,
    pub(crate) seed: Option<u64>,
}

/// Runs these targets, or all: did each hold?
pub(crate) fn fuzz(root: &Path, asked: &Asked, wanted: &[&str]) -> anyhow::Result<bool> {
    let names = targets(root)?;
    for name in wanted {
        let known = names.iter().any(|target| target == name);
        ensure!(known, "there is no target {name}; there are {}", names.join(", "));
    }
    let program = build(root)?;
    let chosen = names.iter().filter(|name| wanted.is_empty() || wanted.contains(&name.as_str()));
    let (mut passed, mut failed) = (0, 0);
    for name in chosen {
        let held = run(root, &program, name, asked)?;
        println!("test fuzz {name} ... {}", if held { "ok" } else { "FAILED" });
        *(if held { &mut passed } else { &mut failed }) += 1;
    }
    // As cargo's tests end, so that the table of the stages counts the targets.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed");
    Ok(failed == 0)
}

/// The names of the targets: the modules of `fuzz/src/targets`, each named as its target.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(root.join("fuzz/src/targets/mod.rs"))?;
    let names = text.lines().filter_map(|line| line.trim().strip_suffix("::TARGET,"));
    Ok(names.map(str::to_owned).collect())
}

fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let host = host()?;
    let folder = root.join("target/fuzz");
    // With a target said, the flags are not for build scripts and macros, which could not be loaded.
    let status = Command::new("cargo")
        .args(["build", "--locked", "--package", "amends-fuzz", "--features", "libfuzzer"])
        .args(["--bin", "coverage", "--target", &host, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", COVERAGE)
        .current_dir(root)
        .status()
        .context("cargo cannot be run")?;
    ensure!(status.success(), "the fuzzer could not be built; see above");
    Ok(folder.join(host).join("debug/coverage"))
}

fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it compiles for")?.to_owned())
}

fn run(root: &Path, program: &Path, name: &str, asked: &Asked) -> anyhow::Result<bool> {
    let found = root.join("target/fuzz/found").join(name);
    let seeds = root.join("target/fuzz/seeds").join(name);
    let broken = root.join("target/fuzz/broken").join(name);
    let kept = root.join("fuzz/corpus").join(name);
    for folder in [&found, &seeds, &broken] {
        std::fs::create_dir_all(folder)?;
    }
    let seconds = asked.minutes.map_or(SECONDS, |minutes| minutes * 60);
    let mut fuzzer = Command::new(program);
    // What it finds goes into the first folder; a short run finds the same from nothing each time.
    let found = if asked.minutes.is_some() { Some(&found) } else { None };
    fuzzer.args(found).arg(&seeds);
    if kept.exists() {
        fuzzer.arg(&kept);
    }
    let words = root.join("fuzz/dictionaries").join(format!("{name}.dict"));
    if words.exists() {
        fuzzer.arg(format!("-dict={}", words.display()));
    }
    let status = fuzzer
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-seed={}", asked.seed.unwrap_or(1)))
        .args([INPUT_BYTES_MAX, INPUT_SECONDS_MAX, MEMORY_MB_MAX, "-print_final_stats=1"])
        .env("AMENDS_FUZZ_TARGET", name)
        .env("AMENDS_FUZZ_SEEDS", &seeds)
        .current_dir(root)
        .status()
        .with_context(|| format!("{} cannot be run", program.display()))?;
    if !status.success() {
        eprintln!("the input is in {}; to run it again:", broken.display());
        eprintln!("  AMENDS_FUZZ_TARGET={name} {} THE_FILE", program.display());
        eprintln!("and kept as fuzz/corpus/{name}/WHAT_IT_BREAKS it is a test from then on");
    }
    Ok(status.success())
}
