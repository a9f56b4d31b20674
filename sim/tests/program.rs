//! The program: what it says, and how it ends.

use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_amends-sim")).args(arguments).output();
    let output = output.expect("the program runs");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn seeds_that_break_nothing_end_well_and_fill_the_table() {
    let (output, said) = sim(&["--seeds", "2", "--no-mutants", "--table"]);
    assert!(output.status.success(), "{said}");
    let row = said.lines().find(|line| line.starts_with("S18\t")).expect("a row for each law");
    assert_eq!(row.split('\t').count(), 4, "law, by what, over how many runs, mistakes: {row}");
}

#[test]
fn a_seed_that_breaks_a_law_fails_and_says_which_and_how_to_see_it_again() {
    let mistake = "tell a history before it is synced";
    let (output, said) = sim(&["--seed", "45", "--mistake", mistake]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("seed 45 breaks S18: saga "), "{said}");
    assert!(said.contains("is told and"), "{said}");
    assert!(said.contains("-- --seed 45 --trace --mistake \"tell a history"), "{said}");
    assert!(said.contains("history"), "the trace shows it: {said}");
}

#[test]
fn what_is_no_option_is_told() {
    let (output, said) = sim(&["--seed", "many"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("--seed wants a number, not \"many\"") && said.contains("--seeds N"));
}
