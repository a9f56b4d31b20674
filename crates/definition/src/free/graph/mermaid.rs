//! The picture for Markdown: a Mermaid flowchart. A failure is a dotted way, an undo a box of its own.

use std::fmt::Write as _;

use super::{Node, Reactions, Trigger, Work};

impl Reactions {
    /// Draws the choreography as a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart TD\n");
        for node in self.nodes() {
            let _ = match node {
                Node::Event(event) => {
                    let class = match self.end_word(event) {
                        Some(_) => ":::end_",
                        None if self.is_failure(event) => ":::failure",
                        None => "",
                    };
                    writeln!(text, "    e{event}([\"{}\"]){class}", self.event(event))
                }
                Node::Reaction(ix) => {
                    let undo = matches!(self.reactions[ix].work, Work::Undo(_));
                    let class = if undo { ":::undo" } else { "" };
                    match self.work_rows(ix).split_first() {
                        Some((first, more)) => {
                            let more: String =
                                more.iter().map(|row| format!("<br/><i>{row}</i>")).collect();
                            writeln!(text, "    r{ix}[\"<b>{first}</b>{more}\"]{class}")
                        }
                        // Nothing is done: one event follows from others.
                        None => writeln!(text, "    r{ix}((\" \"))"),
                    }
                }
            };
        }
        for (from, to, fails) in self.edges() {
            let arrow = match (from, to) {
                _ if fails => "-. fails .->",
                (Node::Event(_), Node::Reaction(ix)) => match &self.reactions[ix].on {
                    Trigger::Any(events) if events.len() > 1 => "-- or -->",
                    Trigger::All(events) if events.len() > 1 => "-- and -->",
                    _ => "-->",
                },
                _ => "-->",
            };
            let id = |node| match node {
                Node::Event(event) => format!("e{event}"),
                Node::Reaction(ix) => format!("r{ix}"),
            };
            let _ = writeln!(text, "    {} {arrow} {}", id(from), id(to));
        }
        text.push_str("    classDef end_ stroke:#1f2937,stroke-width:3px\n");
        text.push_str("    classDef failure stroke:#b91c1c,color:#b91c1c\n");
        text.push_str("    classDef undo stroke:#b91c1c,stroke-dasharray:4\n");
        text
    }
}
