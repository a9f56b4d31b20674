//! Limits of time and attempts that contradict one another.

use amends_core::Millis;
use amends_core::definition::Backoff;

use super::Subject;
use crate::compile::Laid;
use crate::file::{BackoffFile, CompensationFile, Field, OnDeadlineFile, RetryFile};
use crate::finding::Findings;
use crate::rule::Rule;
use crate::tree::shorten;

/// A backoff's largest factor: with more, the second pause is already the longest.
const FACTOR_MAX: f64 = 100.0;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let file = subject.file;
    not_zero(&file.deadline, "the saga's deadline", findings);
    if let Some(alerts) = file.alerts.as_ref().and_then(|f| f.value.stuck.as_ref()) {
        not_zero(
            &alerts.value.after,
            "the time after which a saga counts as stuck (`stuck.after`)",
            findings,
        );
    }
    if let Some(defaults) = file.defaults.as_ref().map(|f| &f.value) {
        not_zero(&defaults.timeout, "the default timeout", findings);
        not_zero(&defaults.deadline, "the default deadline", findings);
        retry(defaults.retry.as_ref(), findings);
        if let Some(undo) = &defaults.undo_policy {
            not_zero(&undo.value.timeout, "the default timeout of undos", findings);
            retry(undo.value.retry.as_ref(), findings);
        }
        if let (Some(timeout), Some(deadline)) = (&defaults.timeout, &defaults.deadline)
            && timeout.value > deadline.value
        {
            let message = format!(
                "the default timeout of {} is longer than the default deadline of {}",
                timeout.value, deadline.value
            );
            findings.add(Rule::TimeoutOverDeadline, timeout.span, message);
        }
    }
    for laid in subject.laid {
        step(laid, findings);
    }
    saga_deadline(subject, findings);
}

fn step(laid: &Laid<'_>, findings: &mut Findings) {
    let step = laid.file;
    let name = shorten(laid.name());
    not_zero(&step.timeout, &format!("the timeout of `{name}`"), findings);
    not_zero(&step.deadline, &format!("the deadline of `{name}`"), findings);
    not_zero(&step.accepted_timeout, &format!("the accepted_timeout of `{name}`"), findings);
    retry(step.retry.as_ref(), findings);
    if let Some(Field { value: CompensationFile::Policy(policy), .. }) = &step.compensation {
        not_zero(&policy.timeout, &format!("the timeout of the undo of `{name}`"), findings);
        retry(policy.retry.as_ref(), findings);
    }
    if step.said.find("signal").is_some() {
        return signal(laid, findings);
    }
    sla(laid, findings);
    let policy = &laid.policy;
    let said = step.timeout.as_ref().or(step.deadline.as_ref());
    if policy.deadline == Millis::ZERO {
        return; // that has been said, and nothing fits into no time
    }
    if let Some(said) = said.filter(|_| policy.timeout > policy.deadline) {
        let message = format!(
            "one attempt of `{name}` may take {}, and the step has {} for all of them",
            policy.timeout, policy.deadline
        );
        findings.add(Rule::TimeoutOverDeadline, said.span, message);
    } else if policy.timeout > policy.deadline
        && let Some(breach) = step.sla.as_ref().and_then(|sla| sla.value.breach.as_ref())
        && breach.value == policy.deadline
    {
        let message = format!(
            "one attempt of `{name}` may take {}, and its SLA leaves {}",
            policy.timeout, policy.deadline
        );
        findings.add(Rule::TimeoutOverDeadline, breach.span, message);
    }
    let attempts = step.retry.as_ref().and_then(|retry| retry.value.max_attempts.as_ref());
    if let Some(attempts) = attempts {
        let needed = longest(attempts.value, policy.timeout, &policy.retry.backoff);
        if needed > policy.deadline && attempts.value > 1 {
            let message = format!(
                "{} attempts of `{name}` without an answer take {needed}, and the step has {}",
                attempts.value, policy.deadline
            );
            findings.add(Rule::RetriesDoNotFit, attempts.span, message);
        }
    }
}

fn signal(laid: &Laid<'_>, findings: &mut Findings) {
    let step = laid.file;
    let name = shorten(laid.name());
    if step.said.find("deadline").is_none() {
        let message = format!("the step `{name}` may wait for its signal for ever");
        findings.add(Rule::NoSignalDeadline, laid.name_span(), message);
    }
    if step.said.find("on_deadline").is_none() {
        let message = format!("what follows when the signal of `{name}` does not come is not said");
        findings.add(Rule::NoOnDeadline, laid.name_span(), message);
    }
    if let Some(Field { value: OnDeadlineFile::Continue(_), .. }) = &step.on_deadline {
        sla(laid, findings);
    }
}

fn sla(laid: &Laid<'_>, findings: &mut Findings) {
    let Some(sla) = laid.file.sla.as_ref().map(|f| &f.value) else { return };
    not_zero(&sla.warn, "`sla.warn`", findings);
    not_zero(&sla.breach, "`sla.breach`", findings);
    let Some(breach) = &sla.breach else { return };
    if let Some(warn) = sla.warn.as_ref().filter(|warn| warn.value >= breach.value) {
        let message =
            format!("`warn` at {} comes not before `breach` at {}", warn.value, breach.value);
        findings.add(Rule::WarnOverBreach, warn.span, message);
    }
    if laid.policy.deadline > breach.value {
        let message = format!(
            "`{}` may take {}, and its SLA is broken after {}",
            shorten(laid.name()),
            laid.policy.deadline,
            breach.value
        );
        findings.add(Rule::BreachBeforeDeadline, breach.span, message);
    }
}

fn retry(retry: Option<&Field<RetryFile>>, findings: &mut Findings) {
    let Some(retry) = retry.map(|f| &f.value) else { return };
    if let Some(attempts) = retry.max_attempts.as_ref().filter(|a| a.value == 0) {
        findings.add(Rule::ZeroLimit, attempts.span, "`max_attempts` is 0");
    }
    if let Some(backoff) = &retry.backoff {
        backoff_limits(&backoff.value, findings);
    }
}

fn backoff_limits(backoff: &BackoffFile, findings: &mut Findings) {
    not_zero(&backoff.initial, "the first pause between attempts (`initial`)", findings);
    not_zero(&backoff.max, "the longest pause between attempts (`max`)", findings);
    if let Some(factor) = &backoff.factor
        && !(1.0..=FACTOR_MAX).contains(&factor.value)
    {
        let message = format!("the factor is {}", factor.value);
        findings.add(Rule::BadFactor, factor.span, message);
    }
    if let (Some(initial), Some(max)) = (&backoff.initial, &backoff.max)
        && initial.value > max.value
    {
        let message = format!(
            "the first pause of {} is longer than the longest of {}",
            initial.value, max.value
        );
        findings.add(Rule::InitialOverMax, initial.span, message);
    }
}

fn not_zero(field: &Option<Field<Millis>>, what: &str, findings: &mut Findings) {
    if let Some(field) = field.as_ref().filter(|f| f.value == Millis::ZERO) {
        findings.add(Rule::ZeroLimit, field.span, format!("{what} is 0"));
    }
}

/// All attempts unanswered, and the whole of every pause.
fn longest(attempts: u32, timeout: Millis, backoff: &Backoff) -> Millis {
    // A thousand pauses are far beyond any deadline; the sum need not go further.
    let attempts = attempts.min(1_000);
    let mut total = timeout.times(u64::from(attempts)).0;
    let mut pause = backoff.initial.0;
    for _ in 1..attempts {
        total = total.saturating_add(pause.min(backoff.max.0));
        pause = (pause.saturating_mul(u64::from(backoff.factor_percent)) / 100).min(backoff.max.0);
    }
    Millis(total)
}

/// The steps' deadlines along the longest way through the definition.
fn saga_deadline(subject: &Subject<'_>, findings: &mut Findings) {
    let Some(deadline) = &subject.file.deadline else { return };
    let mut ends: Vec<u64> = Vec::with_capacity(subject.laid.len());
    for laid in subject.laid {
        let ready = laid.after.iter().filter_map(|before| ends.get(*before)).max().copied();
        ends.push(ready.unwrap_or(0).saturating_add(laid.policy.deadline.0));
    }
    let needed = Millis(ends.into_iter().max().unwrap_or(0));
    if needed > deadline.value {
        let message = format!("the saga has {}, and its steps may take {needed}", deadline.value);
        findings.add(Rule::SagaDeadlineTooShort, deadline.span, message);
    }
}
