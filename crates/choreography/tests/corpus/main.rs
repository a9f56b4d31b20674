//! `testbed/choreography.json`: what one service of a choreography takes in, and what it knows and says
//! after each of it. Kits in other languages replay it and must come to the same; here it is made, by
//! chance from fixed seeds, and held to be current.

#[path = "../chance/mod.rs"]
mod chance;
mod scene;

use std::path::Path;

use amends_choreography::{Choreographed, Surroundings};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use chance::Chance;
use scene::{Scene, play};

/// Each with the data that its sagas are started with: paths that are there, and that are not.
const DEFINITIONS: [(&[u8], &[&str]); 4] = [
    (
        include_bytes!("order.yaml"),
        &[r#"{"total":5,"physical":true}"#, r#"{"total":12.50,"physical":false,"é":"ß\u0007"}"#],
    ),
    (
        include_bytes!("transfer.yaml"),
        &[
            r#"{"amount":250,"from":{"name":"A. \"B\"","wants_mail":true},"strict":true}"#,
            r#"{ "amount" : 0.1, "from":{"name":7,"wants_mail":false},"strict":false }"#,
            r#"{"amount":250,"from":{"name":null,"wants_mail":1},"strict":false}"#,
        ],
    ),
    (include_bytes!("trip.yaml"), &["{}", r#"{"command":"mine","to":["x"]}"#]),
    (include_bytes!("parcel.yaml"), &[r#"{"price":{"net":1e2}}"#, r#"{"price":null}"#]),
];

/// How often each is played with each data.
const TIMES: u64 = 8;

struct Corpus {
    plans: Vec<Box<RawValue>>,
    scenes: Vec<Scene>,
}

fn corpus() -> Corpus {
    let (mut plans, mut scenes) = (Vec::new(), Vec::new());
    let mut seed = 0;
    for (at, (file, starts)) in DEFINITIONS.iter().enumerate() {
        let of = Choreographed::read(file, "corpus.yaml", &Surroundings::none()).unwrap();
        plans.push(RawValue::from_string(of.plan()).unwrap());
        for data in *starts {
            for _ in 0..TIMES {
                seed += 1;
                scenes.push(play(&of, at, data, &mut Chance(seed)));
            }
        }
    }
    Corpus { plans, scenes }
}

/// One thing a line, so that a change is seen where it is.
fn text(corpus: &Corpus) -> String {
    let plans: Vec<_> = corpus.plans.iter().map(|plan| plan.get()).collect();
    let scenes: Vec<_> = corpus.scenes.iter().map(Scene::text).collect();
    format!(
        "{{\"plans\": [\n{}\n],\n\"scenes\": [\n{}\n]}}\n",
        plans.join(",\n"),
        scenes.join(",\n")
    )
}

#[test]
fn the_corpus_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testbed/choreography.json");
    let current = text(&corpus());
    if std::env::var_os("AMENDS_BLESS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    // As JSON: in which order the keys of what an expression has made stand is nobody's promise.
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    assert!(
        json(&committed) == json(&current),
        "run this test with AMENDS_BLESS=1 to write testbed/choreography.json anew, and then the tests of \
         the kit for Python"
    );
}
