//! The description of the API: complete, true, and the committed copy current.

use super::bench::Bench;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn every_described_route_is_served() {
    let bench = Bench::open().await;
    let document: Value = bench.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut routes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = path
            .replace("{ref}", "Order")
            .replace("{saga_id}", "0192f0c1-2345-7abc-8def-0123456789ab")
            .replace(['{', '}'], "");
        for (method, operation) in item.as_object().unwrap() {
            routes += 1;
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
            assert!(operation["operationId"].is_string(), "{method} {path}");
            let method = method.to_uppercase();
            let response = bench.open_response(&method, &concrete, &[], "").await;
            if response.status() == 404 || response.status() == 405 {
                let got = bench.send(&method, &concrete, &[], "").await;
                let code = got.problem().1;
                let unrouted = ["no_such_route", "method_not_allowed"];
                assert!(!unrouted.contains(&code.as_str()), "{method} {path} is not served");
            }
        }
    }
    assert_eq!(routes, 34);
}

/// Routes come into the router with their description only, so that none is left out.
#[test]
fn no_route_is_added_without_its_description() {
    let source = include_str!("../router.rs");
    for way_around in [".route(", ".nest(", ".merge(", ".route_service(", ".nest_service("] {
        assert!(!source.contains(way_around), "{way_around} in router.rs");
    }
}

#[test]
fn references_in_the_description_lead_somewhere() {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(crate::openapi()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn the_committed_description_is_current() {
    let committed = include_str!("../../openapi.json");
    let how = "run: cargo run -p amends-server --example openapi > crates/server/openapi.json";
    assert!(committed == crate::openapi(), "openapi.json is out of date; {how}");
}
