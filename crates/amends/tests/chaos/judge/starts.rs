//! The clients' word against the server's: what was acknowledged is there, what was refused is not,
//! what is unknown may be, and each key has one saga.

use std::collections::{BTreeMap, BTreeSet};

use crate::load::book::{CameTo, Start};

/// A saga that the server has, by the key that its data names.
#[derive(Clone, Debug)]
pub struct Served {
    pub saga_id: String,
    pub key: String,
    /// It can be read, but is it also in the list of all?
    pub is_listed: bool,
}

/// What of it does not fit.
pub fn judge(starts: &[Start], served: &[Served]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Served { saga_id, key, is_listed } in served {
        by_key.entry(key).or_default().push(saga_id);
        if !is_listed {
            wrong.push(format!("the saga {saga_id} can be read, and is not listed"));
        }
    }
    let mut given: BTreeSet<&str> = BTreeSet::new();
    for Start { key, came_to, .. } in starts {
        let there = by_key.remove(key.as_str()).unwrap_or_default();
        match (came_to, there.as_slice()) {
            (CameTo::Acknowledged(saga_id), [only]) if only == saga_id => {}
            (CameTo::Acknowledged(saga_id), there) => {
                wrong.push(format!("{key} was acknowledged as {saga_id}, and there is {there:?}"));
            }
            (CameTo::Refused, []) | (CameTo::Unknown, [] | [_]) => {}
            (CameTo::Refused, there) => {
                wrong.push(format!("{key} was refused, and there is {there:?}"));
            }
            (CameTo::Unknown, there) => {
                wrong.push(format!("{key} was taken {} times: {there:?}", there.len()))
            }
        }
        if let CameTo::Acknowledged(saga_id) = came_to
            && !given.insert(saga_id)
        {
            wrong.push(format!("{saga_id} was given to {key} and to another key"));
        }
    }
    for (key, there) in by_key {
        wrong.push(format!("{there:?} run for the key {key:?}, which no client used"));
    }
    wrong
}
