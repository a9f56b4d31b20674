//! The targets, as data: a new one is one entry here, and a file beside this one.

mod answer;
mod command;
mod definition;
mod events;
mod expression;
mod machine;
mod names;
mod record;
mod reply;

/// Something that is fed with bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also of its folder of kept inputs.
    pub name: &'static str,
    /// What it is about.
    pub what: &'static str,
    /// Takes any bytes; panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Inputs to begin with that are made from files the repository has anyway.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    definition::TARGET,
    expression::TARGET,
    reply::TARGET,
    answer::TARGET,
    command::TARGET,
    names::TARGET,
    events::TARGET,
    record::TARGET,
    machine::TARGET,
];
