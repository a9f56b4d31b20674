//! `amends.toml`: what stands in it becomes the default of the option of that name, so that a flag
//! goes before the environment, the environment before the file, and the file before our defaults.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use toml::{Table, Value};

use super::exit::{Exit, Failure};

/// The file that is read where it is there.
const FILE: &str = "amends.toml";

/// The commands that have a table of their own.
const TABLES: [&str; 1] = ["serve"];

/// The command line with the file's values as its defaults.
pub fn apply(command: Command, args: &[OsString]) -> Result<Command, Failure> {
    let (path, said) = match said_path(args) {
        Some(path) => (path, true),
        None => (PathBuf::from(FILE), false),
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !said => return Ok(command),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            return Err(Failure::new(Exit::Usage, what));
        }
    };
    merge(command, &text, &path)
}

/// `--config FILE`, or the environment's.
fn said_path(args: &[OsString]) -> Option<PathBuf> {
    said(args, "--config", "AMENDS_CONFIG").map(PathBuf::from)
}

/// What an option has that must be known before the arguments are understood.
pub fn said(args: &[OsString], option: &str, variable: &str) -> Option<OsString> {
    let mut rest = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = rest.next() {
        if arg == option {
            return rest.next().cloned();
        }
        let value = arg.to_str().and_then(|arg| arg.strip_prefix(option)?.strip_prefix('='));
        if let Some(value) = value {
            return Some(value.into());
        }
    }
    std::env::var_os(variable).filter(|value| !value.is_empty())
}

fn merge(mut command: Command, text: &str, path: &Path) -> Result<Command, Failure> {
    let wrong = |what: String| Failure::new(Exit::Usage, format!("{}: {what}", path.display()));
    let table: Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    for (key, value) in table {
        if TABLES.contains(&key.as_str()) {
            let Value::Table(options) = value else {
                return Err(wrong(format!("{key} is a table: write [{key}]")));
            };
            let mut failed = None;
            command = command.mut_subcommand(&key, |mut sub| {
                for (name, value) in &options {
                    match with_default(sub.clone(), name, value) {
                        Ok(changed) => sub = changed,
                        Err(what) => failed = Some(format!("[{key}] {what}")),
                    }
                }
                sub
            });
            if let Some(what) = failed {
                return Err(wrong(what));
            }
        } else {
            command = with_default(command, &key, &value).map_err(wrong)?;
        }
    }
    Ok(command)
}

fn with_default(command: Command, name: &str, value: &Value) -> Result<Command, String> {
    let long = name.replace('_', "-");
    let options = command.get_arguments().filter(|arg| settable(arg));
    let known: Vec<_> = options
        .filter_map(|arg| Some((arg.get_long()?.to_owned(), arg.get_id().clone())))
        .collect();
    let Some((_, id)) = known.iter().find(|(known, _)| *known == long) else {
        let mut names: Vec<_> = known.iter().map(|(known, _)| known.replace('-', "_")).collect();
        names.extend(
            TABLES.iter().filter(|_| command.get_name() == "amends").map(|&t| t.to_owned()),
        );
        let near = names
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        let near = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        return Err(format!("unknown key {name:?}{near}"));
    };
    let texts =
        texts(value).ok_or_else(|| format!("{name} is a text, a number, a bool or a list"))?;
    let id = id.clone();
    Ok(command.mut_arg(id, |arg| arg.default_values(texts)))
}

fn settable(arg: &Arg) -> bool {
    !matches!(arg.get_long(), None | Some("help" | "version" | "config"))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Boolean(bool) => Some(vec![bool.to_string()]),
        Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(texts).collect();
            Some(texts?.concat())
        }
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn merged(text: &str) -> Result<Command, Failure> {
        merge(super::super::Cli::command(), text, Path::new("amends.toml"))
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_our_default() {
        let command = merged(
            "server = 'http://h:1'\n[serve]\nlisten = '127.0.0.1:1'\nwatch = true\nallow_env = ['A', 'B']\n",
        )
        .unwrap();
        let of_file = command.clone().get_matches_from(["amends", "serve"]);
        assert_eq!(of_file.get_one::<String>("server").unwrap(), "http://h:1");
        let serve = of_file.subcommand_matches("serve").unwrap();
        let listen = |m: &clap::ArgMatches| *m.get_one::<std::net::SocketAddr>("listen").unwrap();
        assert_eq!(listen(serve).port(), 1);
        assert!(serve.get_flag("watch"));
        let names: Vec<_> = serve.get_many::<String>("names").unwrap().cloned().collect();
        assert_eq!(names, ["A", "B"]);
        let of_flag = command.get_matches_from(["amends", "serve", "--listen", "127.0.0.1:2"]);
        assert_eq!(listen(of_flag.subcommand_matches("serve").unwrap()).port(), 2);
    }

    #[test]
    fn a_mistyped_key_is_refused_with_the_nearest() {
        for (text, expected) in [
            ("servr = 'x'", "did you mean \"server\"?"),
            ("[serve]\nlisten_on = 'x'", "did you mean \"listen\"?"),
            ("[serve]\nwatch = 1.5", "watch is a text"),
            ("serve = 1", "write [serve]"),
            ("server = ", "amends.toml: "),
        ] {
            let failure = merged(text).unwrap_err();
            assert!(failure.what().contains(expected), "{}", failure.what());
        }
    }
}
