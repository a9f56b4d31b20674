//! What the command line asks for.

use std::thread;

use amends_sim::mutants::{self, Mutant};

pub(crate) const HELP: &str = "\
amends-sim: the engine on simulated time, store, network and participants, by seed

  --seeds N      how many seeds (1000), after those that have a name; 100000 is the long run
  --from N       the first of them (0)
  --seed N       only this seed; says its trace's hash
  --trace        with --seed: print what happened
  --marks        say of every law in how many runs there was something to look at, and of everything
                 else that the runs must see in how many it was seen
  --table        say at the end, tab-separated, which law was checked by what, over how many runs,
                 and which mistakes it caught
  --mistake WORDS
                 the seeds with this mistake built in, as the list of those that are caught calls it
  --no-mutants   do not build mistakes in
  --mutants      only build mistakes in
  --threads N    how many threads (one a core)
";

pub(crate) struct Options {
    pub(crate) seeds: u64,
    pub(crate) from: u64,
    pub(crate) seed: Option<u64>,
    pub(crate) trace: bool,
    pub(crate) mistake: Option<&'static Mutant>,
    pub(crate) marks: bool,
    pub(crate) table: bool,
    pub(crate) runs: bool,
    pub(crate) mutants: bool,
    pub(crate) threads: usize,
}

impl Options {
    /// What is asked for; none where it is only what could be asked for.
    pub(crate) fn given() -> Result<Option<Self>, String> {
        let mut options = Self {
            seeds: 1_000,
            from: 0,
            seed: None,
            trace: false,
            mistake: None,
            marks: false,
            table: false,
            runs: true,
            mutants: true,
            threads: thread::available_parallelism().map_or(1, usize::from),
        };
        let mut given = std::env::args().skip(1);
        while let Some(option) = given.next() {
            let mut number = || {
                let text = given.next().unwrap_or_default();
                text.parse::<u64>().map_err(|_| format!("{option} wants a number, not {text:?}"))
            };
            match option.as_str() {
                "--help" | "-h" => return Ok(None),
                "--seeds" => options.seeds = number()?,
                "--from" => options.from = number()?,
                "--seed" => options.seed = Some(number()?),
                "--threads" => options.threads = number()?.max(1) as usize,
                "--trace" => options.trace = true,
                "--mistake" => options.mistake = Some(mistake(&given.next().unwrap_or_default())?),
                "--marks" => options.marks = true,
                "--table" => options.table = true,
                "--no-mutants" => options.mutants = false,
                "--mutants" => options.runs = false,
                _ => return Err(format!("there is no option {option}")),
            }
        }
        Ok(Some(options))
    }
}

/// The mistake that is called so.
fn mistake(words: &str) -> Result<&'static Mutant, String> {
    let called = |mutant: &&Mutant| !words.is_empty() && mutant.words.contains(words);
    mutants::ALL.iter().find(called).ok_or_else(|| format!("there is no mistake {words:?}"))
}
