//! Which law of a choreography was checked over how many states, and which mistakes it caught.

use std::fmt::Write;

use super::laws::Law;

/// What a run has shown so far.
#[derive(Clone, Debug, Default)]
pub struct Table {
    states: usize,
    caught: Vec<(Law, &'static str)>,
}

impl Table {
    /// So many states were explored.
    pub fn explored(&mut self, states: usize) {
        self.states += states;
    }

    /// A law caught a mistake.
    pub fn caught(&mut self, law: Law, mistake: &'static str) {
        self.caught.push((law, mistake));
    }

    /// A law that caught no mistake may be one that cannot be broken, and so says nothing.
    pub fn complete(&self) -> Result<(), String> {
        let idle = |law: &&Law| self.mistakes(**law).is_empty();
        let idle: Vec<&str> = Law::ALL.iter().filter(idle).map(|law| law.name()).collect();
        if idle.is_empty() { Ok(()) } else { Err(format!("caught nothing: {}", idle.join("; "))) }
    }

    /// One line for each law, its columns separated by tabs: the law, what checks it, over how many
    /// states, and the mistakes that it caught.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for &law in Law::ALL {
            let mistakes = self.mistakes(law).join("; ");
            let by = "choreographed, every service reading in every order";
            let _ = writeln!(text, "{}\t{by}\t{}\t{mistakes}", law.name(), self.states);
        }
        text
    }

    fn mistakes(&self, law: Law) -> Vec<&'static str> {
        self.caught.iter().filter(|(by, _)| *by == law).map(|&(_, mistake)| mistake).collect()
    }
}
