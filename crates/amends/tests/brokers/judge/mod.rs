//! The judge: what is wrong when all is over, by what the clients were told, what the server says, and
//! what stands in the ledgers of the services. It is a plain function of what was read.

pub mod lies;
pub mod served;

use std::collections::{BTreeMap, BTreeSet};

use crate::order::{self, STEPS};
use crate::service::ledger::Ledger;
use served::Served;

/// All that is known at the end of a run.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The orders from 1 to here were started.
    pub sagas: u64,
    /// As which sagas each was acknowledged.
    pub heard: BTreeMap<u64, BTreeSet<String>>,
    /// The sagas that there are.
    pub served: Vec<Served>,
    /// One a service, in the order of the steps.
    pub ledgers: Vec<Ledger>,
    /// Replies that found no saga.
    pub orphans: Vec<String>,
    /// How many each queue's end has put aside.
    pub dead_letters: Vec<(String, u64)>,
}

impl Evidence {
    /// How many sagas are in this state.
    pub fn ended_as(&self, state: &str) -> usize {
        self.served.iter().filter(|saga| saga.state == state).count()
    }
}

/// All that is wrong.
pub fn judge(evidence: &Evidence) -> Vec<String> {
    let mut wrong = Vec::new();
    starts(evidence, &mut wrong);
    for saga in &evidence.served {
        end(saga, &mut wrong);
    }
    for (place, ledger) in evidence.ledgers.iter().enumerate() {
        effects(place, ledger, &evidence.served, &mut wrong);
    }
    wrong.extend(evidence.orphans.iter().map(|reply| format!("a reply found no saga: {reply}")));
    let buried = evidence.dead_letters.iter().filter(|(_, letters)| *letters > 0);
    wrong.extend(buried.map(|(queue, letters)| format!("{queue} has {letters} dead letters")));
    wrong
}

/// Every order was acknowledged as one saga, which is there, and no other is.
fn starts(evidence: &Evidence, wrong: &mut Vec<String>) {
    let mut by_order: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for saga in &evidence.served {
        by_order.entry(&saga.order_id).or_default().push(&saga.saga_id);
    }
    for n in 1..=evidence.sagas {
        let name = order::name(n);
        let there = by_order.remove(name.as_str()).unwrap_or_default();
        let heard = evidence.heard.get(&n);
        match heard.map(|sagas| sagas.iter().map(String::as_str).collect::<Vec<_>>()).as_deref() {
            Some([saga_id]) if there.is_empty() => {
                wrong.push(format!("{name} was acknowledged as {saga_id}, which is lost"));
            }
            Some([saga_id]) if there == [*saga_id] => {}
            Some(sagas) => {
                wrong.push(format!("{name} was acknowledged as {sagas:?}, there is {there:?}"));
            }
            None => wrong.push(format!("{name} was never acknowledged, there is {there:?}")),
        }
    }
    for (name, sagas) in by_order {
        wrong.push(format!("{name} was started by nobody, there is {sagas:?}"));
    }
}

/// It came to what its order was made for, and needs nobody.
fn end(saga: &Served, wrong: &mut Vec<String>) {
    let Served { saga_id, order_id, state, is_live, trouble, .. } = saga;
    let expected = if saga.refused_at.is_some() { "failed" } else { "completed" };
    if state != expected {
        wrong.push(format!("{order_id}, {saga_id}, is {state}, and should be {expected}"));
    }
    if *is_live {
        wrong.push(format!("{order_id}, {saga_id}, is {state} and still owes something"));
    }
    wrong.extend(trouble.iter().map(|what| format!("{order_id}, {saga_id}, has {what}")));
}

/// What a service has done and undone for each saga, and what all of it came to.
fn effects(place: usize, ledger: &Ledger, served: &[Served], wrong: &mut Vec<String>) {
    let service = STEPS[place].service;
    let mut entries: BTreeMap<&str, [Vec<i64>; 2]> = BTreeMap::new();
    for entry in &ledger.entries {
        let of_saga = entries.entry(&entry.saga_id).or_default();
        of_saga[usize::from(entry.is_undo)].push(entry.amount);
    }
    let mut total = 0;
    for saga in served {
        let [done, undone] = entries.remove(saga.saga_id.as_str()).unwrap_or_default();
        let amount = saga.amounts[place];
        let ran = saga.refused_at.is_none_or(|refused| place < refused);
        let once = |happened: bool| if happened { vec![amount] } else { Vec::new() };
        let (expected, taken_back) = (once(ran), once(ran && saga.state == "failed"));
        if done != expected || undone != taken_back {
            wrong.push(format!(
                "{service} has done {done:?} and undone {undone:?} for {}, {}, which is {}: it \
                 should be {expected:?} and {taken_back:?}",
                saga.order_id, saga.saga_id, saga.state
            ));
        }
        if saga.state == "completed" {
            total += amount;
        }
    }
    for (saga_id, [done, undone]) in entries {
        wrong.push(format!(
            "{service} has done {done:?} and undone {undone:?} for {saga_id}, which nobody started"
        ));
    }
    if ledger.holding != total {
        let holding = ledger.holding;
        wrong.push(format!("{service} holds {holding}, the completed orders come to {total}"));
    }
    if ledger.unpublished != 0 {
        wrong.push(format!("{service} has {} messages unpublished", ledger.unpublished));
    }
}
