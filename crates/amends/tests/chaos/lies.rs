//! Runs in which the server lies, and the judge must say so: it forgets what it acknowledged.
//!
//! A journal that is written after the answer, and a kill between the two, would look the same from
//! outside as a disk that is set back to an earlier moment while the server is down. So no build with
//! a mistake in it is needed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::plan::Plan;
use crate::run::Run;
use crate::stage::Wanted;

/// At which kill the data is kept, and at which it is set back.
const KEPT_AT: u32 = 3;
const SET_BACK_AT: u32 = 7;

/// A saga that was set back behind its participants may wait for a person: it is not waited for.
const QUIET_WITHIN: Duration = Duration::from_secs(5);

pub fn tests() -> Vec<Trial> {
    vec![Trial::test("a_server_that_forgets_what_it_acknowledged_is_found", forgets)]
}

fn forgets() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let run = Run {
        seed: crate::SEED,
        again: "cargo test --package amends --test chaos".to_owned(),
        wanted: Wanted::default(),
        plan: &|_, dice| Plan::of_kills(u64::from(SET_BACK_AT) + 1, dice),
        quiet_within: QUIET_WITHIN,
        shows: false,
    };
    let (kept, mut kills) = (folder.path().join("kept"), 0);
    let mut while_down = |data: &Path| {
        kills += 1;
        match kills {
            KEPT_AT => copy(data, &kept),
            SET_BACK_AT => copy(&kept, data),
            _ => {}
        }
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(run.play(folder.path(), &mut while_down))?;
    let says = |what: &str| report.found.wrong.iter().any(|wrong| wrong.contains(what));
    if says("is lost") && says("was acknowledged as") && says("no history knows") {
        return Ok(());
    }
    Err(format!("it was not found out:\n{report}").into())
}

/// A folder of files in place of another.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to); // it may not be there yet
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the data is there").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
    }
}
