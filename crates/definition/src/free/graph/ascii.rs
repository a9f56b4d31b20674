//! The picture for terminals: 80 columns of ASCII, first what happens when nothing fails, then the way
//! back. A failure leaves its box to the right.

use std::fmt::Write as _;

use super::{Reactions, Work, shortened};

/// What terminals have.
const WIDTH: usize = 80;

/// Inside a box, between its blanks: as much as what stands in it needs, within these.
const INNER_CHARS: std::ops::RangeInclusive<usize> = 30..=44;

/// Where the way on stands, counted from the left.
const ON: usize = 6;

impl Reactions {
    /// Draws the choreography for terminals.
    pub fn ascii(&self) -> String {
        let rows = (0..self.len()).flat_map(|ix| self.work_rows(ix));
        let widest = rows.map(|row| row.chars().count()).max().unwrap_or(0);
        let inner = widest.clamp(*INNER_CHARS.start(), *INNER_CHARS.end());
        let mut text = format!("{}\n", shortened(&self.name, WIDTH));
        let forward = self.forward();
        let mut last = String::new();
        for ix in self.in_order().into_iter().filter(|ix| forward.has(*ix)) {
            self.block(ix, inner, &mut last, &mut text);
        }
        let back: Vec<_> = self.in_order().into_iter().filter(|ix| !forward.has(*ix)).collect();
        if !back.is_empty() {
            let _ = writeln!(text, "\n{:=^WIDTH$}", " when something fails ");
            last.clear();
        }
        for ix in back {
            self.block(ix, inner, &mut last, &mut text);
        }
        text
    }

    /// The reactions, each below those that lead to it.
    fn in_order(&self) -> Vec<usize> {
        let layers = self.layers();
        let of = |node: &super::Node| match node {
            super::Node::Reaction(ix) => Some(*ix),
            super::Node::Event(_) => None,
        };
        layers.iter().flatten().filter_map(of).collect()
    }

    /// What sets it off, what it does, and what it says. `last` is the event that stands above.
    fn block(&self, ix: usize, inner: usize, last: &mut String, text: &mut String) {
        let on = self.on_words(ix);
        if on != *last {
            let events = self.reactions[ix].on.events();
            let start = if events.contains(&self.start) { " (start)" } else { "" };
            let _ = writeln!(text, "\n  {}", shortened(&format!("{on}{start}"), WIDTH - 2));
        }
        let arrow = |text: &mut String| {
            let _ = writeln!(text, "{:ON$}|\n{:ON$}v", "", "");
        };
        arrow(text);
        let rows = self.work_rows(ix);
        if !rows.is_empty() {
            let undo = matches!(self.reactions[ix].work, Work::Undo(_));
            let (side, line) = if undo { (':', '.') } else { ('|', '-') };
            let edge: String = std::iter::repeat_n(line, inner + 2).collect();
            let _ = writeln!(text, "  +{edge}+");
            for (number, row) in rows.iter().enumerate() {
                let row = shortened(row, inner);
                let failure = self.told_failure(ix).filter(|_| number == 0);
                let failure = failure.map(|event| format!(" --x {}", self.event(event)));
                let failure = shortened(&failure.unwrap_or_default(), WIDTH - inner - 6);
                let _ = writeln!(text, "  {side} {row:<inner$} {side}{failure}");
            }
            let _ = writeln!(text, "  +{edge}+");
        }
        let names: Vec<_> = self.reactions[ix].then.iter().map(|e| self.event(*e)).collect();
        *last = names.join(" and ");
        if names.is_empty() {
            return;
        }
        if !rows.is_empty() {
            arrow(text);
        }
        let ends = self.reactions[ix].then.iter().filter_map(|event| self.end_word(*event));
        let ends: Vec<_> = ends.collect();
        let end = if ends.is_empty() { String::new() } else { format!(" ({})", ends.join(", ")) };
        let _ = writeln!(text, "  {}", shortened(&format!("{last}{end}"), WIDTH - 2));
    }
}
