//! How a command ends: the exit codes, and the words that go with them.

use std::fmt;
use std::process::ExitCode;

use super::shown;

macro_rules! exits {
    ($( $name:ident = $code:literal $meaning:literal, )*) => {
        /// Why a command ended as it did, for scripts. A code is never given another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Exit { $( #[doc = $meaning] $name, )* }

        impl Exit {
            /// The process's exit code.
            pub const fn code(self) -> u8 {
                match self { $( Self::$name => $code, )* }
            }
        }

        /// The codes as `--help` lists them.
        pub fn help() -> String {
            let lines = [(0, "done"), $( ($code, $meaning), )*];
            let lines = lines.map(|(code, meaning): (u8, &str)| format!("  {code:>3}  {meaning}"));
            format!("Exit codes:\n{}", lines.join("\n"))
        }
    };
}

exits! {
    Error = 1 "an error; the message says which",
    Usage = 2 "the command line, amends.toml or an input was not understood",
    NotFound = 3 "there is no such saga, step, type or version",
    Conflict = 4 "it does not fit what is there: a key in use, a saga that moved, too late",
    Unreachable = 5 "the server did not answer",
    Denied = 6 "the server wants a token, or another one",
    Busy = 7 "the server takes no work now; try again",
    Broken = 8 "serve: the engine broke off; start it again, what is durable is recovered",
    RolledBack = 10 "with --wait or watch: the saga failed and was rolled back",
    Attention = 11 "with --wait or watch: the saga needs a person",
    TimedOut = 12 "with --wait: the time was up before the saga ended",
    Unproved = 13 "verify: the time or the memory was used up before anything was proved",
    Interrupted = 130 "interrupted with Ctrl-C before it was done",
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: String,
    next: Option<String>,
}

impl Failure {
    /// What happened, with where and why.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self { exit, what: what.to_string(), next: None }
    }

    /// A failure whose words have been said.
    pub const fn silent(exit: Exit) -> Self {
        Self { exit, what: String::new(), next: None }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(self, next: impl fmt::Display) -> Self {
        Self { next: Some(next.to_string()), ..self }
    }

    /// Does it end with this code?
    pub fn is(&self, exit: Exit) -> bool {
        self.exit == exit
    }

    /// With which code the process ends.
    #[cfg(test)]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Says it on stderr.
    pub fn report(self) -> ExitCode {
        if !self.what.is_empty() {
            let what = shown::after_word(&self.what);
            shown::say(format_args!("{} {what}", shown::error_word()));
        }
        if let Some(next) = self.next {
            shown::hint(next);
        }
        ExitCode::from(self.exit.code())
    }
}
