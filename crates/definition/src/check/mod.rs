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
use crate::free::{self, Reactions};
use crate::rule::Rule;
use crate::source::{Source, Span};
use crate::surroundings::Surroundings;
use crate::tree::{self, Node, Value};

pub(crate) use names::{good_name, is_name};
pub(crate) use services::env_name;

/// What the checker made of a file.
#[derive(Debug)]
pub struct Checked<T = Compiled> {
    /// All that was found, in the order of the file.
    pub findings: Vec<Finding>,
    /// The definition, unless a finding is an error; of a free choreography, its reactions, unless
    /// they cannot be put together.
    pub compiled: Option<T>,
    /// The text, for showing findings in it.
    pub source: Source,
}

impl<T> Checked<T> {
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

/// A file of either kind, checked.
#[derive(Debug)]
pub enum Document {
    /// A saga.
    Saga(Checked),
    /// A free choreography.
    Free(Checked<Reactions>),
}

impl Document {
    /// Reads and checks a file, whichever it is. `path` is for messages only. Never panics, whatever
    /// the bytes.
    pub fn check(bytes: &[u8], path: &str, surroundings: &Surroundings<'_>) -> Self {
        let source = Source::new(path, bytes);
        let mut findings = Findings::default();
        let node = tree::read(bytes, &source, &mut findings).map(without_editor_key);
        match node {
            Some(node) if free::is_free(&node) => {
                let compiled = free::check(&node, &source, &mut findings);
                Self::Free(Checked { findings: findings.finish(&source), compiled, source })
            }
            node => Self::Saga(saga(node.as_ref(), bytes, source, surroundings, findings)),
        }
    }
}

/// Reads, checks and compiles a saga's definition. `path` is for messages only. Never panics, whatever
/// the bytes.
pub fn check(bytes: &[u8], path: &str, surroundings: &Surroundings<'_>) -> Checked {
    let source = Source::new(path, bytes);
    let mut findings = Findings::default();
    let node = tree::read(bytes, &source, &mut findings).map(without_editor_key);
    if node.as_ref().is_some_and(free::is_free) {
        let message = "this is a free choreography, and no saga";
        findings.add(Rule::FreeNotRun, Span::default(), message);
        return Checked { findings: findings.finish(&source), compiled: None, source };
    }
    saga(node.as_ref(), bytes, source, surroundings, findings)
}

fn saga(
    node: Option<&Node>,
    bytes: &[u8],
    source: Source,
    surroundings: &Surroundings<'_>,
    mut findings: Findings,
) -> Checked {
    let compiled = node
        .and_then(|node| SagaFile::decode(node, &mut findings))
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
