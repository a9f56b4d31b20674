//! `cargo xtask folder`: makes the data folder of this version, to be checked in with its release.

use std::process::ExitCode;

use amends_folders::{VERSION, make};

fn main() -> ExitCode {
    let again = std::env::args().any(|argument| argument == "--again");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let made = runtime.enable_all().start_paused(true).build().map_err(Into::into);
    match made.and_then(|runtime| runtime.block_on(make(again))) {
        Ok(wrong) if wrong.is_empty() => {
            println!("folders/{VERSION} is made, and every saga in it ends as it must");
            ExitCode::SUCCESS
        }
        Ok(wrong) => {
            eprintln!("what was made does not end as it must:\n{}", wrong.join("\n"));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("no folder was made: {why:#}");
            ExitCode::FAILURE
        }
    }
}
