//! The stages of `cargo xtask test`, as data: a new one is one entry here.

/// A stage.
pub(crate) struct Stage {
    /// Its name, in the table and on the command line.
    pub(crate) name: &'static str,
    /// What it proves.
    pub(crate) what: &'static str,
    /// How.
    pub(crate) by: By,
}

/// How a stage is run.
pub(crate) enum By {
    /// This program with these arguments, at the root.
    Program(&'static [&'static str]),
    /// This program of the workspace with these arguments, as the tests have built it.
    Built(&'static str, &'static [&'static str]),
    /// Our own tidy rules.
    Tidy,
    /// Python in an environment of its own, beside real databases.
    Python,
    /// cargo-deny, installed when it is not there.
    Deny(&'static [&'static str]),
    /// cargo-deny on what needs the advisory database.
    Advisories,
}

use By::{Advisories, Built, Deny, Program, Tidy};

/// In this order: what fails fast comes first, what may have to be installed comes last. The
/// default features are tested; the others need a broker or a database to talk to.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "format",
        what: "every Rust file is formatted",
        by: Program(&["cargo", "fmt", "--all", "--check"]),
    },
    Stage { name: "tidy", what: "docs, lengths, names, crate edges, debris", by: Tidy },
    Stage {
        name: "clippy",
        what: "no warning in any target",
        by: Program(&[
            "cargo",
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Stage {
        name: "tests",
        what: "unit and integration tests of every crate",
        by: Program(&[
            "cargo",
            "test",
            "--locked",
            "--workspace",
            "--all-targets",
            "--no-fail-fast",
        ]),
    },
    Stage {
        name: "doc-tests",
        what: "the examples in the documentation",
        by: Program(&["cargo", "test", "--locked", "--workspace", "--doc", "--no-fail-fast"]),
    },
    Stage {
        name: "exploration",
        what: "every small saga in every order, and every trap caught",
        by: Program(&[
            "cargo",
            "run",
            "--locked",
            "--release",
            "--package",
            "amends-explore",
            "--",
            "--table",
        ]),
    },
    Stage {
        name: "simulation",
        what: "a thousand seeds of the engine with every fault, and every mistake caught",
        // Not in release: it is built by the tests already, and no number overflows unseen.
        by: Built("amends-sim", &["--table"]),
    },
    Stage {
        name: "python",
        what: "the participant kit for Python on real databases, and the example participants",
        by: By::Python,
    },
    Stage {
        name: "dependencies",
        what: "licences, bans and sources of all dependencies",
        by: Deny(&["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]),
    },
    Stage { name: "advisories", what: "no dependency has a known hole", by: Advisories },
];
