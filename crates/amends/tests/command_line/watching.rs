//! `serve --watch`: definition files that are changed, broken, mended and removed while sagas run.

use std::fs;
use std::path::Path;

use crate::server::{Server, words};

fn errand(name: &str, deadline: &str) -> String {
    format!(
        "saga: {name}\nsteps:\n  - name: wait\n    signal: go\n    deadline: {deadline}\n    \
         on_deadline: refuse\n"
    )
}

/// Written in one piece, as editors do: half a file is never seen.
fn write(path: &Path, text: &str) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, path).unwrap();
}

#[test]
fn a_changed_file_is_taken_in_a_broken_one_changes_nothing_and_a_removed_one_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = folder.path().join("definitions");
    fs::create_dir(&definitions).unwrap();
    let (first, second) = (definitions.join("first.yaml"), definitions.join("second.yaml"));
    write(&first, &errand("First", "3d"));
    write(&second, &errand("Second", "3d"));
    let server = Server::start_with(&folder.path().join("data"), &definitions, &["--watch"]);
    let (code, old) = server.json(&["start", "First"]);
    assert_eq!((code, old["version"].as_u64()), (0, Some(1)));

    write(&first, &errand("First", "4d"));
    server.says("definitions read again: First v2, was v1");
    let (_, new) = server.json(&["start", "First"]);
    assert_eq!(new["version"], 2);
    let (_, still) = server.json(&["get", old["saga_id"].as_str().unwrap()]);
    assert_eq!(still["version"], 1, "what runs stays with its version");

    write(&first, &errand("First", "four days"));
    server.says("not served because of errors");
    server.says("still served as before: First v2, Second v1");
    server.says("error[A011]");
    assert_eq!(server.json(&["start", "First"]).1["version"], 2);

    write(&first, &errand("First", "4d"));
    server.says("definitions read again: the same as before");
    fs::remove_file(&second).unwrap();
    server.says("Second takes no new sagas, and those that run go on");
    let refused = server.ask(&["start", "Second"]);
    assert_ne!(refused.status.code(), Some(0), "{}", words(&refused));
    assert_eq!(server.json(&["start", "First"]).0, 0);
    assert_eq!(server.terminate(), Some(0));
}
