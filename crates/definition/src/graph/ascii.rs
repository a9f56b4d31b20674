//! The picture for terminals: 80 columns of ASCII, forward on the left and the way back on the
//! right.

use std::fmt::Write as _;

use amends_core::StepIx;

use super::{
    condition_words, kind_word, layers, no_return_below, shortened, undo_words, work_words,
};
use crate::compile::Compiled;

/// What terminals have.
const WIDTH: usize = 80;

/// Inside a step's box, between its blanks: as much as what stands in it needs, within these.
const INNER_CHARS: std::ops::RangeInclusive<usize> = 38..=44;

/// Where everything stands, counted from the left.
#[derive(Clone, Copy)]
struct Columns {
    /// Inside of a box, between its blanks.
    inner: usize,
    /// The way on.
    on: usize,
    /// The way back, and the names of the undos.
    back: usize,
}

impl Columns {
    fn of(compiled: &Compiled) -> Self {
        let definition = &*compiled.definition;
        let widths = definition.indices().map(|ix| {
            let step = definition.step(ix);
            let head = step.name.chars().count() + 1 + kind_word(step).len();
            head.max(work_words(step).chars().count())
        });
        let inner = widths.max().unwrap_or(0).clamp(*INNER_CHARS.start(), *INNER_CHARS.end());
        // Two blanks or a bar, the box with its edges, and an arrow.
        Self { inner, on: 3 + inner / 2, back: 2 + inner + 4 + 5 }
    }

    /// What carries out an undo, in one line or, where that is too long, in two.
    fn undo(self, words: &str) -> (String, Option<String>) {
        let room = WIDTH - self.back;
        match words.split_once('.') {
            Some((service, command)) if words.chars().count() > room => {
                let command = shortened(&format!(".{command}"), room - 2);
                (shortened(service, room), Some(command))
            }
            _ => (shortened(words, room), None),
        }
    }
}

/// Draws the definition.
pub fn ascii(compiled: &Compiled) -> String {
    let definition = &*compiled.definition;
    let columns = Columns::of(compiled);
    let layers = layers(definition);
    let last = no_return_below(definition, &layers);
    let title = format!("{} (version {})", definition.saga_type(), definition.version());
    let mut text = format!("{}\n\n", shortened(&title, WIDTH));
    let undone =
        |layer: &[StepIx]| layer.iter().any(|ix| definition.step(*ix).compensation().is_some());
    let lowest_undo = layers.iter().rposition(|layer| undone(layer));
    let highest_undo = layers.iter().position(|layer| undone(layer));
    for (number, layer) in layers.iter().enumerate() {
        // The way back passes every layer between the first and the last undo.
        let back_above = highest_undo.is_some_and(|top| top < number)
            && lowest_undo.is_some_and(|bottom| number <= bottom);
        if number > 0 {
            let on = " ".repeat(columns.on);
            columns.line(&mut text, &format!("{on}|"), back_above.then_some("^"));
            columns.line(&mut text, &format!("{on}v"), back_above.then_some("|"));
        }
        let back_through = back_above && lowest_undo != Some(number);
        let bar = if layer.len() > 1 { ":" } else { " " };
        for (place, ix) in layer.iter().enumerate() {
            let more =
                layer[place + 1..].iter().any(|ix| definition.step(*ix).compensation().is_some());
            let boxed = columns.boxed(compiled, *ix, number, &layers);
            let undo = undo_words(definition.step(*ix)).map(|words| columns.undo(&words));
            let above = earlier(layer, place, definition);
            for (row, content) in boxed.iter().enumerate() {
                let left = format!("{bar} {content}");
                let (passing, words) = match &undo {
                    Some((undo, _)) if row == 1 => {
                        let _ = writeln!(text, "{left} <-- {undo}");
                        continue;
                    }
                    // Below an undo runs the way from the next; above it, the way on.
                    Some(_) if row == 0 => (back_above || place > 0 && above, None),
                    Some((_, rest)) => (back_through || more, rest.as_deref().filter(|_| row == 2)),
                    None => (back_through || (more && (back_above || above)), None),
                };
                let back = if passing { "|" } else { " " };
                let words = words.unwrap_or_default();
                columns.line(&mut text, &left, Some(&format!("{back} {words}")));
            }
        }
        if last == Some(number) {
            let _ =
                writeln!(text, "\n{:=^WIDTH$}", " point of no return: nothing is undone below ");
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

impl Columns {
    /// The left side, and the way back in its column.
    fn line(self, text: &mut String, left: &str, back: Option<&str>) {
        let row = match back {
            Some(back) => format!("{left:<width$}{back}", width = self.back),
            None => left.to_owned(),
        };
        let _ = writeln!(text, "{}", row.trim_end());
    }

    fn boxed(
        self,
        compiled: &Compiled,
        ix: StepIx,
        layer: usize,
        layers: &[Vec<StepIx>],
    ) -> Vec<String> {
        let definition = &*compiled.definition;
        let step = definition.step(ix);
        let inner = self.inner;
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
        let edge = format!("+{}+", "-".repeat(inner + 2));
        let rows = rows.into_iter().map(|row| format!("| {row:<inner$} |"));
        std::iter::once(edge.clone()).chain(rows).chain([edge]).collect()
    }
}
