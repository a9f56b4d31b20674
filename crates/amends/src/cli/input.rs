//! What a person gives a command: JSON, a reason, a yes.

use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use clap::Args;

use super::exit::{Exit, Failure};

/// No input is larger than what the server takes.
const INPUT_BYTES_MAX: u64 = 1024 * 1024;

/// JSON as an argument: the text itself, `@file`, or `-` for stdin.
pub fn json(option: &str, said: &str) -> Result<String, Failure> {
    let (text, place) = match said.strip_prefix('@') {
        Some(path) => {
            let file = std::fs::File::open(path).and_then(read);
            (file.map_err(|error| unreadable(option, path, &error))?, path.to_owned())
        }
        None if said == "-" => {
            let text = read(io::stdin());
            (text.map_err(|error| unreadable(option, "stdin", &error))?, "stdin".to_owned())
        }
        None => (said.to_owned(), option.to_owned()),
    };
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            Err(Failure::new(Exit::Usage, format!("{place} is no JSON: {error}"))
                .hint(taken(option)))
        }
    }
}

fn read(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(INPUT_BYTES_MAX + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn unreadable(option: &str, place: &str, error: &io::Error) -> Failure {
    let what = format!("{option}: {place} cannot be read: {error}");
    Failure::new(Exit::Usage, what).hint(taken(option))
}

/// How JSON is given.
fn taken(option: &str) -> String {
    format!("{option} takes JSON text, @file, or - for stdin")
}

/// Why something is done; it stands in the history and the audit.
#[derive(Args, Debug)]
pub struct Reason {
    /// Why, for the history and the audit; asked for on a terminal
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Reason {
    /// The reason said, or typed.
    pub fn get(&self) -> Result<String, Failure> {
        if let Some(reason) = self.reason.as_ref().filter(|reason| !reason.trim().is_empty()) {
            return Ok(reason.trim().to_owned());
        }
        let typed = ask("reason: ")?.unwrap_or_default();
        if typed.is_empty() {
            let what = "a reason is needed; it stands in the history and the audit";
            return Err(Failure::new(Exit::Usage, what).hint("--reason \"…\""));
        }
        Ok(typed)
    }
}

/// Whether a person is asked before something that cannot be taken back.
#[derive(Args, Debug)]
pub struct Sure {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

impl Sure {
    /// Asks, unless yes was said. Where nobody can be asked, it must be said.
    pub fn ask(&self, what: &str) -> Result<(), Failure> {
        self.asked(what, format!("{what}? [y/N] "))
    }

    /// The same, below what it is about.
    pub fn ask_about(&self, about: &str, what: &str) -> Result<(), Failure> {
        self.asked(&format!("{about}; {what}"), format!("{about}\n{what}? [y/N] "))
    }

    fn asked(&self, what: &str, question: String) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        match ask(&question)? {
            Some(answer) if matches!(answer.as_str(), "y" | "Y" | "yes") => Ok(()),
            Some(_) => Err(Failure::new(Exit::Error, "nothing was done")),
            None => {
                let why = format!("{what}: there is no terminal to ask on");
                Err(Failure::new(Exit::Usage, why).hint("say --yes"))
            }
        }
    }
}

/// Asks on the terminal; `None` where there is none.
fn ask(question: &str) -> Result<Option<String>, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let failed = |error: io::Error| Failure::new(Exit::Error, error);
    let mut err = io::stderr();
    err.write_all(question.as_bytes()).and_then(|()| err.flush()).map_err(failed)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(failed)?;
    Ok(Some(line.trim().to_owned()))
}

/// A time such as `30s`, `2m`, `1h` or `3d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write it as 500ms, 30s, 2m, 1h or 3d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_definitions_write_them() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("3d"), Ok(Duration::from_secs(3 * 86_400)));
        for wrong in ["", "30", "s", "-1s", "1.5s", "1w", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_comes_as_text_or_from_a_file() {
        assert_eq!(json("--data", r#"{"a": 1.50}"#).unwrap(), r#"{"a": 1.50}"#);
        let failure = json("--data", "{a: 1}").unwrap_err();
        assert!(failure.what().starts_with("--data is no JSON"), "{}", failure.what());
        let failure = json("--data", "@/no/such/file").unwrap_err();
        assert!(failure.what().contains("/no/such/file cannot be read"), "{}", failure.what());
    }
}
