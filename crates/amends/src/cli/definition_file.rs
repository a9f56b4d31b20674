//! A definition file as the commands read it: with its folder, and the environment variables that
//! are allowed.

use std::path::{Path, PathBuf};

use amends_definition::{
    Checked, Document, Finding, Reactions, Rule, SOURCE_BYTES_MAX, Severity, Surroundings, check,
};
use clap::Args;

use super::exit::{Exit, Failure};
use super::{columns, shown};

/// The environment variables that definitions may see.
#[derive(Args, Clone, Debug, Default)]
pub struct AllowedEnv {
    /// Environment variables that definitions may read; a name may end in * (INVENTORY_*)
    ///
    /// A definition reads the environment as `${ env.NAME }`. What is not allowed here is an
    /// error in the definition: it may come from others, who must not read what the server was
    /// given.
    #[arg(
        long = "allow-env",
        value_name = "NAME",
        value_delimiter = ',',
        env = "AMENDS_ALLOW_ENV"
    )]
    names: Vec<String>,
}

impl AllowedEnv {
    /// May a definition read this variable?
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == allowed,
        })
    }
}

/// The files that are named, in order; those of a folder by name.
pub fn found(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let listed = std::fs::read_dir(path).and_then(|entries| {
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<Result<Vec<_>, _>>()
        });
        let mut files = listed.map_err(|error| {
            Failure::new(Exit::Usage, format!("{} cannot be read: {error}", path.display()))
        })?;
        files.retain(|file| is_definition(file));
        files.sort();
        if files.is_empty() {
            let what = format!("{} has no definition (*.yaml, *.yml, *.json)", path.display());
            return Err(Failure::new(Exit::Usage, what).hint(
                "name the files, or the folder in which they lie; its folders are not looked into",
            ));
        }
        found.extend(files);
    }
    Ok(found)
}

/// By its name alone: a file that is left out for what stands in it would hide a mistyped key.
fn is_definition(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ends = |with: &[&str]| with.iter().any(|end| name.ends_with(end));
    let beside = ends(&[".schema.json", ".data.json"]) || name.starts_with('.');
    ends(&[".yaml", ".yml", ".json"]) && !beside
}

/// Reads and checks a saga's file. Only what cannot be read is a failure; the findings are the caller's.
pub fn read(path: &Path, env: &AllowedEnv) -> Result<Checked, Failure> {
    let name = path.display().to_string();
    Ok(check(&bytes(path)?, &name, &surroundings(path, env)))
}

/// The same of a file that may be a free choreography as well.
pub fn read_either(path: &Path, env: &AllowedEnv) -> Result<Document, Failure> {
    let name = path.display().to_string();
    Ok(Document::check(&bytes(path)?, &name, &surroundings(path, env)))
}

/// Is it a free choreography, in which there is nothing to run?
pub fn is_not_run(checked: &Checked) -> bool {
    checked.findings.iter().any(|finding| finding.id == Rule::FreeNotRun)
}

fn surroundings<'a>(path: &'a Path, env: &'a AllowedEnv) -> Surroundings<'a> {
    let folder = path.parent().unwrap_or(Path::new(""));
    Surroundings::none().with_process_env(|name| env.allows(name)).with_folder(folder)
}

/// Says what the checker warns of, a line each, for a command that goes on all the same: what it shows
/// may be another saga than was meant.
pub fn warn(checked: &Checked) {
    lines(checked, &checked.warnings());
}

/// The same of a choreography, whose errors do not keep it from being tried.
pub fn tell(checked: &Checked<Reactions>) {
    let matters = |finding: &&Finding| finding.severity != Severity::Note;
    let findings: Vec<_> = checked.findings.iter().filter(matters).cloned().collect();
    lines(checked, &findings);
}

fn lines<T>(checked: &Checked<T>, findings: &[Finding]) {
    let (path, width) = (checked.source.path(), columns::width_of(&std::io::stderr()));
    for Finding { id, severity, message, line, column, .. } in findings {
        let word = format!("{}[{}]:", severity.word(), id.id());
        let words = format!("{path}:{line}:{column}: {message}");
        let words = columns::after(word.len() + 1, &words, width);
        let colour = if *severity == Severity::Error { "1;31" } else { "1;33" };
        shown::say(format_args!("{} {words}", shown::paint(&word, colour, shown::colour_err())));
    }
    if !findings.is_empty() {
        shown::hint(format_args!("amends check {path} tells why, and what to do"));
    }
}

/// What stands in a file.
pub fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        let what = format_args!("{} cannot be read: {error}", path.display());
        let failure = Failure::new(Exit::Usage, what);
        match error.kind() {
            std::io::ErrorKind::NotFound => failure.hint(elsewhere(path)),
            std::io::ErrorKind::PermissionDenied => failure.hint("let this user read it"),
            _ => failure,
        }
    };
    let size = std::fs::metadata(path).map_err(failed)?;
    if size.is_dir() {
        let what = format_args!("{} is a folder, and a definition is a file", path.display());
        return Err(Failure::new(Exit::Usage, what).hint(named_in(path)));
    }
    // The checker reports what is too large; no more than it needs to see that is read.
    read_at_most(path, SOURCE_BYTES_MAX + 1).map_err(failed)
}

fn read_at_most(path: &Path, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where a file may be that is not where it was said to be.
fn elsewhere(path: &Path) -> String {
    if let Some(near) = nearest(path) {
        return format!("did you mean {}?", near.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if folder.is_dir() {
        return named_in(folder);
    }
    let here = std::env::current_dir().unwrap_or_default();
    format!("the folder {} is not there either, seen from {}", folder.display(), here.display())
}

/// Which definitions a folder has.
fn named_in(folder: &Path) -> String {
    /// Who has more of them knows how to list them.
    const SHOWN_MAX: usize = 5;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|p| is_definition(p)).collect();
    files.sort();
    let more = if files.len() > SHOWN_MAX { ", …" } else { "" };
    let shown: Vec<_> = files.iter().take(SHOWN_MAX).map(|f| f.display().to_string()).collect();
    match folder {
        _ if !shown.is_empty() => format!("name one that is there: {}{more}", shown.join(", ")),
        here if here == Path::new(".") => {
            "name it with the folder in which it lies; there is no definition in this one"
                .to_owned()
        }
        there => format!("there is no definition (*.yaml, *.yml, *.json) in {}", there.display()),
    }
}

/// The file of the same folder whose name is most like the one that is not there.
fn nearest(path: &Path) -> Option<PathBuf> {
    /// Names less alike than this were not meant.
    const LIKENESS_MIN: f64 = 0.8;
    // All definitions end alike; what stands before tells them apart.
    let stem = |name: &str| name.rsplit_once('.').map_or(name.len(), |(stem, _)| stem.len());
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let likeness = strsim::jaro_winkler(&wanted[..stem(wanted)], &name[..stem(&name)]);
            (likeness >= LIKENESS_MIN).then(|| (likeness, path.with_file_name(name)))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_definitions_and_nothing_else() {
        for (name, expected) in [
            ("a/order.yaml", true),
            ("a/order.yml", true),
            ("order.json", true),
            ("order.schema.json", false),
            ("order.data.json", false),
            (".order.yaml", false),
            ("order.yaml~", false),
            ("README.md", false),
        ] {
            assert_eq!(is_definition(Path::new(name)), expected, "{name}");
        }
    }
}
