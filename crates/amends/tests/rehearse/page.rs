//! The output shown in `docs/rehearse.md` is the real one: a participant without stored answers, and the
//! same with them. What differs from run to run is written as what it stands for.

use std::path::Path;

use crate::participant::{Breaks, Fence};
use crate::{output, written};

/// Every id and time of a run under a name of its own.
fn steady(text: &str) -> String {
    let (mut steady, mut ids) = (String::new(), Vec::new());
    for line in text.lines() {
        let words = line.split(' ').map(|word| match word {
            _ if word.len() > 36 && word.get(36..37) == Some("/") => {
                format!("<saga_id>{}", &word[36..])
            }
            _ if word.starts_with("{\"saga_id\"") => "{\"saga_id\": …}".to_owned(),
            _ if word.len() > 2 && word.contains('.') && word.parse::<f32>().is_ok() => {
                "1.0".to_owned()
            }
            _ if word.starts_with("{\"id\":") => {
                let known = ids.iter().position(|id| id == word).unwrap_or_else(|| {
                    ids.push(word.to_owned());
                    ids.len() - 1
                });
                format!("{{\"id\":{}}}", known + 1)
            }
            _ => word.to_owned(),
        });
        steady += &words.collect::<Vec<_>>().join(" ");
        steady.push('\n');
    }
    steady
}

fn played(breaks: Breaks) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let output = output(&file, Fence::Barrier, breaks, &[], "table");
    steady(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_output_in_the_page_is_what_is_printed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rehearse.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut parts: Vec<String> = page.split("```text\n").map(str::to_owned).collect();
    assert_eq!(parts.len(), 3, "the page shows two outputs");
    for (part, breaks) in parts[1..].iter_mut().zip([Breaks::Nothing, Breaks::Repeat]) {
        let (_, after) = part.split_once("```\n").unwrap();
        *part = format!("{}```\n{after}", played(breaks));
    }
    let expected = parts.join("```text\n");
    if std::env::var_os("AMENDS_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page == expected, "docs/rehearse.md is not current: set AMENDS_BLESS=1; {expected}");
}
