//! Free choreographies: services that react to each other's events, with no coordinator and no common
//! list of steps, written down and analysed before they run.
//!
//! [`model`] is what is analysed and [`read`] how it comes of a file. [`flow`] sees what needs no
//! trying. [`search`] takes the reactions through every order in which they may take place, by the
//! steps of [`state`]; [`judge`] knows what must not be, and [`advice`] what to write then. [`view`] is
//! what services go by that run it.

mod advice;
mod builder;
mod draft;
mod findings;
mod flow;
mod graph;
mod judge;
mod model;
mod read;
mod search;
mod set;
mod speaker;
mod state;
mod story;
mod view;

pub use builder::{FreeChoreography, ReactionBuilder};
pub use model::{EVENTS_MAX, REACTIONS_MAX, Reactions};
pub use search::{Analysis, CHECK_STATES_MAX, End};
pub use speaker::Told;
pub use view::{Does, Reaction};

use crate::file::{ChoreographyFile, Decode};
use crate::finding::{Findings, did_you_mean};
use crate::source::Source;
use crate::tree::{Node, Value};

/// Is this the file of a free choreography? A slip in its first key makes no saga of it.
pub(crate) fn is_free(node: &Node) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let near = || entries.iter().any(|entry| did_you_mean(&entry.key, ["choreography"]).is_some());
    !has("saga") && !has("steps") && (has("reactions") || near())
}

/// Reads the reactions, and says all there is to say of them.
pub(crate) fn check(node: &Node, source: &Source, findings: &mut Findings) -> Option<Reactions> {
    let file = ChoreographyFile::decode(node, findings)?;
    let reactions = read::read(&file, source, findings)?;
    if findings::of_flow(&reactions, findings) {
        let analysis = reactions.explore_briefly();
        findings::of_analysis(&reactions, &analysis, source, findings);
    }
    Some(reactions)
}
