//! What was wanted of the machine and cannot be had on it: said in every report, and a failure unless
//! it may be so.

use libtest_mimic::{Failed, Trial};

/// Names what the machine may be without, `clock` or `disk`, with a comma between them.
pub const MAY_LACK: &str = "AMENDS_CHAOS_MAY_LACK";

/// Something that is not tried.
#[derive(Clone, Debug)]
pub struct Lacking {
    /// Its name in [`MAY_LACK`].
    pub name: &'static str,
    /// What is not tried without it.
    pub what: &'static str,
    pub why: String,
    /// A machine may well refuse it, and then nothing is amiss.
    pub is_excused: bool,
}

/// Why a run has not tried what it was to try, though nothing that it tried has failed: what is missing
/// without an excuse. `may_lack` is what is said of the machine.
pub fn amiss(lacking: &[Lacking], may_lack: &str) -> Option<String> {
    let excused = |lacking: &&Lacking| {
        lacking.is_excused || may_lack.split(',').any(|name| name.trim() == lacking.name)
    };
    let amiss = lacking.iter().filter(|lacking| !excused(lacking));
    let lines: Vec<_> = amiss
        .map(|Lacking { name, what, why, .. }| {
            format!(
                "{what}: not tried, {why}; where the machine may be without, say {MAY_LACK}={name}"
            )
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

pub fn tests() -> Vec<Trial> {
    vec![Trial::test("what_is_not_tried_fails_unless_the_machine_may_lack_it", fails)]
}

fn fails() -> Result<(), Failed> {
    let lacking = |name, is_excused| Lacking {
        name,
        what: "a fault",
        why: "it is not here".to_owned(),
        is_excused,
    };
    let both = [lacking("clock", false), lacking("disk", true)];
    let said = amiss(&both, "").ok_or("the clock is missing, and that is no failure")?;
    for part in ["a fault: not tried, it is not here", "AMENDS_CHAOS_MAY_LACK=clock"] {
        if !said.contains(part) {
            return Err(format!("{part:?} is not in {said:?}").into());
        }
    }
    if said.contains("=disk") {
        return Err(format!("what is excused is complained of: {said:?}").into());
    }
    let may = ["clock", "disk, clock"].map(|may| amiss(&both, may));
    match may == [None, None] && amiss(&[], "").is_none() && amiss(&both, "clocks").is_some() {
        true => Ok(()),
        false => Err(format!("{may:?}").into()),
    }
}
