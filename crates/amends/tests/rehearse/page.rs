//! The output shown in `docs/rehearse.md` is the real one: a participant without stored answers, and the
//! same with them. What differs from run to run is written as what it stands for.

use std::path::Path;

use crate::manner::Manner;
use crate::participant::{Breaks, Fence, Participant};
use crate::{output, written};

/// Every id and time of a run under a name of its own.
pub fn steady(text: &str) -> String {
    let (mut steady, mut ids) = (String::new(), Vec::new());
    for line in text.lines() {
        let words = line.split(' ').map(|word| match word {
            _ if word.len() > 36 && word.get(36..37) == Some("/") => {
                format!("<saga_id>{}", &word[36..])
            }
            _ if word.starts_with("{\"amends_rehearsal_addition\"") => {
                "{\"amends_rehearsal_addition\":\"another\", …}".to_owned()
            }
            _ if word.starts_with("{\"saga_id\"") => "{\"saga_id\": …}".to_owned(),
            _ if word.len() > 2 && word.contains('.') && word.parse::<f32>().is_ok() => {
                "1.0".to_owned()
            }
            _ if word.starts_with("{\"id\":") => steady_id(word, &mut ids),
            // The rest of a callback says of which saga it is.
            _ if word.starts_with("{\"type\":\"") => match word.split_once("\"result\":") {
                Some((head, rest)) => {
                    let (result, _) = rest.split_once("},").unwrap();
                    format!("{head}\"result\":{},…}}", steady_id(&format!("{result}}}"), &mut ids))
                }
                None => word.split(',').next().unwrap().to_owned() + ",…}",
            },
            _ => word.to_owned(),
        });
        steady += &words.collect::<Vec<_>>().join(" ");
        steady.push('\n');
    }
    steady
}

/// A result under a number that says only which are the same.
fn steady_id(word: &str, ids: &mut Vec<String>) -> String {
    let known = ids.iter().position(|id| id == word).unwrap_or_else(|| {
        ids.push(word.to_owned());
        ids.len() - 1
    });
    format!("{{\"id\":{}}}", known + 1)
}

fn played((manner, breaks): (Manner, Breaks)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), Fence::Barrier);
    let tried = Participant::answering(manner, Fence::Barrier, breaks);
    let more: &[&str] = if manner == Manner::Exchange { &[] } else { &["--patience", "2s"] };
    let output = output(&file, &tried, more, "table");
    steady(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_output_in_the_page_is_what_is_printed() {
    let shown = [
        (Manner::Exchange, Breaks::Nothing),
        (Manner::Exchange, Breaks::Repeat),
        (Manner::Forgetful, Breaks::Nothing),
    ];
    keep_current("rehearse.md", &shown.map(played));
}

/// The outputs that a page shows, in its order, are these; written anew where that is wanted.
pub fn keep_current(name: &str, printed: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let mut parts: Vec<String> = page.split("```text\n").map(str::to_owned).collect();
    assert_eq!(parts.len(), printed.len() + 1, "{name} shows as many outputs");
    for (part, printed) in parts[1..].iter_mut().zip(printed) {
        let (_, after) = part.split_once("```\n").unwrap();
        *part = format!("{printed}```\n{after}");
    }
    let expected = parts.join("```text\n");
    if std::env::var_os("AMENDS_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page == expected, "docs/{name} is not current: set AMENDS_BLESS=1; {expected}");
}
