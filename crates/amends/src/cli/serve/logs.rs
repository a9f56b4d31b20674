//! What the server says on stderr: lines for people, or one JSON object a line.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::super::exit::{Exit, Failure};
use super::super::{columns, shown};

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One object a line.
    Json,
}

/// Says what happens to the server as a whole.
#[derive(Clone, Debug)]
pub struct Logs {
    format: LogFormat,
}

/// Starts logging, once a process.
pub fn start(filter: &str, format: LogFormat) -> Result<Logs, Failure> {
    let parsed = EnvFilter::try_new(directives(filter)).map_err(|error| {
        Failure::new(Exit::Usage, format!("--log {filter:?} is not understood: {error}"))
            .hint("give error, warn, info, debug, or directives such as amends_engine=debug")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_ansi(shown::colour_err());
    let set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| Failure::new(Exit::Error, error))?;
    Ok(Logs { format })
}

/// The first logs what a broker sends back with its body, and each connection that is lost as an error
/// of its own; both are said by us in words. The other logs what it signs, a session's token included.
const NEVER: &str = "lapin=off,aws_sigv4=off";

/// A level is about this server. What it is built on stays at `info`: its lines would hide ours, and
/// at `trace` they may hold what was sent. Who wants them says so, as in `hyper=debug`.
fn directives(filter: &str) -> String {
    match filter.parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::INFO => format!("info,amends={level},{NEVER}"),
        _ => format!("{filter},{NEVER}"),
    }
}

impl Logs {
    /// Something that a person who started the server wants to know.
    pub fn say(&self, text: &str) {
        match self.format {
            LogFormat::Text => shown::say(text),
            LogFormat::Json => tracing::info!("{text}"),
        }
    }

    /// Something that should be otherwise.
    pub fn warn(&self, text: &str) {
        match self.format {
            LogFormat::Text => shown::say(format_args!("{} {text}", shown::warning_word())),
            LogFormat::Json => tracing::warn!("{text}"),
        }
    }

    /// Findings in a definition, which have many lines.
    pub fn findings(&self, rendered: &str) {
        match self.format {
            LogFormat::Text => shown::say(rendered.trim_end()),
            LogFormat::Json => tracing::warn!(findings = rendered, "findings in a definition"),
        }
    }

    /// How wide its lines may be.
    pub fn width(&self) -> Option<usize> {
        if self.format == LogFormat::Text { columns::width_of(&std::io::stderr()) } else { None }
    }

    /// May it have colour?
    pub fn colour(&self) -> bool {
        self.format == LogFormat::Text && shown::colour_err()
    }
}

#[cfg(test)]
mod tests {
    use super::directives;

    #[test]
    fn a_level_is_about_this_server_and_directives_are_left_alone_but_for_what_is_never_logged() {
        for (said, meant) in [
            ("warn", "warn,lapin=off,aws_sigv4=off"),
            ("info", "info,lapin=off,aws_sigv4=off"),
            ("debug", "info,amends=debug,lapin=off,aws_sigv4=off"),
            ("TRACE", "info,amends=trace,lapin=off,aws_sigv4=off"),
            ("hyper=debug", "hyper=debug,lapin=off,aws_sigv4=off"),
            ("debug,hyper=warn", "debug,hyper=warn,lapin=off,aws_sigv4=off"),
        ] {
            assert_eq!(directives(said), meant);
        }
    }
}
