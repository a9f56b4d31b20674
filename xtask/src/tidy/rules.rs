//! The rules for one file.
//!
//! What a rule forbids is written here in two halves, so that this file keeps its own rules.

use super::{File, Finding};

/// A file that is longer hides a second idea. The tests in `tests/` may be as long as they are many.
const FILE_LINES_MAX: usize = 600;

/// What may stand at the root of the repository; anything else is debris, or belongs in here.
const ROOT: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".dockerignore",
    ".editorconfig",
    ".gitattributes",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "bench",
    "clippy.toml",
    "compose.yaml",
    "crates",
    "deny.toml",
    "docs",
    "examples",
    "explore",
    "folders",
    "fuzz",
    "packaging",
    "python",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "sim",
    "testbed",
    "ui",
    "xtask",
];

/// Words that name a drawer and not what is in it.
const DRAWERS: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "managers"];

/// Code that is not there, or not run, with what to do instead.
const UNDONE: &[(&str, &str, &str)] = &[
    (".rs", concat!("#[", "ignore"), "a test that is not run proves nothing: mend it or remove it"),
    (".rs", concat!("to", "do!("), "it is not done: do it, or leave it out"),
    (".rs", concat!("unimple", "mented!("), "it is not done: do it, or leave it out"),
    (".py", concat!("@unittest.", "skip"), "a test that is not run proves nothing"),
    (".py", concat!("self.", "skipTest("), "a test that is not run proves nothing"),
];

/// Folders that exist on one machine only.
const MACHINE_FOLDERS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// What points a package manager at a registry that others may not have.
const REGISTRIES: &[&str] = &[
    concat!("arti", "factory"),
    concat!("replace", "-with"),
    concat!("index", "-url"),
    concat!("find", "-links"),
];

/// Where locked packages may come from: (file, how a source's line begins, how its URL begins).
const SOURCES: &[(&str, &str, &str)] = &[
    ("Cargo.lock", "source = \"", "registry+https://github.com/rust-lang/crates.io-index\""),
    ("package-lock.json", "\"resolved\": \"", "https://registry.npmjs.org/"),
    (".npmrc", "registry=", "https://registry.npmjs.org/"),
];

/// All that is untidy in a file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut found = Findings { path: &file.path, found: Vec::new() };
    stands_where_it_may(&mut found);
    named_for_what_it_is(&mut found, &file.path);
    if let Some(text) = &file.text {
        if file.path.ends_with(".rs") {
            opens_with_its_purpose(&mut found, text);
            short_enough(&mut found, text);
            items_named_for_what_they_are(&mut found, text);
        }
        nothing_undone(&mut found, text);
        no_place_of_one_machine(&mut found, text);
        no_private_registry(&mut found, text);
    }
    found.found
}

struct Findings<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn find(&mut self, line: usize, what: impl Into<String>) {
        self.found.push(Finding { path: self.path.to_owned(), line, what: what.into() });
    }
}

fn stands_where_it_may(found: &mut Findings<'_>) {
    let first = found.path.split('/').next().unwrap_or(found.path);
    if !ROOT.contains(&first) {
        found.find(0, format!("{first} may not stand at the root; see ROOT in the tidy rules"));
    }
}

fn named_for_what_it_is(found: &mut Findings<'_>, path: &str) {
    if let Some(word) = path.split('/').find_map(drawer) {
        found.find(0, format!("{word} names a drawer: name it for what it is"));
    }
}

fn items_named_for_what_they_are(found: &mut Findings<'_>, text: &str) {
    const ITEMS: [&str; 5] = ["mod", "struct", "enum", "trait", "type"];
    for (number, line) in numbered(text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
        let mut words =
            line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
        if words.any(|word| ITEMS.contains(&word))
            && let Some(word) = words.next().and_then(drawer)
        {
            found.find(number, format!("{word} names a drawer: name it for what it is"));
        }
    }
}

/// The first word of a name that is a drawer's.
fn drawer(name: &str) -> Option<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if c.is_alphanumeric() {
            words.last_mut()?.extend(c.to_lowercase());
        }
    }
    words.into_iter().find(|word| DRAWERS.contains(&word.as_str()))
}

fn opens_with_its_purpose(found: &mut Findings<'_>, text: &str) {
    let mut lines = numbered(text).filter(|(_, line)| !line.trim().is_empty());
    let opening = lines.find(|(_, line)| !line.starts_with("#!["));
    if !opening.is_some_and(|(_, line)| line.starts_with("//!")) {
        found.find(1, "it does not open with a sentence (//!) on what it is for");
    }
}

fn short_enough(found: &mut Findings<'_>, text: &str) {
    let lines = text.lines().count();
    let is_test = found.path.split('/').rev().skip(1).any(|folder| folder == "tests");
    if lines > FILE_LINES_MAX && !is_test {
        found.find(
            0,
            format!("{lines} lines, over {FILE_LINES_MAX}: look for the second idea in it"),
        );
    }
}

fn nothing_undone(found: &mut Findings<'_>, text: &str) {
    let path = found.path;
    for (_, sign, what) in UNDONE.iter().filter(|(ending, ..)| path.ends_with(ending)) {
        for (number, _) in numbered(text).filter(|(_, line)| line.contains(*sign)) {
            found.find(number, format!("{sign}: {what}"));
        }
    }
}

fn no_place_of_one_machine(found: &mut Findings<'_>, text: &str) {
    for (number, line) in numbered(text) {
        for folder in MACHINE_FOLDERS {
            // In the middle of a longer path, or of a URL, it is another folder.
            let starts = |at: usize| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-~}$*".contains(c))
            };
            if line.match_indices(folder).any(|(at, _)| starts(at)) {
                found.find(number, format!("{folder}… is a path of one machine"));
            }
        }
    }
}

fn no_private_registry(found: &mut Findings<'_>, text: &str) {
    let path = found.path;
    let file_name = path.rsplit('/').next().unwrap_or(path);
    for (number, line) in numbered(text) {
        if let Some(sign) = REGISTRIES.iter().find(|sign| line.contains(**sign)) {
            found.find(number, format!("{sign}: a registry that others may not have"));
        }
        for (_, begins, url) in SOURCES.iter().filter(|(name, ..)| *name == file_name) {
            let foreign = line.trim_start().strip_prefix(begins).filter(|u| !u.starts_with(url));
            if let Some(foreign) = foreign.map(str::to_owned) {
                found.find(number, format!("{foreign} is not the public registry"));
            }
        }
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(number, line)| (number + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [usize; 0] = [];

    const DOC: &str = "//! What it is for.\n";

    /// The lines at which something is found.
    fn found(path: &str, text: &str) -> Vec<usize> {
        let file = File { path: path.to_owned(), text: Some(text.to_owned()) };
        check(&file).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_rust_file_opens_with_its_purpose() {
        assert_eq!(found("xtask/a.rs", DOC), NOTHING);
        assert_eq!(found("xtask/a.rs", &format!("#![no_main]\n\n{DOC}")), NOTHING);
        assert_eq!(found("xtask/a.rs", "fn main() {}\n"), [1]);
        assert_eq!(found("xtask/a.rs", "// A comment only.\n"), [1]);
        assert_eq!(found("xtask/a.rs", ""), [1]);
        assert_eq!(found("docs/a.md", "fn main() {}\n"), NOTHING);
    }

    #[test]
    fn a_file_is_at_most_600_lines_but_for_the_tests_folder() {
        let lines = |n: usize| DOC.to_owned() + &"//\n".repeat(n - 1);
        assert_eq!(found("xtask/a.rs", &lines(600)), NOTHING);
        assert_eq!(found("xtask/a.rs", &lines(601)), [0]);
        assert_eq!(found("xtask/tests/a.rs", &lines(601)), NOTHING);
        assert_eq!(found("xtask/src/tests.rs", &lines(601)), [0]);
    }

    #[test]
    fn a_drawer_is_no_name() {
        for path in ["crates/utils/a.md", "crates/string_util.md", "crates/x/Common.md"] {
            assert_eq!(found(path, ""), [0], "{path}");
        }
        for path in ["crates/utility.md", "crates/uncommon.md"] {
            assert_eq!(found(path, ""), NOTHING, "{path}");
        }
        let word = DRAWERS[3];
        let names = format!("mod {word};\npub struct SagaManager;\nenum CommonKind {{}}\n");
        assert_eq!(found("xtask/a.rs", &format!("{DOC}{names}")), [2, 3, 4]);
        let fine = format!("fn common_prefix() {{}}\n// mod {word}\nstruct Managed;\n");
        assert_eq!(found("xtask/a.rs", &format!("{DOC}{fine}")), NOTHING);
    }

    #[test]
    fn nothing_is_left_undone() {
        for (ending, sign, _) in UNDONE {
            let path = format!("xtask/a{ending}");
            assert_eq!(found(&path, &format!("{DOC}    {sign}")), [2], "{sign}");
        }
        assert_eq!(found("docs/a.md", UNDONE[1].1), NOTHING);
    }

    #[test]
    fn a_path_of_one_machine_is_found_but_not_within_a_longer_one() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(found("docs/a.md", &format!("see {folder}me/x")), [1], "{folder}");
            assert_eq!(found("docs/a.md", &format!("https://example.org{folder}x")), NOTHING);
            assert_eq!(found("docs/a.md", &format!("a/net{folder}x")), NOTHING);
        }
    }

    #[test]
    fn packages_come_from_the_public_registries() {
        let check = |path: &str, line: &str, expected: &[usize]| {
            assert_eq!(found(path, line), expected, "{line}");
        };
        for (file, begins, url) in SOURCES {
            let path =
                if *file == "Cargo.lock" { "Cargo.lock".to_owned() } else { format!("ui/{file}") };
            check(&path, &format!("{begins}{url}"), &[]);
            check(&path, &format!("{begins}registry+https://mirror.example/index\""), &[1]);
        }
        for sign in REGISTRIES {
            check(".cargo/config.toml", &format!("{sign} = \"mirror\""), &[1]);
        }
    }

    #[test]
    fn debris_at_the_root_is_found() {
        assert_eq!(found("plan.txt", ""), [0]);
        assert_eq!(found("notes/plan.txt", ""), [0]);
        assert_eq!(found("README.md", ""), NOTHING);
    }

    #[test]
    fn a_file_that_is_no_text_is_judged_by_its_name() {
        let file = |path: &str| File { path: path.to_owned(), text: None };
        assert_eq!(check(&file("ui/logo.png")), []);
        assert_eq!(check(&file("logo.png")).len(), 1);
    }
}
