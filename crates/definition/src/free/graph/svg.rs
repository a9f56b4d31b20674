//! The picture for browsers: one SVG that needs nothing else.

use std::fmt::Write as _;

use super::{Node, Reactions, Work, shortened};
use crate::graph::{MARKERS, curve, escape};

const BOX_WIDTH: usize = 264;
const BOX_HEIGHT: usize = 56;
const EVENT_HEIGHT: usize = 32;
/// Where nothing is done: one event follows from others.
const DOT: usize = 12;
const GAP_X: usize = 40;
const GAP_Y: usize = 40;
const MARGIN: usize = 32;
const TITLE_HEIGHT: usize = 40;

/// How many characters of the type fit in a box.
const ROW_CHARS: usize = 38;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2937;text-anchor:middle}\
.title{font-size:16px;font-weight:600;text-anchor:start}\
.event rect{fill:#fff;stroke:#4b5563}\
.failure rect{stroke:#b91c1c}.failure text{fill:#b91c1c}\
.end rect{stroke-width:3}\
.reaction rect{fill:#f3f4f6;stroke:#4b5563;stroke-width:1.5}\
.back rect{fill:#fef2f2;stroke:#b91c1c;stroke-width:1.5;stroke-dasharray:5 4}\
.edge{stroke:#4b5563;stroke-width:1.5;fill:none}\
.undo{stroke:#b91c1c;stroke-width:1.5;stroke-dasharray:5 4;fill:none}";

impl Reactions {
    /// Draws the choreography for browsers.
    pub fn svg(&self) -> String {
        let layers = self.layers();
        let widest = layers.iter().map(Vec::len).max().unwrap_or(1);
        let width = 2 * MARGIN + widest * BOX_WIDTH + (widest - 1) * GAP_X;
        let mut placed: Vec<(Node, usize, usize)> = Vec::new();
        let mut y = MARGIN + TITLE_HEIGHT;
        for layer in &layers {
            let taken = layer.len() * BOX_WIDTH + (layer.len() - 1) * GAP_X;
            let left = (width - taken) / 2;
            let at =
                |(column, node): (usize, &Node)| (*node, left + column * (BOX_WIDTH + GAP_X), y);
            placed.extend(layer.iter().enumerate().map(at));
            y += layer.iter().map(|node| self.height(*node)).max().unwrap_or(0) + GAP_Y;
        }
        let height = y - GAP_Y + MARGIN;
        let title = escape(&self.name);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n{MARKERS}\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>\n",
            MARGIN + 8,
            escape(&shortened(&self.name, width / 9)),
        );
        let place = |node: Node| placed.iter().find(|(other, ..)| *other == node);
        for (from, to, fails) in self.edges() {
            let (Some((_, x1, y1)), Some((_, x2, y2))) = (place(from), place(to)) else { continue };
            let (class, head) = if fails { ("undo", "u") } else { ("edge", "a") };
            let from = (x1 + BOX_WIDTH / 2, y1 + self.height(from));
            curve(&mut text, class, head, from, (x2 + BOX_WIDTH / 2, *y2));
        }
        for (node, x, y) in &placed {
            self.node(*node, (*x, *y), &mut text);
        }
        text.push_str("</svg>\n");
        text
    }

    fn height(&self, node: Node) -> usize {
        match node {
            Node::Event(_) => EVENT_HEIGHT,
            Node::Reaction(ix) if self.work_rows(ix).is_empty() => DOT,
            Node::Reaction(_) => BOX_HEIGHT,
        }
    }

    fn node(&self, node: Node, (x, y): (usize, usize), text: &mut String) {
        let (class, rows) = match node {
            Node::Event(event) => {
                let class = match self.end_word(event) {
                    Some(_) => "event end",
                    None if self.is_failure(event) => "event failure",
                    None => "event",
                };
                (class, vec![self.event(event).to_owned()])
            }
            Node::Reaction(ix) => {
                let undo = matches!(self.reactions[ix].work, Work::Undo(_));
                (if undo { "back" } else { "reaction" }, self.work_rows(ix))
            }
        };
        let height = self.height(node);
        if rows.is_empty() {
            let (x, y, r) = (x + BOX_WIDTH / 2, y + DOT / 2, DOT / 2);
            let _ = writeln!(text, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"#4b5563\"/>");
            return;
        }
        let corner = if matches!(node, Node::Event(_)) { height / 2 } else { 6 };
        let _ = writeln!(
            text,
            "<g class=\"{class}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" \
             height=\"{height}\" rx=\"{corner}\"/>",
            escape(&rows.join(", "))
        );
        let top = y + height / 2 + 4 - 9 * rows.len().saturating_sub(1);
        for (number, row) in rows.iter().enumerate() {
            let row = escape(&shortened(row, ROW_CHARS));
            let (x, y) = (x + BOX_WIDTH / 2, top + 18 * number);
            let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\">{row}</text>");
        }
        text.push_str("</g>\n");
    }
}
