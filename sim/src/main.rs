//! `cargo run --release -p amends-sim`: simulates seeds, then builds each mistake in and sees it caught.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use amends_sim::judge::Law;
use amends_sim::mutants::{self, Mutant};
use amends_sim::plan::Plan;
use amends_sim::regressions;
use amends_sim::report::Report;
use amends_sim::run::{Outcome, run};

const HELP: &str = "\
amends-sim: the engine on simulated time, store, network and participants, by seed

  --seeds N      how many seeds (1000)
  --from N       the first of them (0)
  --seed N       only this seed; says its trace's hash
  --trace        with --seed: print what happened
  --table        print the table of laws as tab-separated lines, and nothing else
  --no-mutants   do not build mistakes in
  --mutants      only build mistakes in
  --threads N    how many threads (one a core)
";

/// How many seeds a mistake may need to be caught.
const SEEDS_A_MUTANT: u64 = 3_000;

struct Options {
    seeds: u64,
    from: u64,
    seed: Option<u64>,
    trace: bool,
    table: bool,
    runs: bool,
    mutants: bool,
    threads: usize,
}

fn options() -> Result<Options, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        seeds: 1_000,
        from: 0,
        seed: None,
        trace: false,
        table: false,
        runs: true,
        mutants: true,
        threads,
    };
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let mut number = || {
            let text = given.next().unwrap_or_default();
            text.parse::<u64>()
                .map_err(|_| format!("{option} wants a number, not {text:?}\n\n{HELP}"))
        };
        match option.as_str() {
            "--seeds" => options.seeds = number()?,
            "--from" => options.from = number()?,
            "--seed" => options.seed = Some(number()?),
            "--threads" => options.threads = number()?.max(1) as usize,
            "--trace" => options.trace = true,
            "--table" => options.table = true,
            "--no-mutants" => options.mutants = false,
            "--mutants" => options.runs = false,
            _ => return Err(format!("{option} is no option\n\n{HELP}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(seed) = options.seed {
        return one(seed, options.trace);
    }
    let started = Instant::now();
    let mut report = Report::default();
    if options.runs {
        for regression in regressions::all() {
            if !regression.is_current() && !options.table {
                let reason = &regression.reason;
                println!("seed {} means something else now ({reason})", regression.seed);
            }
            report.add(run(regression.seed, false));
        }
        for outcome in runs(&options, options.seeds, |_| false) {
            report.add(outcome);
        }
    }
    if options.mutants {
        for mutant in mutants::ALL {
            let caught = caught(&options, mutant);
            report.add_mutant(mutant, &caught);
        }
    }
    print(&options, &report, started);
    let unchecked = options.runs && options.seeds >= 1_000 && !report.unchecked().is_empty();
    let untested = options.mutants && !report.untested().is_empty();
    let fails = !report.broken.is_empty() || !report.escaped.is_empty() || unchecked || untested;
    if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one seed, and says what came of it.
fn one(seed: u64, trace: bool) -> ExitCode {
    let outcome = run(seed, true);
    let lines = if trace { &outcome.trace[..] } else { &[] };
    lines.iter().for_each(|(_, line)| println!("{line}"));
    if !outcome.violations.is_empty() {
        explain(&outcome);
        return ExitCode::FAILURE;
    }
    let plan = Plan::of(seed).digest();
    println!("seed {seed}, plan {plan}: trace {:016x} of {} lines", outcome.hash, outcome.lines);
    ExitCode::SUCCESS
}

/// Runs seeds on all threads, in order as far as it matters, until one is enough.
fn runs(options: &Options, seeds: u64, enough: impl Fn(&Outcome) -> bool + Sync) -> Vec<Outcome> {
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= seeds {
                        return;
                    }
                    let outcome = run(options.from + number, false);
                    if enough(&outcome) {
                        next.store(seeds, Ordering::SeqCst);
                    }
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|outcome| outcome.seed);
    outcomes
}

/// The laws by which a mistake is known that were seen broken with it built in.
fn caught(options: &Options, mutant: &Mutant) -> Vec<Law> {
    let known_by = |outcome: &Outcome| {
        let broken = outcome.violations.iter().map(|violation| violation.law);
        let mut laws: Vec<Law> = broken.filter(|law| mutant.laws.contains(law)).collect();
        laws.sort_unstable();
        laws.dedup();
        laws
    };
    mutants::mutate(Some(mutant.at));
    let outcomes = runs(options, SEEDS_A_MUTANT, |outcome| !known_by(outcome).is_empty());
    mutants::mutate(None);
    let laws = outcomes.iter().map(known_by).find(|laws| !laws.is_empty()).unwrap_or_default();
    if !options.table {
        let runs = outcomes.len();
        match laws.is_empty() {
            true => println!("ESCAPED after {runs} runs: {}", mutant.words),
            false => println!("caught in {runs} runs, by {laws:?}: {}", mutant.words),
        }
    }
    laws
}

fn print(options: &Options, report: &Report, started: Instant) {
    let table = report.table();
    if options.table {
        table.iter().for_each(|line| println!("{line}"));
        return;
    }
    for outcome in &report.broken {
        explain(&run(outcome.seed, true));
    }
    println!();
    for line in &table {
        println!("{}", line.replace('\t', " | "));
    }
    println!(
        "\n{} runs of {} sagas, {} hours of their own time, in {} s; {} broke a law",
        report.runs,
        report.sagas,
        report.lasted_ms / 3_600_000,
        started.elapsed().as_secs(),
        report.broken.len()
    );
    if options.runs && !report.unchecked().is_empty() {
        println!("no run looked at {:?}", report.unchecked());
    }
    if options.mutants && !report.untested().is_empty() {
        println!("no mistake broke {:?}", report.untested());
    }
}

/// The law, the saga's trace, and how to see it again.
fn explain(outcome: &Outcome) {
    let of: Vec<_> = outcome.violations.iter().filter_map(|broken| broken.saga).collect();
    for (saga, line) in &outcome.trace {
        if saga.is_none_or(|saga| of.contains(&saga)) {
            println!("{line}");
        }
    }
    for violation in &outcome.violations {
        let saga = violation.saga.map(|saga| format!(" saga {saga}")).unwrap_or_default();
        println!("seed {} breaks {:?}:{saga} {}", outcome.seed, violation.law, violation.what);
    }
    println!("again: cargo run --release -p amends-sim -- --seed {}\n", outcome.seed);
}
