//! Kafka's jars: no Debian package has them, so they come from Maven Central, by the way that Maven
//! is told on this machine, once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cache::{self, run};
use crate::program::Program;

/// The version that `jars.txt` is of.
const VERSION: &str = "4.1.2";

/// Each jar, with what its bytes come to: `<SHA-256>  <group>:<artifact>:<version>`. Kafka's own
/// and all that it needs at run time; `slf4j-simple` prints its log.
const JARS: &str = include_str!("jars.txt");

/// What copies them; its version is the one that Debian's Maven takes unless told otherwise.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies";

/// Of Maven itself.
const PACKAGE: &str = "maven";

/// The folder of the jars. They are fetched where they are not there yet, which takes some seconds
/// to a minute.
pub(super) fn folder() -> anyhow::Result<PathBuf> {
    cache::folder(&format!("kafka-{VERSION}"), is_whole, |folder| {
        let mvn = Program::find("mvn", &[], PACKAGE)?;
        eprintln!("Kafka {VERSION} is fetched from Maven Central, once, to {}", folder.display());
        fetch(mvn, folder)
    })
}

/// The list lies beside the jars when all were found to be right.
fn is_whole(folder: &Path) -> bool {
    fs::read_to_string(list_in(folder)).is_ok_and(|list| list == JARS)
}

fn list_in(folder: &Path) -> PathBuf {
    folder.join("jars.txt")
}

fn fetch(mvn: Program, folder: &Path) -> anyhow::Result<()> {
    // Beside it, so that it can be renamed.
    let work = tempfile::tempdir_in(folder.parent().context("the cache is a folder")?)?;
    let (project, jars) = (work.path().join("pom.xml"), work.path().join("jars"));
    fs::write(&project, project_of(JARS))?;
    let mvn = mvn.args(["--batch-mode", "--quiet", "--file"]).arg(project).arg(COPY);
    run(&mvn.option("-DoutputDirectory", &jars)).context("Kafka's jars cannot be had")?;
    let sums = work.path().join("sums");
    fs::write(&sums, sums_of(JARS, &jars))?;
    run(&Program::find("sha256sum", &[], "coreutils")?.args(["--check", "--quiet"]).arg(sums))
        .context("Kafka's jars are not those that they should be")?;
    fs::write(list_in(&jars), JARS)?;
    let _ = fs::remove_dir_all(folder); // an older list's
    fs::rename(&jars, folder).context("the jars cannot be kept")
}

/// The list as a project that depends on these jars and on nothing that they depend on.
fn project_of(list: &str) -> String {
    let mut project = "<project><modelVersion>4.0.0</modelVersion><groupId>amends</groupId>\
         <artifactId>testbed</artifactId><version>1</version><dependencies>"
        .to_owned();
    for [_, group, artifact, version] in entries(list) {
        project.push_str(&format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version><exclusions><exclusion><groupId>*</groupId>\
             <artifactId>*</artifactId></exclusion></exclusions></dependency>"
        ));
    }
    project.push_str("</dependencies></project>");
    project
}

/// The list as `sha256sum` reads it.
fn sums_of(list: &str, folder: &Path) -> String {
    let line = |[sum, _, artifact, version]: [&str; 4]| {
        format!("{sum}  {}/{artifact}-{version}.jar\n", folder.display())
    };
    entries(list).map(line).collect()
}

/// Sum, group, artifact, version.
fn entries(list: &str) -> impl Iterator<Item = [&str; 4]> {
    list.lines().filter_map(|line| {
        let (sum, name) = line.split_once("  ")?;
        let mut parts = name.split(':');
        Some([sum, parts.next()?, parts.next()?, parts.next()?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_a_jar_with_its_sum() {
        assert_eq!(entries(JARS).count(), JARS.lines().count());
        assert!(entries(JARS).all(|[sum, ..]| sum.len() == 64));
        let kafka = ["kafka_2.13", VERSION];
        assert!(entries(JARS).any(|[_, _, artifact, version]| [artifact, version] == kafka));
    }

    #[test]
    fn other_bytes_are_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a-1.jar"), "not these").unwrap();
        let sums = folder.path().join("sums");
        let list = format!("{}  g:a:1\n", "0".repeat(64));
        fs::write(&sums, sums_of(&list, folder.path())).unwrap();
        let check = Program::find("sha256sum", &[], "coreutils").unwrap();
        let error = run(&check.args(["--check", "--quiet"]).arg(sums)).unwrap_err();
        assert!(error.to_string().contains("a-1.jar: FAILED"), "{error}");
    }
}
