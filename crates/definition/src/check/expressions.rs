//! Expressions: compiled, within their bounds, and naming only what is there by then.

use std::collections::BTreeMap;

use amends_core::definition::RUNS_MAX;
use serde_json::Value as Json;

use super::Subject;
use super::data::{InSchema, look_up};
use super::order::ancestors;
use super::services::env_is_there;
use crate::compile::{Laid, PLACEHOLDER};
use crate::expression::{
    EXPRESSION_BYTES_MAX, Expressions, Part, Parts, Program, Reference, RefusedWhen,
    StepExpressions, Template, Wrong,
};
use crate::file::Field;
use crate::finding::{Findings, did_you_mean};
use crate::rule::Rule;
use crate::source::Span;
use crate::surroundings::EnvVar;
use crate::tree::{Node, Value, shorten};

/// Compiles every expression and reports what is wrong with each.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) -> Expressions {
    let mut compiler = Compiler {
        subject,
        ancestors: ancestors(subject.laid),
        names: subject.laid.iter().enumerate().map(|(ix, laid)| (laid.name(), ix)).collect(),
        env: BTreeMap::new(),
        findings,
    };
    let mut expressions = Expressions::default();
    if let Some(key) = &subject.file.business_key {
        expressions.business_key = compiler.business_key(key);
    }
    for (ix, laid) in subject.laid.iter().enumerate() {
        expressions.steps.push(compiler.step(ix, laid));
    }
    let mut refused_when = Vec::new();
    for (name, service) in subject.file.services.iter().flat_map(|f| &f.value.0) {
        if let Some(written) = &service.refused_when
            && let Some(program) = compiler.condition(written, Seen::RESPONSE)
        {
            refused_when.push((name.value.clone(), program));
        }
        if let Some(url) = service.http.as_ref().and_then(|http| http.value.url.as_ref()) {
            compiler.text(&url.value, url.span, Seen::ENV);
        }
    }
    expressions.env = compiler.env;
    for (service, program) in refused_when {
        let rule = RefusedWhen::new(&service, program, &expressions.env);
        expressions.refused_when.insert(service, rule);
    }
    expressions
}

/// What an expression at some place can see.
#[derive(Clone, Copy)]
struct Seen {
    variables: &'static [&'static str],
    /// Whose ancestors' results can be seen.
    step: Option<usize>,
}

impl Seen {
    const ENV: Self = Self { variables: &["env"], step: None };
    const RESPONSE: Self = Self { variables: &["response", "env"], step: None };
    const KEY: Self = Self { variables: &["data", "env"], step: None };

    fn of_step(variables: &'static [&'static str], step: usize) -> Self {
        Self { variables, step: Some(step) }
    }
}

struct Compiler<'a, 'f> {
    subject: &'a Subject<'a>,
    ancestors: Vec<u64>,
    names: BTreeMap<&'a str, usize>,
    env: BTreeMap<String, String>,
    findings: &'f mut Findings,
}

impl Compiler<'_, '_> {
    fn step(&mut self, ix: usize, laid: &Laid<'_>) -> StepExpressions {
        const PLAIN: &[&str] = &["data", "result", "saga", "env"];
        const ITEM: &[&str] = &["data", "result", "saga", "env", "item"];
        const SIGNAL: &[&str] = &["data", "result", "saga", "env", "signal"];
        let step = laid.file;
        let mut made = StepExpressions { name: laid.name().to_owned(), ..Default::default() };
        let plain = Seen::of_step(PLAIN, ix);
        if let Some(when) = &step.when {
            made.when = self.condition(when, plain);
        }
        if let Some(for_each) = &step.for_each {
            made.for_each = self.condition(for_each, plain);
            if let Some(program) = &made.for_each {
                self.runs(program, for_each.span);
            }
        }
        if let Some(input) = &step.input {
            let seen = Seen::of_step(if step.for_each.is_some() { ITEM } else { PLAIN }, ix);
            if !matches!(input.value.node.value, Value::Map(_)) {
                let node = &input.value.node;
                let alone = node.text().is_some_and(|text| Parts::of(text).alone().is_some());
                if !alone {
                    crate::file::wrong_shape(node, "a mapping of fields", self.findings);
                }
            }
            made.input = self.template(&input.value.node, seen);
        }
        if let Some(refuse_when) = &step.refuse_when {
            made.refuse_when = self.condition(refuse_when, Seen::of_step(SIGNAL, ix));
        }
        made
    }

    fn business_key(&mut self, key: &Field<String>) -> Option<Template> {
        if !Parts::of(&key.value).any_expression() {
            let message = "the business key is the same for every saga";
            let fix = "write it as \"${ data.order_id }\"";
            self.findings.add_with_fix(Rule::NoExpression, key.span, message, fix);
            return None;
        }
        self.text(&key.value, key.span, Seen::KEY)
    }

    /// A text that is one expression.
    fn condition(&mut self, field: &Field<String>, seen: Seen) -> Option<Program> {
        let parts = Parts::of(&field.value);
        if let Some(expression) = parts.alone() {
            return self.expression(expression, field.span, seen);
        }
        match parts.0.last() {
            Some(Part::Unclosed(_)) => self.unclosed(field.span),
            _ => {
                let message = format!("`{}` is no single expression", shorten(&field.value));
                self.findings.add(Rule::NoExpression, field.span, message);
            }
        }
        None
    }

    fn text(&mut self, text: &str, span: Span, seen: Seen) -> Option<Template> {
        if let Some(Part::Unclosed(_)) = Parts::of(text).0.last() {
            self.unclosed(span);
        }
        Template::of_text(text, &mut |expression| self.expression(expression, span, seen))
    }

    fn template(&mut self, node: &Node, seen: Seen) -> Option<Template> {
        let made = match &node.value {
            // Numbers were read, and reported, when the file was.
            Value::Scalar { plain: true, .. } if !node.text().is_some_and(|t| t.contains("${")) => {
                Template::Constant(node.json(&mut Findings::default()))
            }
            Value::Scalar { text, .. } => self.text(text, node.span, seen)?,
            // Every one is looked at, so that all findings come at once.
            Value::List(items) => {
                let made: Vec<_> = items.iter().map(|item| self.template(item, seen)).collect();
                Template::List(made.into_iter().collect::<Option<_>>()?)
            }
            Value::Map(entries) => {
                let made: Vec<_> = entries
                    .iter()
                    .map(|e| Some((e.key.clone(), self.template(&e.value, seen)?)))
                    .collect();
                Template::Object(made.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(made)
    }

    fn unclosed(&mut self, span: Span) {
        let at = self.subject.source.find_within(span, "${");
        self.findings.add(Rule::UnclosedExpression, at, "this expression is not closed");
    }

    fn expression(&mut self, text: &str, within: Span, seen: Seen) -> Option<Program> {
        let span = self.subject.source.find_within(within, text);
        match Program::compile(text) {
            Ok(program) => {
                let all: Vec<_> = program.references().to_vec();
                // Every one is looked at, so that all findings come at once.
                let bad = all.iter().filter(|r| !self.reference(r, &program, span, seen)).count();
                (bad == 0).then_some(program)
            }
            Err(wrong) => {
                self.wrong(&wrong, text, span);
                None
            }
        }
    }

    fn wrong(&mut self, wrong: &Wrong, text: &str, span: Span) {
        match wrong {
            Wrong::TooLong => {
                let message =
                    format!("the expression has {} bytes of {EXPRESSION_BYTES_MAX}", text.len());
                self.findings.add(Rule::ExpressionTooLong, span, message);
            }
            Wrong::TooDeep => {
                self.findings.add(
                    Rule::ExpressionTooDeep,
                    span,
                    "a comprehension works on another",
                );
            }
            Wrong::UnknownFunction(name) => {
                let at = self.subject.source.find_within(span, name);
                let message = format!("there is no function `{}`", shorten(name));
                self.findings.add(Rule::UnknownFunction, at, message);
            }
            Wrong::Syntax { message, at } => {
                let verbatim = self.subject.source.slice(span) == text;
                let at = match at {
                    Some(at) if verbatim => {
                        let start = (span.start + at).min(span.end.saturating_sub(1));
                        Span::new(start, start + 1)
                    }
                    _ => span,
                };
                let message = format!("the expression cannot be read: {}", shorten(message));
                self.findings.add(Rule::ExpressionSyntax, at, message);
            }
        }
    }

    /// Is the variable there by then?
    fn reference(
        &mut self,
        reference: &Reference,
        program: &Program,
        span: Span,
        seen: Seen,
    ) -> bool {
        let root = reference.root.as_str();
        let written = std::iter::once(root)
            .chain(reference.path.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(".");
        let at = self.subject.source.find_within(span, &written);
        let at = if at == span { self.subject.source.find_within(span, root) } else { at };
        if !seen.variables.contains(&root) {
            self.unknown_variable(root, at, seen);
            return false;
        }
        match root {
            "result" => self.result(reference, program, at, seen),
            "data" => self.data(reference, at),
            "env" => self.env(reference, at),
            "saga" => self.saga(reference, at),
            _ => true,
        }
    }

    fn unknown_variable(&mut self, root: &str, at: Span, seen: Seen) {
        let shown = shorten(root);
        match root {
            "item" => self.findings.add(Rule::ItemOutside, at, "there is no item here"),
            "signal" => self.findings.add(Rule::SignalOutside, at, "there is no signal here"),
            _ => {
                let message = format!("`{shown}` is not known here");
                let fix = match did_you_mean(root, seen.variables.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if self.names.contains_key(root) => {
                        format!("the result of a step is `result.{shown}`")
                    }
                    None => format!("known here: {}", seen.variables.join(", ")),
                };
                self.findings.add_with_fix(Rule::UnknownVariable, at, message, fix);
            }
        }
    }

    fn result(&mut self, reference: &Reference, program: &Program, at: Span, seen: Seen) -> bool {
        let Some(name) = reference.path.first() else {
            let message = "`result` alone names no step";
            self.findings.add(Rule::UnknownStep, at, message);
            return false;
        };
        let shown = shorten(name);
        let known = self.names.get(name.as_str()).copied().filter(|_| name != PLACEHOLDER);
        let Some(other) = known else {
            let message = format!("there is no step `{shown}`");
            match did_you_mean(name, self.names.keys().copied()) {
                Some(near) => {
                    let fix = format!("did you mean `result.{near}`?");
                    self.findings.add_with_fix(Rule::UnknownStep, at, message, fix);
                }
                None => self.findings.add(Rule::UnknownStep, at, message),
            }
            return false;
        };
        let Some(step) = seen.step else { return true };
        if self.ancestors.get(step).is_none_or(|set| set & (1 << other) == 0) {
            let message = match other == step {
                true => format!("the step `{shown}` uses its own result"),
                false => format!("the step `{shown}` need not have run by then"),
            };
            self.findings.add(Rule::StepNotBefore, at, message);
            return false;
        }
        let laid = &self.subject.laid[other];
        let maybe =
            laid.file.when.is_some() || laid.kind() == amends_core::definition::Kind::BestEffort;
        let asks = ["null", "has("].iter().any(|word| program.text().contains(word));
        if maybe && !asks && reference.path.len() > 1 {
            let message =
                format!("the result of `{shown}` is null when the step is skipped or failed");
            self.findings.add(Rule::MayBeNull, at, message);
        }
        true
    }

    fn data(&mut self, reference: &Reference, at: Span) -> bool {
        let Some(schema) = self.subject.schema else { return true };
        if reference.asked {
            return true;
        }
        match look_up(schema, &reference.path) {
            InSchema::Missing { field, known, closed } => {
                let rule = if closed { Rule::NotInSchema } else { Rule::NotSureInSchema };
                let message = format!("the data schema has no field `{}`", shorten(&field));
                match did_you_mean(&field, known.iter().map(String::as_str)) {
                    Some(near) => {
                        self.findings.add_with_fix(
                            rule,
                            at,
                            message,
                            format!("did you mean `{near}`?"),
                        );
                    }
                    None => self.findings.add(rule, at, message),
                }
                !closed
            }
            InSchema::Found(_) | InSchema::Open => true,
        }
    }

    fn env(&mut self, reference: &Reference, at: Span) -> bool {
        let Some(name) = reference.path.first() else {
            self.findings.add_with_fix(
                Rule::UnknownVariable,
                at,
                "`env` alone names no variable",
                "write `env.NAME`",
            );
            return false;
        };
        env_is_there(name, at, self.subject, self.findings);
        match self.subject.surroundings.env(name) {
            EnvVar::Set(value) => {
                self.env.insert(name.clone(), value);
                true
            }
            EnvVar::Unset => true,
            EnvVar::NotAllowed => false,
        }
    }

    fn saga(&mut self, reference: &Reference, at: Span) -> bool {
        let known = reference.path.first().is_none_or(|field| field == "id" || field == "type");
        if !known {
            let message = "a saga has the fields `id` and `type`";
            self.findings.add_with_fix(
                Rule::UnknownVariable,
                at,
                message,
                "use `saga.id` or `saga.type`",
            );
        }
        known
    }

    /// How many runs `for_each` may come to.
    fn runs(&mut self, program: &Program, span: Span) {
        if program.list_items() > RUNS_MAX {
            let message = format!("the list has {} items", program.list_items());
            self.findings.add(Rule::TooManyRuns, span, message);
        }
        let (Some(schema), Some(plain)) = (self.subject.schema, program.plain()) else { return };
        if plain.root != "data" {
            return;
        }
        let InSchema::Found(list) = look_up(schema, &plain.path) else { return };
        let most = list.get("maxItems").and_then(Json::as_u64);
        if most.is_none_or(|most| most > RUNS_MAX as u64) {
            let message = match most {
                Some(most) => format!("the data schema allows {most} items"),
                None => "the data schema allows any number of items".to_owned(),
            };
            self.findings.add(Rule::RunsMayExceed, span, message);
        }
    }
}
