//! `amends demo`: shows it, on this machine and in half a minute.

use clap::Args;

use super::exit::{Exit, Failure};
use super::{Outcome, shown};
use crate::demo::{self, End, Look, Options};

/// What a terminal must have to draw in: the widest line, and the longest picture.
const COLUMNS_MIN: u16 = 80;
const ROWS_MIN: u16 = 14;

/// Show it: sagas that succeed, fail and survive a kill -9, and the ledgers that prove it
///
/// Starts example services and an engine on free loopback ports, in a folder of its own that goes
/// when it is over; takes less than half a minute. Ends with 1 when a saga is neither all done nor
/// all undone.
#[derive(Args, Debug)]
pub struct Demo {
    /// Leave it serving at the end, to look around; Ctrl-C ends it
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub fn run(self) -> Outcome {
        let look = Look { live: is_roomy(), colour: shown::colour_out() };
        match demo::run(Options { keep: self.keep, look }) {
            Ok(End::Kept) => Ok(()),
            Ok(End::Broken) => {
                let what = "the ledgers show a saga that is neither all done nor all undone";
                Err(Failure::new(Exit::Error, what))
            }
            // With --keep that is how it ends.
            Ok(End::Interrupted) if self.keep => Ok(()),
            Ok(End::Interrupted) => {
                shown::say(""); // the terminal shows ^C where the cursor was
                Err(Failure::new(Exit::Error, "interrupted; nothing is left behind"))
            }
            Err(error) => Err(Failure::new(Exit::Error, format_args!("{error:#}"))),
        }
    }
}

/// Is stdout a terminal that the pictures fit?
fn is_roomy() -> bool {
    use std::io::IsTerminal;
    let size = terminal_size::terminal_size();
    std::io::stdout().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        && size.is_some_and(|(columns, rows)| columns.0 >= COLUMNS_MIN && rows.0 >= ROWS_MIN)
}
