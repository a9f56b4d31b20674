//! Which crate may know which: the arrows of ARCHITECTURE.md, all pointing down.

use anyhow::Context;
use serde_json::Value;

use super::Finding;

/// Each crate of the workspace with the crates of the workspace that it may depend on. The tests
/// of a crate may know more (its development dependencies are not looked at): a crate's contract
/// is proved with what stands on it.
const EDGES: &[(&str, &[&str])] = &[
    ("amends-core", &[]),
    ("amends-invariants", &["amends-core"]),
    ("amends-wire", &[]),
    ("amends-definition", &["amends-core"]),
    ("amends-store", &["amends-core"]),
    ("amends-store-sqlite", &["amends-store", "amends-core"]),
    // A disk for the embedded store to fail on.
    ("amends-disk", &["amends-store-sqlite"]),
    ("amends-store-postgres", &["amends-store", "amends-core"]),
    ("amends-transport", &["amends-core", "amends-wire"]),
    ("amends-transport-http", TRANSPORT),
    ("amends-transport-kafka", TRANSPORT),
    ("amends-transport-rabbitmq", TRANSPORT),
    ("amends-transport-nats", TRANSPORT),
    ("amends-transport-sqs", TRANSPORT),
    // The machine meets the wire here too, without an engine between.
    (
        "amends-choreography",
        &["amends-core", "amends-definition", "amends-transport", "amends-wire"],
    ),
    (
        "amends-engine",
        &[
            "amends-choreography",
            "amends-core",
            "amends-definition",
            "amends-store",
            "amends-transport",
            "amends-wire",
        ],
    ),
    // The transport is that of its broker in memory, for tests with the engine; without a coordinator
    // the machine is at work in the service itself.
    (
        "amends-participant",
        &[
            "amends-choreography",
            "amends-core",
            "amends-participant-macros",
            "amends-transport",
            "amends-wire",
        ],
    ),
    ("amends-participant-macros", &[]),
    (
        "amends-server",
        &[
            "amends-core",
            "amends-definition",
            "amends-engine",
            "amends-store",
            "amends-transport",
            "amends-wire",
        ],
    ),
    ("amends", ANY),
    // A participant knows the kit at most …
    ("amends-example-bank", &["amends-participant"]),
    // … and needs nothing of ours, as these prove.
    ("amends-example-services", &[]),
    ("amends-explore", ANY),
    ("amends-folders", ANY),
    ("amends-fuzz", ANY),
    ("amends-sim", ANY),
    ("amends-bench", ANY),
    // Servers of others for tests: only tests know it.
    ("amends-testbed", &[]),
    ("xtask", &[]),
];

/// A transport knows its contract and what travels.
const TRANSPORT: &[&str] = &["amends-core", "amends-transport", "amends-wire"];

/// At the top: nothing stands on it.
const ANY: &[&str] = &["*"];

/// Checks what `cargo metadata` prints.
pub(super) fn check(metadata: &[u8]) -> anyhow::Result<Vec<Finding>> {
    check_against(EDGES, metadata)
}

fn check_against(edges: &[(&str, &[&str])], metadata: &[u8]) -> anyhow::Result<Vec<Finding>> {
    let metadata: Value = serde_json::from_slice(metadata).context("cargo metadata is no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let mut found = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let mut find = |what| {
            found.push(Finding { path: format!("{name}/Cargo.toml"), line: 0, what });
        };
        let Some((_, may)) = edges.iter().find(|(known, _)| *known == name) else {
            find("this crate is not in the table of edges (xtask/src/tidy/edges.rs); say what it may know".to_owned());
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let ours = dependency["path"].is_string() && dependency["kind"] != "dev";
            let other = dependency["name"].as_str().unwrap_or_default();
            if ours && *may != ANY && !may.contains(&other) {
                find(format!("{name} must not know {other}: arrows point down only"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &[(&str, &[&str])] = &[("low", &[]), ("high", &["low"]), ("top", ANY)];

    fn check_one(name: &str, knows: &str, kind: Value) -> Vec<String> {
        let dependency = json!({"name": knows, "kind": kind, "path": "somewhere"});
        let metadata = json!({"packages": [{"name": name, "dependencies": [dependency]}]});
        let found = check_against(TABLE, metadata.to_string().as_bytes()).unwrap();
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_arrow_down_is_fine_and_one_up_is_not() {
        assert_eq!(check_one("high", "low", Value::Null), [""; 0]);
        assert_eq!(check_one("top", "high", Value::Null), [""; 0]);
        let up = "low must not know high: arrows point down only";
        assert_eq!(check_one("low", "high", Value::Null), [up]);
        assert_eq!(check_one("low", "high", json!("build")), [up]);
    }

    #[test]
    fn tests_may_know_more_and_foreign_crates_are_no_arrow() {
        assert_eq!(check_one("low", "high", json!("dev")), [""; 0]);
        let dependency = json!({"name": "serde", "kind": null});
        let metadata = json!({"packages": [{"name": "low", "dependencies": [dependency]}]});
        assert_eq!(check_against(TABLE, metadata.to_string().as_bytes()).unwrap(), []);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        assert!(check_one("other", "low", Value::Null)[0].contains("not in the table"));
    }

    #[test]
    fn the_table_has_no_circle() {
        let mut settled: Vec<&str> = Vec::new();
        let mut open: Vec<_> = EDGES.iter().copied().filter(|(_, may)| *may != ANY).collect();
        while !open.is_empty() {
            let (ready, rest): (Vec<_>, Vec<_>) =
                open.into_iter().partition(|(_, may)| may.iter().all(|m| settled.contains(m)));
            assert!(!ready.is_empty(), "these know each other: {rest:?}");
            settled.extend(ready.iter().map(|(name, _)| *name));
            open = rest;
        }
    }
}
