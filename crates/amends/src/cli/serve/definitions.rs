//! The definition files that are served: found, checked, taken in, and watched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use amends_definition::{Checked, Severity, Surroundings, check, render};
use amends_engine::{DeployError, Deployment, Handle};

use super::super::definition_file::{self, AllowedEnv};
use super::super::exit::{Exit, Failure};
use super::logs::Logs;

/// How often files are looked at: an edit is served before its author has changed windows.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The files and folders that were named.
#[derive(Clone, Debug)]
pub struct Files {
    paths: Vec<PathBuf>,
    env: AllowedEnv,
}

/// What tells that a file was changed.
type Seen = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

impl Files {
    pub const fn new(paths: Vec<PathBuf>, env: AllowedEnv) -> Self {
        Self { paths, env }
    }

    /// Reads and checks every file, and says what was found. `None` when no files were named.
    pub fn read(&self, logs: &Logs) -> Result<Option<Vec<Deployment>>, Failure> {
        if self.paths.is_empty() {
            return Ok(None);
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for path in self.found()? {
            let mut checked = definition_file::read(&path, &self.env)?;
            let notes = checked.count(Severity::Note);
            checked.findings.retain(|finding| finding.severity != Severity::Note);
            if !checked.findings.is_empty() {
                logs.findings(&render(&checked, logs.colour()));
            }
            if notes > 0 {
                let s = if notes == 1 { "" } else { "s" };
                let path = path.display();
                logs.say(&format!("{path}: {notes} note{s}; amends check {path} shows them"));
            }
            match compiled(checked) {
                Some(deployment) => good.push(deployment),
                None => bad.push(path.display().to_string()),
            }
        }
        if bad.is_empty() {
            return Ok(Some(good));
        }
        let what = format!("not served because of errors: {}", bad.join(", "));
        Err(Failure::new(Exit::Usage, what).hint("correct what is shown above; amends check helps"))
    }

    /// Takes files in whenever they change. What is wrong is said, and changes nothing.
    pub async fn watch(self, handle: Handle, logs: Logs) {
        let mut seen = self.seen();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.seen();
            if now == seen {
                continue;
            }
            seen = now;
            let taken = match self.read(&logs) {
                Ok(checked) => deploy(&handle, checked).await,
                Err(failure) => Err(failure),
            };
            match taken {
                Ok(()) => logs.say(&format!("definitions changed: {}", served(&handle))),
                Err(failure) => {
                    logs.warn(&format!("{}; what was served before stays", failure.what()));
                }
            }
        }
    }

    /// The files, in order; those of a folder by name.
    fn found(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        for path in &self.paths {
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
                return Err(Failure::new(Exit::Usage, what));
            }
            found.extend(files);
        }
        Ok(found)
    }

    fn seen(&self) -> Seen {
        let mark = |path: &Path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        let files = self.found().unwrap_or_default();
        files.into_iter().map(|path| (path.clone(), mark(&path))).collect()
    }
}

/// Takes the files in. Where none were named, the newest version of every type is served that was
/// brought in over the API.
pub async fn deploy(handle: &Handle, checked: Option<Vec<Deployment>>) -> Result<(), Failure> {
    let deployments = checked.unwrap_or_else(|| kept(handle));
    handle.deploy(deployments).await.map_err(refused)
}

/// The types in service, with the version that new sagas get.
pub fn served(handle: &Handle) -> String {
    let mut current = handle.current_versions();
    current.sort();
    let names: Vec<_> =
        current.iter().map(|(name, version)| format!("{name} v{version}")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn kept(handle: &Handle) -> Vec<Deployment> {
    let mut newest = BTreeMap::new();
    for deployed in handle.definitions() {
        newest.insert(deployed.definition.saga_type().to_string(), deployed); // the last one stays
    }
    let sources = newest.into_iter().filter_map(|(name, deployed)| {
        let source = &deployed.compiled.source;
        // Over the API no environment and no file can be used, so none is needed here.
        let deployment = compiled(check(source, &name, &Surroundings::none()));
        if deployment.is_none() {
            tracing::warn!(saga_type = name, "came from a file that is not served: no new sagas");
        }
        deployment
    });
    sources.collect()
}

fn compiled(checked: Checked) -> Option<Deployment> {
    checked.compiled.map(|compiled| Deployment { compiled })
}

fn is_definition(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let kind = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
    kind && !name.ends_with(".schema.json") && !name.starts_with('.')
}

fn refused(error: DeployError) -> Failure {
    match &error {
        DeployError::Conflict { .. } => {
            let lines = error.difference().into_iter().map(|line| format!("\n  {line}"));
            let lines: String = lines.collect();
            let next = "- is what exists, + what the file says";
            Failure::new(Exit::Conflict, format!("{error}{lines}")).hint(next)
        }
        DeployError::Twice(_) | DeployError::Unsupported { .. } => Failure::new(Exit::Usage, error),
        DeployError::Catalog(_) => Failure::new(Exit::Error, error),
    }
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
            (".order.yaml", false),
            ("order.yaml~", false),
            ("README.md", false),
        ] {
            assert_eq!(is_definition(Path::new(name)), expected, "{name}");
        }
    }
}
