//! The engine that is shipped, on simulated time, store, network and participants: many sagas at once,
//! every fault that a seed orders, and a judge that holds what happened against `semantics.md`
//! section 6.

pub mod callbacks;
pub mod chance;
pub mod clients;
pub mod disk;
pub mod judge;
pub mod life;
pub mod marks;
pub mod mutants;
pub mod network;
pub mod participant;
pub mod plan;
pub mod regressions;
pub mod report;
pub mod run;
pub mod search;
pub mod shapes;
pub mod trace;
pub mod weather;
pub mod world;
