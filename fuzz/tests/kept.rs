//! Every input that is kept passes, in a plain build and without a fuzzer.

use std::collections::BTreeSet;

use amends_fuzz::{TARGETS, kept, root};

/// Each target begins with something that it does not refuse at the first byte.
const SEEDS_MIN: usize = 3;

#[test]
fn every_kept_input_passes() {
    for target in TARGETS {
        let inputs = kept(target).expect("the corpus can be read");
        assert!(inputs.len() >= SEEDS_MIN, "{} has {} inputs", target.name, inputs.len());
        for (name, bytes) in inputs {
            // The name is shown where the target panics: no other word says which input it was.
            eprintln!("{}: {name}", target.name);
            (target.run)(&bytes);
        }
    }
}

/// Bytes cut short, one bit turned, and two inputs joined: what any fuzzer tries first.
#[test]
fn every_kept_input_passes_when_it_is_damaged() {
    for target in TARGETS {
        let inputs = kept(target).expect("the corpus can be read");
        for (i, (name, bytes)) in inputs.iter().enumerate() {
            eprintln!("{}: {name}, damaged", target.name);
            let (_, next) = &inputs[(i + 1) % inputs.len()];
            let cut = bytes.len() / 2;
            (target.run)(&bytes[..cut]);
            (target.run)(&[&bytes[..cut], &next[next.len() / 2..]].concat());
            for at in (0..bytes.len()).step_by(bytes.len() / 16 + 1) {
                let mut turned = bytes.clone();
                turned[at] ^= 1 << (at % 8);
                (target.run)(&turned);
            }
        }
    }
}

#[test]
fn every_folder_of_the_corpus_is_a_target_s() {
    let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(known.len(), TARGETS.len(), "two targets share a name");
    let folders = std::fs::read_dir(root().join("fuzz/corpus")).expect("the corpus is there");
    for folder in folders {
        let name = folder.expect("it can be listed").file_name();
        assert!(known.contains(&*name.to_string_lossy()), "{name:?} is no target");
    }
}
