//! One target under libFuzzer: `AMENDS_FUZZ_TARGET` names it, `AMENDS_FUZZ_SEEDS` is the folder that
//! its seeds are written to. `cargo xtask fuzz` builds and runs this.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use amends_fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> &'static Target {
    TARGET.get_or_init(|| {
        let name = std::env::var("AMENDS_FUZZ_TARGET").unwrap_or_default();
        let known = TARGETS.iter().find(|target| target.name == name);
        *known.unwrap_or_else(|| panic!("AMENDS_FUZZ_TARGET names no target: {name:?}"))
    })
}

fn write_seeds() {
    let Some(folder) = std::env::var_os("AMENDS_FUZZ_SEEDS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("the folder of the seeds can be made");
    for (i, seed) in (target().seeds)().into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{i:03}")), seed).expect("a seed can be written");
    }
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| { (target().run)(bytes) });
