//! The checker: everything that is wrong with a definition, in one go, and the compiled definition
//! when nothing is.

mod choreography;
mod data;
mod expressions;
mod names;
mod order;
mod queues;
mod services;
mod time;

use serde_json::Value as Json;

use crate::compile::{Compiled, Laid, lay_out, put_together};
use crate::file::{Decode, SagaFile};
use crate::finding::{Finding, Findings, Severity};
use crate::source::Source;
use crate::surroundings::Surroundings;
use crate::tree::{self, Node, Value};

pub(crate) use names::is_name;
pub(crate) use services::env_name;

/// What the checker made of a file.
#[derive(Debug)]
pub struct Checked {
    /// All that was found, in the order of the file.
    pub findings: Vec<Finding>,
    /// The definition, unless a finding is an error.
    pub compiled: Option<Compiled>,
    /// The text, for showing findings in it.
    pub source: Source,
}

impl Checked {
    /// How many findings are of that severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// What will probably not do what was meant, for whoever goes on all the same.
    pub fn warnings(&self) -> Vec<Finding> {
        let is_warning = |finding: &&Finding| finding.severity == Severity::Warning;
        self.findings.iter().filter(is_warning).cloned().collect()
    }
}

/// Reads, checks and compiles a definition. `path` is for messages only. Never panics, whatever
/// the bytes.
pub fn check(bytes: &[u8], path: &str, surroundings: &Surroundings<'_>) -> Checked {
    let source = Source::new(path, bytes);
    let mut findings = Findings::default();
    let compiled = tree::read(bytes, &source, &mut findings)
        .map(without_editor_key)
        .and_then(|node| SagaFile::decode(&node, &mut findings))
        .and_then(|file| compile(&file, bytes, &source, surroundings, &mut findings));
    let compiled = if findings.any_error() { None } else { compiled };
    Checked { findings: findings.finish(&source), compiled, source }
}

/// JSON has no comments, so editors take the schema's address from a key; it is theirs, not ours.
fn without_editor_key(mut node: Node) -> Node {
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|entry| entry.key != "$schema");
    }
    node
}

/// What the topics share.
pub(crate) struct Subject<'a> {
    pub(crate) file: &'a SagaFile,
    pub(crate) laid: &'a [Laid<'a>],
    pub(crate) source: &'a Source,
    pub(crate) surroundings: &'a Surroundings<'a>,
    pub(crate) schema: Option<&'a Json>,
}

fn compile(
    file: &SagaFile,
    bytes: &[u8],
    source: &Source,
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Compiled> {
    let laid = lay_out(file);
    let schema = data::schema(file, surroundings, findings);
    let validator = data::validator(file, schema.as_ref(), findings);
    let subject = Subject { file, laid: &laid, source, surroundings, schema: schema.as_ref() };
    names::check(&subject, findings);
    let definition = order::check(&subject, findings);
    choreography::check(&subject, definition.as_ref(), findings);
    time::check(&subject, findings);
    services::check(&subject, findings);
    queues::check(&subject, findings);
    let expressions = expressions::check(&subject, findings);
    data::check_redaction(&subject, findings);
    if findings.any_error() {
        return None;
    }
    Some(put_together(&subject, bytes, definition?, expressions, validator))
}
