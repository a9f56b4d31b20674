//! The output shown in `docs/conformance.md` is the real one: a participant without a check of its keys'
//! bodies, and the same with it.

use super::{output, start};
use crate::page::{keep_current, steady};
use crate::participant::{Breaks, Fence};

#[test]
fn the_output_in_the_page_of_conformance_is_what_is_printed() {
    let printed = [Breaks::Nothing, Breaks::KeyReused].map(|breaks| {
        let output = output(&start(breaks), Fence::Barrier, &[], "table");
        steady(&String::from_utf8(output.stdout).unwrap())
    });
    keep_current("conformance.md", &printed);
}
