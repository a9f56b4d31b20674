//! The definition files that are served: found, checked, taken in, and watched.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use amends_definition::{Checked, Severity, Surroundings, check, render_within};
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
        self.read_changed(logs, |_| false)
    }

    /// The same, without the notes and warnings of files that are as they were.
    fn read_changed(
        &self,
        logs: &Logs,
        same: impl Fn(&Path) -> bool,
    ) -> Result<Option<Vec<Deployment>>, Failure> {
        if self.paths.is_empty() {
            return Ok(None);
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for path in definition_file::found(&self.paths)? {
            let mut checked = definition_file::read(&path, &self.env)?;
            // It may lie beside the sagas that it stands for; there is nothing to run in it.
            if definition_file::is_not_run(&checked) {
                if !same(&path) {
                    let path = path.display();
                    logs.say(&format!(
                        "{path}: a free choreography; amends check {path} looks at it"
                    ));
                }
                continue;
            }
            let notes = checked.count(Severity::Note);
            checked.findings.retain(|finding| finding.severity != Severity::Note);
            if same(&path) {
                checked.findings.retain(|finding| finding.severity == Severity::Error);
            }
            if !checked.findings.is_empty() {
                logs.findings(&render_within(&checked, logs.colour(), logs.width()));
            }
            if notes > 0 && checked.compiled.is_some() && !same(&path) {
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
            let same = |path: &Path| seen.get(path) == now.get(path);
            let before: BTreeMap<_, _> = handle.current_versions().into_iter().collect();
            let taken = match self.read_changed(&logs, same) {
                Ok(checked) => deploy(&handle, checked).await,
                Err(failure) => Err(failure),
            };
            match taken {
                Ok(()) => {
                    let after = handle.current_versions().into_iter().collect();
                    logs.say(&format!("definitions read again: {}", changes(&before, &after)));
                }
                Err(failure) => {
                    let served = served(&handle);
                    logs.warn(&format!("{}\nstill served as before: {served}", failure.what()));
                }
            }
            seen = now;
        }
    }

    fn seen(&self) -> Seen {
        let mark = |path: &Path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok()?, about.len()))
        };
        let files = definition_file::found(&self.paths).unwrap_or_default();
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
    let names: Vec<_> = current
        .iter()
        .map(|(name, version)| {
            let deployed = handle.definition(name, *version);
            let is_observed = deployed.is_some_and(|of| of.choreographed.is_some());
            let observed = if is_observed { " (observed)" } else { "" };
            format!("{name} v{version}{observed}")
        })
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What another set of current versions means for new sagas.
fn changes<N: Ord + Display>(before: &BTreeMap<N, u32>, after: &BTreeMap<N, u32>) -> String {
    let came = after.iter().filter_map(|(name, version)| match before.get(name) {
        None => Some(format!("{name} v{version} is new")),
        Some(was) if was == version => None,
        Some(was) => Some(format!("{name} v{version}, was v{was}")),
    });
    let gone = before.keys().filter(|name| !after.contains_key(name));
    let gone = gone.map(|name| format!("{name} takes no new sagas, and those that run go on"));
    let changes: Vec<_> = came.chain(gone).collect();
    if changes.is_empty() { "the same as before".to_owned() } else { changes.join("; ") }
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

fn refused(error: DeployError) -> Failure {
    match &error {
        DeployError::Conflict { .. } => {
            let lines = error.difference().into_iter().map(|line| format!("\n  {line}"));
            let lines: String = lines.collect();
            let next = "- is what exists, + what the file says";
            Failure::new(Exit::Conflict, format!("{error}{lines}")).hint(next)
        }
        DeployError::Twice(_) => Failure::new(Exit::Usage, error),
        DeployError::Catalog(_) => Failure::new(Exit::Error, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_said_and_nothing_else() {
        let (before, after) =
            ([("A", 1), ("B", 1), ("C", 3)].into(), [("B", 2), ("C", 3), ("D", 1)].into());
        assert_eq!(
            changes(&before, &after),
            "B v2, was v1; D v1 is new; A takes no new sagas, and those that run go on"
        );
        assert_eq!(changes(&before, &before), "the same as before");
    }
}
