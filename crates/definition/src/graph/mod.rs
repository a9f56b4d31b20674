//! A definition as a picture: for terminals, for Markdown, for browsers.
//!
//! All three show the same: what waits for what, what can run side by side, how each step is undone
//! and in which order, and where the point of no return is. The same definition always gives the
//! same picture.

mod ascii;
mod mermaid;
mod svg;

use amends_core::StepIx;
use amends_core::definition::{Definition, Kind, Step, Work};

pub use ascii::ascii;
pub use mermaid::mermaid;
pub use svg::svg;
pub(crate) use svg::{MARKERS, curve, escape};

/// The steps in layers: each stands one below the lowest of those it waits for.
fn layers(definition: &Definition) -> Vec<Vec<StepIx>> {
    let mut depth: Vec<usize> = Vec::new();
    let mut layers: Vec<Vec<StepIx>> = Vec::new();
    for ix in definition.indices() {
        let after = definition.step(ix).after.iter();
        let layer = after.map(|before| depth[before.get()] + 1).max().unwrap_or(0);
        depth.push(layer);
        if layers.len() == layer {
            layers.push(Vec::new());
        }
        layers[layer].push(ix);
    }
    layers
}

/// The undos that follow an undo: those of the nearest ancestors that have one. `(later, earlier)`.
fn undo_order(definition: &Definition) -> Vec<(StepIx, StepIx)> {
    let has = |ix: &StepIx| definition.step(*ix).compensation().is_some();
    let mut pairs = Vec::new();
    for later in definition.indices().filter(has) {
        let before: Vec<_> = definition.ancestors(later).iter().filter(has).collect();
        for earlier in &before {
            // Not when another undo comes between the two.
            let between = before.iter().any(|b| definition.ancestors(*b).contains(*earlier));
            if !between {
                pairs.push((later, *earlier));
            }
        }
    }
    pairs
}

/// The layer below which nothing is undone.
fn no_return_below(definition: &Definition, layers: &[Vec<StepIx>]) -> Option<usize> {
    match definition.pivot() {
        Some(pivot) => layers.iter().position(|layer| layer.contains(&pivot)),
        None => {
            let retriable = |ix: &StepIx| definition.step(*ix).kind == Kind::Retriable;
            let first = layers.iter().position(|layer| layer.iter().any(retriable))?;
            first.checked_sub(1)
        }
    }
}

fn kind_word(step: &Step) -> &'static str {
    match (&step.work, step.kind) {
        (Work::Signal { .. }, _) => "signal",
        (_, Kind::Compensatable) if step.compensation().is_none() => "reads only",
        (_, Kind::Compensatable) => "compensatable",
        (_, Kind::Pivot) => "pivot",
        (_, Kind::Retriable) => "retriable",
        (_, Kind::BestEffort) => "best effort",
    }
}

/// What it sends or waits for.
fn work_words(step: &Step) -> String {
    match &step.work {
        Work::Command { action, .. } => format!("{}.{}", action.service, action.name),
        Work::Signal { signal, .. } => format!("waits for {signal}, {}", step.deadline),
    }
}

fn undo_words(step: &Step) -> Option<String> {
    step.compensation().map(|command| format!("{}.{}", command.service, command.name))
}

/// `if its condition holds`, `one run an item`.
fn condition_words(step: &Step) -> Option<&'static str> {
    match (step.computed.when, step.computed.for_each) {
        (true, true) => Some("on condition, one run an item"),
        (true, false) => Some("on condition"),
        (false, true) => Some("one run an item"),
        (false, false) => None,
    }
}

/// At most `chars_max` characters; a longer text ends in `..`.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(chars_max.saturating_sub(2)).collect();
    format!("{kept}..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Compiled, Saga};
    use std::time::Duration;

    fn order() -> Compiled {
        Saga::named("OrderFulfillment")
            .version(3)
            .step("reserve", |s| s.action("Inventory.Reserve").compensation("Inventory.Release"))
            .parallel(|group| {
                group
                    .step("authorize", |s| {
                        s.action("Payment.Authorize").compensation("Payment.Void")
                    })
                    .step("quote", |s| {
                        s.action("Shipping.Quote").reads_only().when("${ data.physical }")
                    })
            })
            .signal("approve", |s| {
                s.signal("approval").or_refuse_after(Duration::from_secs(3 * 86_400))
            })
            .step("capture", |s| s.action("Payment.Capture").kind(Kind::Pivot))
            .step("ship", |s| {
                s.action("Shipping.Create").kind(Kind::Retriable).for_each("${ data.parcels }")
            })
            .step("confirm", |s| s.action("Notify.Confirm").kind(Kind::BestEffort))
            .build()
            .unwrap()
    }

    #[test]
    fn terminals_get_ascii_within_80_columns() {
        let text = ascii(&order());
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 80), "{text}");
        insta::assert_snapshot!(text, @r#"
        OrderFulfillment (version 3)

          +----------------------------------------+
          | reserve                  compensatable | <-- Inventory.Release
          | Inventory.Reserve                      |
          +----------------------------------------+
                              |                          ^
                              v                          |
        : +----------------------------------------+     |
        : | authorize                compensatable | <-- Payment.Void
        : | Payment.Authorize                      |
        : +----------------------------------------+
        : +----------------------------------------+
        : | quote                       reads only |
        : | Shipping.Quote                         |
        : | on condition                           |
        : +----------------------------------------+
                              |
                              v
          +----------------------------------------+
          | approve                         signal |
          | waits for approval, 3d                 |
          +----------------------------------------+
                              |
                              v
          +----------------------------------------+
          | capture                          pivot |
          | Payment.Capture                        |
          +----------------------------------------+

        ================= point of no return: nothing is undone below ==================
                              |
                              v
          +----------------------------------------+
          | ship                         retriable |
          | Shipping.Create                        |
          | one run an item                        |
          +----------------------------------------+
                              |
                              v
          +----------------------------------------+
          | confirm                    best effort |
          | Notify.Confirm                         |
          +----------------------------------------+
        "#);
    }

    #[test]
    fn commands_of_ordinary_length_are_not_cut() {
        let saga = Saga::named("OrderFulfillment")
            .step("reserve_inventory", |s| {
                s.action("InventoryService.ReserveItems")
                    .compensation("InventoryService.ReleaseReservation")
            })
            .step("send_confirmation", |s| {
                s.action("NotificationService.SendOrderConfirmation")
                    .compensation("NotificationService.SendCancellationNotice")
            })
            .build()
            .unwrap();
        insta::assert_snapshot!(ascii(&saga), @r#"
        OrderFulfillment (version 1)

          +-------------------------------------------+
          | reserve_inventory           compensatable | <-- InventoryService
          | InventoryService.ReserveItems             |       .ReleaseReservation
          +-------------------------------------------+
                               |                            ^
                               v                            |
          +-------------------------------------------+     |
          | send_confirmation           compensatable | <-- NotificationService
          | NotificationService.SendOrderConfirmation |       .SendCancellationNotice
          +-------------------------------------------+
        "#);
        assert!(ascii(&saga).lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn markdown_gets_mermaid() {
        insta::assert_snapshot!(mermaid(&order()), @r#"
        flowchart TD
            s0["<b>reserve</b><br/>Inventory.Reserve"]
            s1["<b>authorize</b><br/>Payment.Authorize"]
            s2["<b>quote</b><br/>Shipping.Quote<br/><i>on condition</i>"]
            s3[/"<b>approve</b><br/>waits for approval, 3d"/]
            s4{{"<b>capture</b><br/>Payment.Capture"}}
            s5["<b>ship</b><br/>Shipping.Create<br/><i>one run an item</i>"]
            s6("<b>confirm</b><br/>Notify.Confirm")
            s0 --> s1
            s0 --> s2
            s1 --> s3
            s2 --> s3
            s3 --> s4
            s4 --> s5
            s5 --> s6
            u0(["Inventory.Release"]):::undo
            u0 -. undoes .-> s0
            u1(["Payment.Void"]):::undo
            u1 -. undoes .-> s1
            u1 -.-> u0
            s4:::pivot
            classDef pivot stroke:#b45309,stroke-width:4px
            classDef undo stroke:#b91c1c,stroke-dasharray:4
        "#);
    }

    #[test]
    fn browsers_get_a_picture_that_needs_nothing_else() {
        let text = svg(&order());
        assert!(!text.contains("href") && !text.contains("<script"), "{text}");
        assert_eq!(text.matches("class=\"step").count(), 7);
        assert_eq!(text.matches("class=\"undo\"").count(), 1, "authorize before reserve");
        assert!(text.contains("point of no return"));
        assert_eq!(text, svg(&order()));
    }

    #[test]
    fn long_names_and_wide_groups_stay_in_the_picture() {
        let long = "x".repeat(64);
        let command = format!("{long}.{long}");
        let saga = Saga::named(&long).parallel(|group| {
            (0..20).fold(group, |group, i| {
                group.step(&format!("{}{i:02}", &long[..62]), |s| {
                    s.action(&command).compensation(&format!("{long}.Undo"))
                })
            })
        });
        let saga =
            saga.step("last", |s| s.action("A.B").compensation("A.C").after(&[])).build().unwrap();
        assert!(ascii(&saga).lines().all(|line| line.len() <= 80), "{}", ascii(&saga));
        assert!(svg(&saga).starts_with("<svg"));
    }
}
