//! Free choreographies: what is right is found right, whatever is changed in it is found, and what the
//! findings say to write makes it right again.

use std::collections::BTreeSet;
use std::path::Path;

use amends_definition::{
    Analysis, Document, End, Finding, FreeChoreography, Reactions, Rule, Severity, Source,
    Surroundings, check, render,
};
use proptest::prelude::*;

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

const ORDER: &str = "../../examples/order/order.choreography.yaml";
const RIGHT: [&str; 3] = [ORDER, "tests/free/travel.yaml", "tests/free/fallback.yaml"];

fn checked(text: &str) -> (Vec<Finding>, String, Option<Reactions>) {
    match Document::check(text.as_bytes(), "free.yaml", &Surroundings::none()) {
        Document::Free(checked) => {
            let shown = render(&checked, false);
            (checked.findings, shown, checked.compiled)
        }
        Document::Saga(checked) => panic!("no choreography: {}", render(&checked, false)),
    }
}

fn errors(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

fn explored(text: &str) -> Analysis {
    let (_, shown, reactions) = checked(text);
    reactions.unwrap_or_else(|| panic!("{shown}")).explore(&mut |_| true)
}

/// The reactions of a file as blocks of lines, and what stands before them.
fn blocks(text: &str) -> (String, Vec<String>) {
    let (head, reactions) = text.split_once("\nreactions:\n").unwrap();
    let mut blocks: Vec<String> = Vec::new();
    for line in reactions.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if line.starts_with("  - ") {
            blocks.push(String::new());
        }
        if let Some(block) = blocks.last_mut().filter(|_| !line.is_empty()) {
            *block += &format!("{line}\n");
        }
    }
    (format!("{head}\nreactions:\n"), blocks)
}

/// A block's line of this key, if it has one.
fn line<'a>(block: &'a str, key: &str) -> Option<&'a str> {
    block.lines().find(|line| line[4..].starts_with(key) && line[4 + key.len()..].starts_with(':'))
}

#[test]
fn what_is_right_is_found_right() {
    for path in RIGHT {
        let (findings, shown, _) = checked(&file(path));
        assert!(findings.is_empty(), "{path}: {shown}");
        let analysis = explored(&file(path));
        assert!(analysis.complete && analysis.is_sound(), "{path}");
    }
}

#[test]
fn both_ends_are_told_by_the_shortest_run() {
    let text = file(ORDER);
    let reactions = checked(&text).2.unwrap();
    let ends = reactions.explore(&mut |_| true).ends(&reactions);
    let story = |end| &ends.iter().find(|(other, ..)| *other == end).unwrap().2;
    assert_eq!(ends.len(), 2);
    assert_eq!(
        story(End::Undone).as_slice(),
        [
            "OrderCreated is said",
            "InventoryService fails at ReserveInventory, and says InventoryFailed",
            "OrderService hears InventoryFailed, and says OrderFailed",
        ]
    );
    assert_eq!(story(End::Done).len(), 5);
}

#[test]
fn whichever_reaction_is_left_out_it_is_found() {
    for path in RIGHT {
        let (head, all) = blocks(&file(path));
        for out in 0..all.len() {
            // Nothing hangs on a best effort.
            if line(&all[out], "kind").is_some_and(|kind| kind.ends_with("best_effort")) {
                continue;
            }
            let rest = all.iter().enumerate().filter(|(ix, _)| *ix != out);
            let text = head.clone() + &rest.map(|(_, block)| block.as_str()).collect::<String>();
            let (findings, shown, _) = checked(&text);
            assert!(!errors(&findings).is_empty(), "{path} without\n{}\n{shown}", all[out]);
        }
    }
}

/// What of two reactions is exchanged: what sets them off, what is said then, or what is done.
const EXCHANGED: [&[&str]; 4] = [&["on"], &["then"], &["undo"], &["undo", "then", "reads"]];

fn exchanged(all: &[String], one: usize, other: usize, keys: &[&str]) -> Option<Vec<String>> {
    let mut all = all.to_vec();
    for key in keys {
        let (a, b) = (line(&all[one], key), line(&all[other], key));
        let (a, b) = match (a, b) {
            (None, None) => continue,
            (Some(a), Some(b)) if a != b => (a.to_owned(), b.to_owned()),
            _ => return None,
        };
        all[one] = all[one].replace(&a, &b);
        all[other] = all[other].replace(&b, &a);
    }
    Some(all)
}

#[test]
fn whichever_two_reactions_change_places_it_is_found() {
    let (head, all) = blocks(&file(ORDER));
    let mut tried = 0;
    for one in 0..all.len() {
        for other in one + 1..all.len() {
            for keys in EXCHANGED {
                let Some(changed) = exchanged(&all, one, other, keys) else { continue };
                if changed == all {
                    continue;
                }
                tried += 1;
                let (findings, shown, _) = checked(&(head.clone() + &changed.concat()));
                let what = format!("{keys:?} of\n{}and\n{}", all[one], all[other]);
                assert!(!findings.is_empty(), "{what}{shown}");
            }
        }
    }
    assert!(tried > 30, "{tried} were tried");
}

/// Does what the first error says; `None` where it leaves that to a person.
fn mended(text: &str, finding: &Finding) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    if finding.id == Rule::FailureNotTold {
        let (_, rest) = finding.fix.split_once('`')?;
        let (key, _) = rest.split_once('`')?;
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines.insert(finding.line, format!("    {key}"));
        return Some(lines.join("\n") + "\n");
    }
    if finding.add.is_empty() && !finding.fix.contains("remove the reaction in line") {
        return None;
    }
    let numbers: BTreeSet<usize> = match finding.fix.split_once(" in line") {
        None => BTreeSet::new(),
        Some((_, numbers)) => {
            numbers.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
        }
    };
    let mut kept = String::new();
    let mut out = false;
    for (number, line) in (1..).zip(&lines) {
        if line.starts_with("  - ") || !line.starts_with("    ") {
            out = numbers.contains(&number);
        }
        if !out {
            kept += &format!("{line}\n");
        }
    }
    Some(format!("{kept}{}\n", finding.add))
}

/// Whoever does what the findings say comes to an end.
fn mend(text: &str) -> Result<String, String> {
    const ROUNDS_MAX: usize = 40;
    let mut text = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let (findings, shown, _) = checked(&text);
        // What is only warned of may be mended, too, once nothing is wrong.
        let (wrong, rest): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| finding.severity == Severity::Error);
        if findings.is_empty() {
            return Ok(text);
        }
        let of = if wrong.is_empty() { rest } else { wrong };
        match of.into_iter().find_map(|finding| mended(&text, finding)) {
            Some(next) => text = next,
            None => return Err(format!("{shown}\n{text}")),
        }
    }
    Err(text)
}

#[test]
fn the_seed_is_made_right_by_what_its_findings_say() {
    let text = mend(&file("tests/bad/free-seed.yaml")).unwrap();
    let (_, all) = blocks(&text);
    let undo = |block: &&String| line(block, "undo").is_some();
    assert_eq!(all.iter().filter(undo).count(), 3, "{text}");
    assert!(text.contains("- on: CreateShipmentFailed\n    undo: PaymentService"), "{text}");
    assert!(text.contains("- on: ProcessPaymentUndone\n    undo: InventoryService"), "{text}");
}

#[test]
fn the_long_form_is_made_right_by_what_its_findings_say() {
    let text = mend(&file("tests/bad/free-long-form.yaml")).unwrap();
    // The inventory waits for the payment now.
    assert!(text.contains("- on: ProcessPaymentUndone\n    undo: InventoryService"), "{text}");
    assert!(!text.contains("- on: ShipmentFailed\n    undo: InventoryService"), "{text}");
}

#[test]
fn a_way_back_that_is_left_out_is_made_right_by_what_its_findings_say() {
    for path in [ORDER, "tests/free/fallback.yaml"] {
        let (head, all) = blocks(&file(path));
        for out in 0..all.len() {
            if line(&all[out], "action").is_some() {
                continue;
            }
            let rest = all.iter().enumerate().filter(|(ix, _)| *ix != out);
            let text = head.clone() + &rest.map(|(_, block)| block.as_str()).collect::<String>();
            // An event that is waited for and said by nobody has its own finding, and no lines.
            let (findings, ..) = checked(&text);
            if findings.iter().any(|finding| finding.id == Rule::EventNotWritten) {
                continue;
            }
            mend(&text).unwrap_or_else(|left| panic!("{path} without\n{}{left}", all[out]));
        }
    }
}

#[test]
fn a_way_back_in_the_wrong_order_is_turned_round() {
    let (head, all) = blocks(&file(ORDER));
    let turned = "  - on: ShipmentFailed
    undo: InventoryService.ReserveInventory
    then: InventoryReleased
  - on: InventoryReleased
    undo: PaymentService.ProcessPayment
    then: PaymentRefunded
  - on: PaymentFailed
    undo: InventoryService.ReserveInventory
    then: ReleasedAlone
  - on: { any_of: [InventoryFailed, PaymentRefunded, ReleasedAlone] }
    then: OrderFailed
";
    let text = head + &all[..4].concat() + turned;
    let (findings, shown, _) = checked(&text);
    assert!(findings.iter().any(|finding| finding.id == Rule::UndoneTooEarly), "{shown}");
    let text = mend(&text).unwrap();
    assert!(text.contains("- on: ShipmentFailed\n    undo: PaymentService"), "{text}");
}

/// The pictures of the worked example; `AMENDS_BLESS=1` writes them anew.
#[test]
fn the_order_is_drawn_in_three_ways() {
    let reactions = checked(&file(ORDER)).2.unwrap();
    let (ascii, mermaid, svg) = (reactions.ascii(), reactions.mermaid(), reactions.svg());
    assert!(ascii.lines().all(|line| line.chars().count() <= 80), "{ascii}");
    assert!(!svg.contains("href") && !svg.contains("<script"), "{svg}");
    for (name, drawn) in [("order.txt", ascii), ("order.mmd", mermaid), ("order.svg", svg)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/free").join(name);
        if std::env::var_os("AMENDS_BLESS").is_some() {
            std::fs::write(&path, &drawn).unwrap();
        }
        assert!(std::fs::read_to_string(&path).unwrap_or_default() == drawn, "{name}: {drawn}");
    }
}

fn right() -> FreeChoreography {
    FreeChoreography::named("Order")
        .starts_with("Created")
        .ends_with("Done", "Undone")
        .on("Created", |r| {
            r.action("Stock.Take").compensation("Stock.PutBack").then("Taken").on_failure("Undone")
        })
        .on("Taken", |r| r.action("Pay.Charge").then("Done").on_failure("ChargeFailed"))
}

#[test]
fn a_program_has_its_reactions_analysed_in_a_test() {
    let reactions = right().on("ChargeFailed", |r| r.undo("Stock.Take").then("Undone")).build();
    assert_eq!(reactions.unwrap().len(), 3);
    let error = right().build().unwrap_err();
    let ids: Vec<_> = error.findings().iter().map(|finding| finding.id.id()).collect();
    assert!(ids.contains(&"A146") && ids.contains(&"A147"), "{error}");
    assert!(error.to_string().contains("- on: ChargeFailed"), "{error}");
}

#[test]
fn a_choreography_is_no_saga_and_whoever_runs_sagas_says_so() {
    let checked = check(file(ORDER).as_bytes(), "order.yaml", &Surroundings::none());
    let ids: Vec<_> = checked.findings.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, [Rule::FreeNotRun]);
    assert!(checked.compiled.is_none());
}

#[test]
fn what_was_not_looked_at_is_said() {
    let text = file("tests/bad/free-wide.yaml");
    let reactions = checked(&text).2.unwrap();
    let mut calls = 0;
    let analysis = reactions.explore(&mut |_| {
        calls += 1;
        calls <= 10
    });
    assert!(!analysis.complete && analysis.states == 10);
    assert!(reactions.explore(&mut |_| true).complete);
}

#[test]
fn the_words_of_a_finding_come_with_its_run() {
    let text = file("tests/bad/free-long-form.yaml");
    let reactions = checked(&text).2.unwrap();
    let source = Source::new("order.yaml", text.as_bytes());
    let told = reactions.explore(&mut |_| true).told(&reactions, &source);
    let early = told.iter().find(|told| told.finding.id == Rule::UndoneTooEarly).unwrap();
    assert_eq!(early.finding.line, 30);
    assert_eq!(early.story.last().unwrap(), "InventoryService undoes ReserveInventory");
    assert!(told.is_sorted_by_key(|told| told.story.len()), "the shortest first");
}

/// Any reactions over a few events and actions.
fn any_reactions() -> impl Strategy<Value = String> {
    let event = (0..6_u8).prop_map(|n| format!("E{n}"));
    let events = prop::collection::vec(event.clone(), 1..3);
    let on = (events.clone(), any::<bool>()).prop_map(|(events, any)| match any {
        true => format!("{{ any_of: [{}] }}", events.join(", ")),
        false => format!("[{}]", events.join(", ")),
    });
    let work = (0..3_u8, event, 0..4_u8).prop_map(|(action, failure, what)| match what {
        0 => format!(", action: S.A{action}, compensation: S.U{action}, on_failure: {failure}"),
        1 => format!(", action: T.A{action}, kind: retriable"),
        2 => format!(", undo: S.A{action}"),
        _ => String::new(),
    });
    let reaction = (on, work, events).prop_map(|(on, work, then)| {
        format!("  - {{ on: {on}{work}, then: [{}] }}\n", then.join(", "))
    });
    prop::collection::vec(reaction, 1..9).prop_map(|all| {
        format!(
            "choreography: Any\nstarts_with: E0\nends_with: {{ done: E5, undone: E4 }}\nreactions:\n{}",
            all.concat()
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever reactions somebody writes, they are explored, shown and drawn.
    #[test]
    fn any_reactions_are_analysed(text in any_reactions()) {
        let (findings, _, reactions) = checked(&text);
        if let Some(reactions) = reactions {
            drop((reactions.ascii(), reactions.mermaid(), reactions.svg()));
            let analysis = reactions.explore(&mut |_| true);
            prop_assert!(analysis.complete);
            let all = analysis.told(&reactions, &Source::new("free.yaml", text.as_bytes()));
            prop_assert_eq!(analysis.is_sound(), all.iter().all(|told| told.finding.severity != Severity::Error));
        } else {
            prop_assert!(!errors(&findings).is_empty());
        }
    }
}
