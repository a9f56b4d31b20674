//! The picture for browsers: one SVG that needs nothing else.

use std::fmt::Write as _;

use amends_core::StepIx;
use amends_core::definition::Kind;

use super::{
    condition_words, kind_word, layers, no_return_below, shortened, undo_order, undo_words,
    work_words,
};
use crate::compile::Compiled;

const BOX_WIDTH: usize = 264;
const BOX_HEIGHT: usize = 92;
const GAP_X: usize = 40;
const GAP_Y: usize = 56;
const MARGIN: usize = 32;
const TITLE_HEIGHT: usize = 40;

/// How many characters of the small type fit in a box.
const ROW_CHARS: usize = 38;

/// How many of the name's, beside the kind.
const NAME_CHARS: usize = 21;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2937}\
.title{font-size:16px;font-weight:600}\
.name{font-size:13px;font-weight:600}\
.kind{fill:#6b7280;text-anchor:end}\
.step rect{fill:#f9fafb;stroke:#4b5563;stroke-width:1.5}\
.pivot rect{stroke:#b45309;stroke-width:4}\
.back{fill:#b91c1c}\
.edge{stroke:#4b5563;stroke-width:1.5;fill:none}\
.undo{stroke:#b91c1c;stroke-width:1.5;stroke-dasharray:5 4;fill:none}\
.line{stroke:#b45309;stroke-width:2;stroke-dasharray:2 3}\
.mark{fill:#b45309}";

/// The heads of the ways on, and of those back.
pub(crate) const MARKERS: &str = "\
<defs>\
<marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
<path d=\"M0 0L8 4L0 8z\" fill=\"#4b5563\"/></marker>\
<marker id=\"u\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
<path d=\"M0 0L8 4L0 8z\" fill=\"#b91c1c\"/></marker></defs>\n";

/// Draws the definition.
pub fn svg(compiled: &Compiled) -> String {
    let definition = &*compiled.definition;
    let layers = layers(definition);
    let widest = layers.iter().map(Vec::len).max().unwrap_or(1);
    let width = 2 * MARGIN + widest * BOX_WIDTH + (widest - 1) * GAP_X;
    let height = 2 * MARGIN + TITLE_HEIGHT + layers.len() * (BOX_HEIGHT + GAP_Y) - GAP_Y;
    let mut at = vec![(0, 0); definition.steps().len()];
    for (row, layer) in layers.iter().enumerate() {
        let taken = layer.len() * BOX_WIDTH + (layer.len() - 1) * GAP_X;
        for (column, ix) in layer.iter().enumerate() {
            let x = (width - taken) / 2 + column * (BOX_WIDTH + GAP_X);
            at[ix.get()] = (x, MARGIN + TITLE_HEIGHT + row * (BOX_HEIGHT + GAP_Y));
        }
    }
    let title = format!("{}, version {}", definition.saga_type(), definition.version());
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         {MARKERS}\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n",
        title = escape(&title),
    );
    let shown = shortened(&title, width / 9);
    let _ = writeln!(
        text,
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
        MARGIN + 8,
        escape(&shown)
    );
    if let Some(row) = no_return_below(definition, &layers) {
        let y = MARGIN + TITLE_HEIGHT + (row + 1) * (BOX_HEIGHT + GAP_Y) - GAP_Y / 2;
        let _ = writeln!(text, "<path class=\"line\" d=\"M0 {y}H{width}\"/>");
        let _ = writeln!(
            text,
            "<text class=\"mark\" x=\"8\" y=\"{}\">point of no return</text>",
            y - 6
        );
    }
    for ix in definition.indices() {
        for before in definition.step(ix).after.iter() {
            let ((x1, y1), (x2, y2)) = (at[before.get()], at[ix.get()]);
            let (x1, y1, x2) = (x1 + BOX_WIDTH / 2 - 16, y1 + BOX_HEIGHT, x2 + BOX_WIDTH / 2 - 16);
            curve(&mut text, "edge", "a", (x1, y1), (x2, y2));
        }
    }
    for (later, earlier) in undo_order(definition) {
        let ((x1, y1), (x2, y2)) = (at[later.get()], at[earlier.get()]);
        let (x1, x2) = (x1 + BOX_WIDTH / 2 + 24, x2 + BOX_WIDTH / 2 + 24);
        curve(&mut text, "undo", "u", (x1, y1), (x2, y2 + BOX_HEIGHT));
    }
    for ix in definition.indices() {
        step(&mut text, compiled, ix, at[ix.get()]);
    }
    text.push_str("</svg>\n");
    text
}

/// From one box to another, leaving and arriving upright.
pub(crate) fn curve(
    text: &mut String,
    class: &str,
    head: &str,
    from: (usize, usize),
    to: (usize, usize),
) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let middle = usize::midpoint(y1, y2);
    let _ = writeln!(
        text,
        "<path class=\"{class}\" marker-end=\"url(#{head})\" d=\"M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}\"/>"
    );
}

fn step(text: &mut String, compiled: &Compiled, ix: StepIx, (x, y): (usize, usize)) {
    let step = compiled.definition.step(ix);
    let class = if step.kind == Kind::Pivot { "step pivot" } else { "step" };
    let name = escape(&shortened(&step.name, NAME_CHARS));
    let _ = writeln!(text, "<g class=\"{class}\"><title>{}</title>", escape(&step.name));
    let _ = writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\"/>"
    );
    let _ = writeln!(text, "<text class=\"name\" x=\"{}\" y=\"{}\">{name}</text>", x + 12, y + 22);
    let _ = writeln!(
        text,
        "<text class=\"kind\" x=\"{}\" y=\"{}\">{}</text>",
        x + BOX_WIDTH - 12,
        y + 22,
        kind_word(step)
    );
    let mut rows = vec![("", work_words(step))];
    rows.extend(condition_words(step).map(|words| ("", words.to_owned())));
    rows.extend(undo_words(step).map(|undo| ("back", format!("undo: {undo}"))));
    for (row, (class, words)) in rows.into_iter().enumerate() {
        let words = escape(&shortened(&words, ROW_CHARS));
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(
            text,
            "<text{class} x=\"{}\" y=\"{}\">{words}</text>",
            x + 12,
            y + 42 + row * 18
        );
    }
    text.push_str("</g>\n");
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
