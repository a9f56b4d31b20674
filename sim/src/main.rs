//! `cargo run --release -p amends-sim`: simulates seeds, then builds each mistake in and sees it caught.

mod options;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use amends_sim::judge::Law;
use amends_sim::mutants::{self, Mutant};
use amends_sim::plan::Plan;
use amends_sim::regressions::{self, Regression};
use amends_sim::report::Report;
use amends_sim::run::{Outcome, run};
use amends_sim::search::search;

use options::Options;

/// How many seeds a mistake may need to be caught, after those of the regressions.
const SEEDS_A_MUTANT: u64 = 3_000;

/// From so many seeds on every law must be looked at, and every mark be reached.
const SEEDS_FOR_ALL: u64 = 1_000;

/// How many broken seeds are told with all that happened in them; of more only the laws are.
const TOLD_WHOLE_MAX: usize = 3;

/// After so many runs a long one says how far it is.
const RUNS_A_SIGN: u64 = 10_000;

fn main() -> ExitCode {
    let options = match Options::given() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("{wrong}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    mutants::mutate(options.mistake.map(|mistake| mistake.at));
    let faults = match options.seed {
        Some(seed) => one(&options, seed),
        None => many(&options),
    };
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed, and says what came of it: what is wrong, if anything is.
fn one(options: &Options, seed: u64) -> Vec<String> {
    let outcome = run(seed, true);
    let plan = Plan::of(seed).digest();
    if options.trace {
        outcome.trace.iter().for_each(|(_, line)| println!("{line}"));
    }
    println!("seed {seed}, plan {plan}: trace {:016x} of {} lines", outcome.hash, outcome.lines);
    if outcome.is_broken() { told(options, &outcome, !options.trace) } else { Vec::new() }
}

/// Runs seeds and mistakes: what is wrong, if anything is.
fn many(options: &Options) -> Vec<String> {
    let (begun, mut report, mut faults) = (Instant::now(), Report::default(), Vec::new());
    let regressions = regressions::all();
    if options.runs {
        simulate(options, &regressions, &mut report);
        let whole = report.broken.iter().enumerate().map(|(n, seed)| (*seed, n < TOLD_WHOLE_MAX));
        faults.extend(whole.flat_map(|(seed, whole)| told(options, &run(seed, whole), whole)));
        if options.seeds >= SEEDS_FOR_ALL {
            faults.extend(report.unseen());
        }
        if options.marks {
            report.looked_at().iter().for_each(|(runs, law)| println!("{runs:>9} runs: {law:?}"));
            report.marks().iter().for_each(|(runs, words)| println!("{runs:>9} runs: {words}"));
        }
    }
    if options.mutants && options.mistake.is_none() {
        for mutant in mutants::ALL {
            let seen = caught(options, &regressions, mutant);
            report.add_mutant(mutant, &seen);
        }
        faults.extend(report.uncaught());
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("all of it in {seconds:.1} s");
    if options.table {
        report.table().iter().for_each(|line| println!("{line}"));
    }
    faults
}

/// Runs the regressions, and then the seeds that are asked for.
fn simulate(options: &Options, regressions: &[Regression], report: &mut Report) {
    for regression in regressions {
        if !regression.is_current() {
            let Regression { seed, name, .. } = regression;
            println!("seed {seed} means something else now than when it was named: {name}");
        }
    }
    let begun = Instant::now();
    let named = regressions.iter().map(|regression| regression.seed);
    let seeds = options.from..options.from.saturating_add(options.seeds);
    search(options.threads, named.chain(seeds), |outcome| {
        report.add(&outcome);
        if let Some(violation) = outcome.violations.first() {
            println!("seed {} breaks {:?}: told below", outcome.seed, violation.law);
        }
        if report.runs.is_multiple_of(RUNS_A_SIGN) {
            println!("{} runs, {} broke a law", report.runs, report.broken.len());
        }
        false
    });
    let Report { runs, sagas, lasted_ms, broken, .. } = &*report;
    let (hours, broken) = (lasted_ms / 3_600_000, broken.len());
    let (named, seconds) = (regressions.len(), begun.elapsed().as_secs_f64());
    println!(
        "{runs} runs, {named} of them of named seeds, of {sagas} sagas and {hours} hours of their own \
         time, in {seconds:.1} s: {broken} broke a law"
    );
}

/// The laws that a mistake breaks and that were seen broken with it built in: looked for first in the
/// seeds that have a name, because where something rare was found it is found again.
fn caught(options: &Options, regressions: &[Regression], mutant: &Mutant) -> BTreeSet<Law> {
    let named = regressions.iter().map(|regression| regression.seed);
    let (mut seen, mut runs, mut seeds) = (BTreeSet::new(), 0, Vec::new());
    mutants::mutate(Some(mutant.at));
    search(options.threads, named.chain(0..SEEDS_A_MUTANT), |outcome| {
        runs += 1;
        let before = seen.len();
        let broken = outcome.violations.iter().map(|violation| violation.law);
        seen.extend(broken.filter(|law| mutant.laws.contains(law)));
        seeds.extend((seen.len() > before).then_some(outcome.seed));
        seen.len() == mutant.laws.len()
    });
    mutants::mutate(None);
    let word = if seen.len() == mutant.laws.len() { "caught" } else { "NOT CAUGHT" };
    println!("{word} in {runs} runs, by {seen:?} with {seeds:?}: {}", mutant.words);
    seen
}

/// What a broken seed broke and how to see it again; with `whole`, what happened is printed before.
fn told(options: &Options, outcome: &Outcome, whole: bool) -> Vec<String> {
    let of: Vec<_> = outcome.violations.iter().filter_map(|broken| broken.saga).collect();
    let about = |saga: &Option<_>| saga.is_none_or(|saga| of.contains(&saga));
    for (_, line) in outcome.trace.iter().filter(|(saga, _)| whole && about(saga)) {
        println!("{line}");
    }
    let seed = outcome.seed;
    let law = |violation: &amends_sim::judge::Violation| {
        let saga = violation.saga.map(|saga| format!(" saga {saga}")).unwrap_or_default();
        format!("seed {seed} breaks {:?}:{saga} {}", violation.law, violation.what)
    };
    let mut told: Vec<String> = outcome.violations.iter().map(law).collect();
    if outcome.panics > 0 {
        told.push(format!("seed {seed}: {} panics; the first is told above", outcome.panics));
    }
    let mistake = options.mistake.map(|mistake| format!(" --mistake {:?}", mistake.words));
    let mistake = mistake.unwrap_or_default();
    told.push(format!(
        "again: cargo run --release -p amends-sim -- --seed {seed} --trace{mistake}"
    ));
    told
}
