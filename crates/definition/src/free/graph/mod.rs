//! A free choreography as a picture: for terminals, for Markdown, for browsers.
//!
//! All three show which event sets off what, what is said then, and apart from that the ways of failure
//! and the undos. The same reactions always give the same picture.

mod ascii;
mod mermaid;
mod svg;

use super::advice::work_words;
use super::model::{Reactions, Trigger, Work};
use super::set::Set;
use crate::graph::shortened;

/// An event or a reaction, for what is drawn as a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Event(usize),
    Reaction(usize),
}

impl Reactions {
    /// What is drawn: the events that somebody named, and the reactions.
    fn nodes(&self) -> Vec<Node> {
        let events = (0..self.events.len()).filter(|event| !self.events[*event].implied);
        let reactions = (0..self.len()).map(Node::Reaction);
        events.map(Node::Event).chain(reactions).collect()
    }

    /// What each node leads to: a failure's event is marked.
    fn edges(&self) -> Vec<(Node, Node, bool)> {
        let mut edges = Vec::new();
        for (ix, reaction) in self.reactions.iter().enumerate() {
            let on = reaction.on.events().iter();
            edges.extend(on.map(|event| (Node::Event(*event), Node::Reaction(ix), false)));
            let then = reaction.then.iter();
            edges.extend(then.map(|event| (Node::Reaction(ix), Node::Event(*event), false)));
            if let Some(event) = self.told_failure(ix) {
                edges.push((Node::Reaction(ix), Node::Event(event), true));
            }
        }
        edges
    }

    /// The event of its failure, where somebody named it.
    fn told_failure(&self, reaction: usize) -> Option<usize> {
        let failure = self.act(reaction)?.on_failure?;
        (!self.events[failure].implied).then_some(failure)
    }

    /// The nodes in layers, each below all that lead to it; a circle is cut where it closes.
    fn layers(&self) -> Vec<Vec<Node>> {
        let (nodes, edges) = (self.nodes(), self.edges());
        let place = |node: Node| nodes.iter().position(|other| *other == node);
        let edges: Vec<_> =
            edges.iter().filter_map(|(from, to, _)| Some((place(*from)?, place(*to)?))).collect();
        let mut depth = vec![0; nodes.len()];
        for _ in 0..nodes.len() {
            let before = depth.clone();
            for (from, to) in &edges {
                depth[*to] = depth[*to].max((depth[*from] + 1).min(nodes.len()));
            }
            if before == depth {
                break;
            }
        }
        let deepest = depth.iter().copied().max().unwrap_or(0);
        let layer = |at| {
            let here = nodes.iter().zip(&depth).filter(move |(_, depth)| **depth == at);
            here.map(|(node, _)| *node).collect::<Vec<_>>()
        };
        (0..=deepest).map(layer).filter(|layer| !layer.is_empty()).collect()
    }

    /// The reactions that take place when nothing fails.
    fn forward(&self) -> Set {
        let mut forward = Set::EMPTY;
        let mut said = Set::EMPTY.with(self.start);
        loop {
            let next = (0..self.len()).find(|ix| {
                let reaction = &self.reactions[*ix];
                let back = matches!(reaction.work, Work::Undo(_));
                !back && !forward.has(*ix) && reaction.on.is_set_off(said)
            });
            let Some(next) = next else { return forward };
            forward = forward.with(next);
            said = said.either(self.reactions[next].then.iter().copied().collect());
        }
    }

    /// `A`, `A and B`, `A or B`.
    fn on_words(&self, reaction: usize) -> String {
        let on = &self.reactions[reaction].on;
        let names: Vec<_> = on.events().iter().map(|event| self.event(*event)).collect();
        match on {
            Trigger::All(_) => names.join(" and "),
            Trigger::Any(_) => names.join(" or "),
        }
    }

    /// What is done, and beneath it what it undoes or how it is meant.
    fn work_rows(&self, reaction: usize) -> Vec<String> {
        let mut rows = vec![work_words(self, reaction)];
        match &self.reactions[reaction].work {
            Work::Undo(action) => rows.push(format!("undoes {}", self.action(*action))),
            Work::Act(act) if act.reads_only => rows.push("only reads".to_owned()),
            Work::Act(act) => rows.extend(super::draft::kind_word(act.kind).map(str::to_owned)),
            Work::Say(_) => {}
        }
        rows.retain(|row| !row.is_empty());
        rows
    }

    /// What an end is called; nothing of another event.
    fn end_word(&self, event: usize) -> Option<&'static str> {
        match event {
            _ if event == self.start => Some("start"),
            _ if event == self.done => Some("done"),
            _ if event == self.undone => Some("undone"),
            _ => None,
        }
    }

    /// Is it said only where something failed?
    fn is_failure(&self, event: usize) -> bool {
        (0..self.len()).any(|ix| self.told_failure(ix) == Some(event))
    }
}
