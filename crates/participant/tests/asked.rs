//! What the storm may be asked for, and what is said of what it may not.

#[path = "storm/asked.rs"]
mod asked;

use asked::{Asked, USAGE};

fn args(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_is_asked_for_is_understood() {
    let asked = |sagas, seed, service, filter| Asked { sagas, seed, service, filter };
    assert_eq!(Asked::of(&[]), Ok(asked(500, 1, None, "")));
    assert_eq!(Asked::of(&args("--seed 7 --sagas 9")), Ok(asked(9, 7, None, "")));
    assert_eq!(Asked::of(&args("sqlite --nocapture")), Ok(asked(500, 1, None, "sqlite")));
    let line = args("--sagas 9 --service python3 service.py --seed 3");
    assert_eq!(Asked::of(&line), Ok(asked(9, 1, Some(&line[3..]), "")));
}

#[test]
fn what_is_not_understood_is_told() {
    for (line, word) in [
        ("--service", "--service needs the command that starts the service"),
        ("--sagas abc", "--sagas needs a number from 0 on, and has \"abc\""),
        ("--sagas -1", "has \"-1\""),
        ("--sagas", "--sagas needs a number"),
        ("--seed", "--seed needs a number"),
        ("--sagas 0", "--sagas 0 is no storm"),
        ("--saga 5", "\"--saga\" is nothing that a storm knows"),
    ] {
        let why = Asked::of(&args(line)).unwrap_err();
        assert!(why.contains(word), "{line}: {why}");
    }
    assert!(USAGE.contains("--service COMMAND"));
}
