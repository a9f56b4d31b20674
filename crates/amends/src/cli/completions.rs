//! `amends completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Outcome, output};

/// Print the completion script of a shell
///
/// For bash: amends completions bash > ~/.local/share/bash-completion/completions/amends
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "amends", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}
