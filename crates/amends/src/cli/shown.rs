//! How things look in a terminal: colour where it is wanted, and widths.

use std::io::{IsTerminal, stderr, stdout};

/// May stdout have colour?
pub fn colour_out() -> bool {
    wanted() && stdout().is_terminal()
}

/// May stderr have colour?
pub fn colour_err() -> bool {
    wanted() && stderr().is_terminal()
}

/// `NO_COLOR` as <https://no-color.org> has it, and terminals that have none.
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

/// The text in an ANSI style, where colour is wanted.
pub fn paint(text: &str, style: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}
