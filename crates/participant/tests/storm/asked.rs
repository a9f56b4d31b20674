//! What a storm is asked for on the command line.

/// What the test command has time for, with some kills in it.
const SAGAS: u32 = 500;

/// What else it may be asked for.
pub(crate) const USAGE: &str =
    "usage: storm [NAME] [--sagas NUMBER] [--seed NUMBER] [--service COMMAND ARGUMENT…]";

/// How many sagas, from which seed, against which service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) sagas: u32,
    pub(crate) seed: u32,
    /// A command with its arguments; none for this program.
    pub(crate) service: Option<&'a [String]>,
    /// Only storms with this in their name: `cargo test sqlite` says so to all test programs.
    pub(crate) filter: &'a str,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(args: &'a [String]) -> Result<Self, String> {
        let mut asked = Self { sagas: SAGAS, seed: 1, service: None, filter: "" };
        let mut rest = args;
        while let [name, after @ ..] = rest {
            let place = match name.as_str() {
                "--service" if after.is_empty() => {
                    return Err("--service needs the command that starts the service".to_owned());
                }
                "--service" => {
                    asked.service = Some(after);
                    break;
                }
                "--sagas" => &mut asked.sagas,
                "--seed" => &mut asked.seed,
                // The test command hands all programs what it is given.
                "--nocapture" | "--no-capture" | "--quiet" | "-q" => {
                    rest = after;
                    continue;
                }
                filter if !filter.starts_with('-') => {
                    asked.filter = filter;
                    rest = after;
                    continue;
                }
                other => return Err(format!("{other:?} is nothing that a storm knows")),
            };
            let [number, after @ ..] = after else { return Err(format!("{name} needs a number")) };
            *place = number
                .parse()
                .map_err(|_| format!("{name} needs a number from 0 on, and has {number:?}"))?;
            rest = after;
        }
        if asked.sagas == 0 {
            return Err("--sagas 0 is no storm".to_owned());
        }
        Ok(asked)
    }
}
