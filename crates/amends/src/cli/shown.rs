//! Words for people: on stderr, and with colour where it is wanted.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::OnceLock;

use clap::{ColorChoice, ValueEnum};

use super::columns;

/// When colour is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal that has it, unless `NO_COLOR` is set
    Auto,
    /// Also in a pipe
    Always,
    /// Nowhere
    Never,
}

/// What was asked for, for the whole process.
static CHOSEN: OnceLock<Colour> = OnceLock::new();

impl Colour {
    /// Holds from now on; the first choice counts.
    pub fn choose(self) {
        let _ = CHOSEN.set(self);
    }

    /// The same for help and usage errors.
    pub const fn of_help(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }
}

/// Says it on stderr. Who has closed it, as `2>&1 | head` does, wants to hear no more.
pub fn say(words: impl Display) {
    let _ = writeln!(stderr().lock(), "{words}");
}

/// May stdout have colour?
pub fn colour_out() -> bool {
    chosen(stdout().is_terminal())
}

/// May stderr have colour?
pub fn colour_err() -> bool {
    chosen(stderr().is_terminal())
}

fn chosen(terminal: bool) -> bool {
    match CHOSEN.get() {
        Some(Colour::Always) => true,
        Some(Colour::Never) => false,
        Some(Colour::Auto) | None => terminal && wanted(),
    }
}

/// `NO_COLOR` as <https://no-color.org> has it, and terminals that know no colour.
fn wanted() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !no_colour && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `error:`, before what went wrong.
pub fn error_word() -> String {
    paint("error:", "1;31", colour_err())
}

/// `warning:`, before what should be otherwise.
pub fn warning_word() -> String {
    paint("warning:", "1;33", colour_err())
}

/// `next:`, before what to do about it.
pub fn hint_word() -> String {
    paint(" next:", "1;36", colour_err())
}

/// Says on stderr what to do next.
pub fn hint(next: impl Display) {
    say(format_args!("{} {}", hint_word(), after_word(&next.to_string())));
}

/// What stands after `error:` or ` next:`, in lines that fit the terminal.
pub fn after_word(words: &str) -> String {
    const WORD_CHARS: usize = "error: ".len();
    columns::after(WORD_CHARS, words, columns::width_of(&stderr()))
}

/// The text in an ANSI style, where colour is wanted.
pub fn paint(text: &str, style: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}
