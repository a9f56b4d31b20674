//! The picture for terminals: 80 columns of ASCII, forward on the left and the way back on the
//! right.

use std::fmt::Write as _;

use amends_core::StepIx;

use super::{
    condition_words, kind_word, layers, no_return_below, shortened, undo_words, work_words,
};
use crate::compile::Compiled;

/// Inside a step's box.
const BOX_CHARS: usize = 40;

/// Where the way back runs, counted from the left.
const BACK_COLUMN: usize = 49;

/// Beside a box, after the arrow.
const UNDO_CHARS: usize = 80 - BACK_COLUMN;

/// Draws the definition.
pub fn ascii(compiled: &Compiled) -> String {
    let definition = &*compiled.definition;
    let layers = layers(definition);
    let last = no_return_below(definition, &layers);
    let title = format!("{} (version {})", definition.saga_type(), definition.version());
    let mut text = format!("{}\n\n", shortened(&title, 80));
    let undone =
        |layer: &[StepIx]| layer.iter().any(|ix| definition.step(*ix).compensation().is_some());
    let lowest_undo = layers.iter().rposition(|layer| undone(layer));
    let highest_undo = layers.iter().position(|layer| undone(layer));
    for (number, layer) in layers.iter().enumerate() {
        // The way back passes every layer between the first and the last undo.
        let back_above = highest_undo.is_some_and(|top| top < number)
            && lowest_undo.is_some_and(|bottom| number <= bottom);
        if number > 0 {
            line(&mut text, &format!("{}|", " ".repeat(22)), back_above.then_some("^"));
            line(&mut text, &format!("{}v", " ".repeat(22)), back_above.then_some("|"));
        }
        let back_through = back_above && lowest_undo != Some(number);
        let bar = if layer.len() > 1 { ":" } else { " " };
        for (place, ix) in layer.iter().enumerate() {
            let more =
                layer[place + 1..].iter().any(|ix| definition.step(*ix).compensation().is_some());
            let boxed = boxed(compiled, *ix, number, &layers);
            let undo = undo_words(definition.step(*ix));
            for (row, content) in boxed.iter().enumerate() {
                let left = format!("{bar} {content}");
                match &undo {
                    Some(undo) if row == 1 => {
                        let undo = shortened(undo, UNDO_CHARS);
                        let _ = writeln!(text, "{left} <-- {undo}");
                    }
                    // Below an undo runs the way from the next; above it, the way on.
                    Some(_) if row == 0 => line(
                        &mut text,
                        &left,
                        (back_above || place > 0 && earlier(layer, place, definition))
                            .then_some("|"),
                    ),
                    Some(_) => line(&mut text, &left, (back_through || more).then_some("|")),
                    None => {
                        let passing = back_through
                            || (back_above && more)
                            || (more && earlier(layer, place, definition));
                        line(&mut text, &left, passing.then_some("|"));
                    }
                }
            }
        }
        if last == Some(number) {
            let _ = writeln!(text, "\n{:=^80}", " point of no return: nothing is undone below ");
        }
    }
    text
}

/// Is there an undo earlier in the layer?
fn earlier(
    layer: &[StepIx],
    place: usize,
    definition: &amends_core::definition::Definition,
) -> bool {
    layer[..place].iter().any(|ix| definition.step(*ix).compensation().is_some())
}

/// The left side, and the way back in its column.
fn line(text: &mut String, left: &str, back: Option<&str>) {
    let row = match back {
        Some(back) => format!("{left:<width$}{back}", width = BACK_COLUMN),
        None => left.to_owned(),
    };
    let _ = writeln!(text, "{}", row.trim_end());
}

fn boxed(compiled: &Compiled, ix: StepIx, layer: usize, layers: &[Vec<StepIx>]) -> Vec<String> {
    let definition = &*compiled.definition;
    let step = definition.step(ix);
    let inner = BOX_CHARS - 2;
    let kind = kind_word(step);
    let name = shortened(&step.name, inner - kind.len() - 1);
    let mut rows = vec![format!("{name:<width$}{kind}", width = inner - kind.len())];
    rows.push(shortened(&work_words(step), inner));
    rows.extend(condition_words(step).map(|words| shortened(words, inner)));
    // What it waits for is said where it is not simply the row above.
    let above: &[StepIx] = layer.checked_sub(1).map_or(&[], |above| &layers[above]);
    let plain = step.after.iter().eq(above.iter().copied());
    if !plain {
        let names: Vec<_> = step.after.iter().map(|b| &*definition.step(b).name).collect();
        rows.push(shortened(&format!("after {}", names.join(", ")), inner));
    }
    let edge = format!("+{}+", "-".repeat(BOX_CHARS));
    let rows = rows.into_iter().map(|row| format!("| {row:<inner$} |"));
    std::iter::once(edge.clone()).chain(rows).chain([edge]).collect()
}
