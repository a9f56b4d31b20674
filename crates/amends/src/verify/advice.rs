//! What to say of what was found: in what words, and with which fix.

use std::time::Duration;

use amends_core::definition::{Fence, Step};
use amends_explore::verify::finding::Trouble;
use amends_explore::verify::search::Cut;

use super::Report;

/// How much more time is worth another try: a fault more takes several times as long.
const LONGER: u32 = 6;

/// What gets further than this search, where a limit ended it.
pub fn further(report: &Report) -> Option<String> {
    Some(match (report.found.cut?, report.proved()) {
        (Cut::Time, _) => format!("give it longer: --within {}", time(longer(report.within))),
        (Cut::Memory, Some(faults)) => format!(
            "it was memory that ended it, so more time does not help: --faults {faults} tries no more than what is proved; a saga with fewer steps side by side goes further"
        ),
        (Cut::Memory, None) => "it was memory that ended it, so more time does not help: try a saga with fewer steps side by side, or without its best-effort ones".to_owned(),
    })
}

fn longer(within: Duration) -> Duration {
    within.max(Duration::from_secs(1)).saturating_mul(LONGER)
}

/// As it is written on the command line.
pub fn time(time: Duration) -> String {
    match time.as_millis() {
        ms if ms.is_multiple_of(60_000) && ms > 0 => format!("{}m", ms / 60_000),
        ms if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// The word in brackets: where there is attention, its reason.
pub const fn id(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::OutcomeUnknown => "outcome_unknown",
        Trouble::PivotUnknown => "pivot_unknown",
        Trouble::RetriableSlow => "retriable_slow",
        Trouble::Contradicted => "contradicted",
        Trouble::Expression => "expression",
        Trouble::Unproven => "unproven",
    }
}

/// What was found, with the step and its service.
pub fn message(trouble: Trouble, step: &Step) -> String {
    let (name, service) = (&step.name, service(step));
    match trouble {
        Trouble::OutcomeUnknown => {
            format!("a person may have to say whether {name} of {service} happened")
        }
        Trouble::PivotUnknown | Trouble::RetriableSlow => {
            format!("{service} may refuse every repeat of {name}, which has happened")
        }
        Trouble::Contradicted => {
            format!("{name} of {service} may happen after it was refused and the saga has turned")
        }
        Trouble::Expression => format!("an expression of {name} may fail when nothing can turn"),
        Trouble::Unproven => {
            format!("{name} may be undone without anybody knowing whether it happened")
        }
    }
}

/// Why it comes to that.
pub const fn why(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::OutcomeUnknown => {
            "without a fence an open outcome cannot be made harmless: the saga waits for `amends resolve`"
        }
        Trouble::PivotUnknown | Trouble::RetriableSlow => {
            "without a fence a repeat is answered with a refusal that says nothing: the saga waits for `amends resolve`"
        }
        Trouble::Contradicted => {
            "a refusal that is not final does not speak for other copies of the command; the step is never undone, so a person is told (`amends acknowledge`)"
        }
        Trouble::Expression => {
            "after the point of no return there is no way back: the saga waits for `amends edit`"
        }
        Trouble::Unproven => {
            "no answer says what it did: it is undone, and the saga ends not clean unless an answer is heard later"
        }
    }
}

/// What to do about it.
pub fn fix(trouble: Trouble, step: &Step, fence: Option<Fence>) -> String {
    let service = service(step);
    match trouble {
        Trouble::OutcomeUnknown => format!(
            "say `fence: barrier` on {service} if it keeps answers and tombstones (the participant kit does), or `fence: settle` if it answers a repeat as it did at first"
        ),
        Trouble::PivotUnknown | Trouble::RetriableSlow => format!(
            "say `fence: settle` on {service} if it answers a repeat as it did at first, or `fence: barrier` if it keeps tombstones too"
        ),
        Trouble::Contradicted => format!(
            "say `fence: settle` (or `barrier`) on {service} if its refusals are final: it stores them, and repeats them for the same key"
        ),
        Trouble::Expression => {
            "ask first whether what it reads is there (`has(data.x) ? … : …`), or evaluate it in a step before the point of no return".to_owned()
        }
        Trouble::Unproven => {
            let instead = if fence == Some(Fence::Settle) { " instead of `settle`" } else { "" };
            format!(
                "say `fence: barrier`{instead} on {service} if it keeps tombstones (the participant kit does): its undo is then proof"
            )
        }
    }
}

fn service(step: &Step) -> &str {
    step.action().map_or("its service", |action| &action.service)
}

#[cfg(test)]
mod tests {
    use amends_explore::verify::search::{Found, Level};

    use super::*;

    fn cut(cut: Cut, whole: &[bool]) -> String {
        let level = |(faults, &complete)| Level { faults, states: 7, complete };
        let levels = (0..).zip(whole).map(level).collect();
        let report = Report {
            within: Duration::from_secs(10),
            interrupted: false,
            suppositions: Vec::new(),
            found: Found { levels, cut: Some(cut), ..Found::default() },
            took: Duration::ZERO,
            steps: 1,
            ends: Vec::new(),
            findings: Vec::new(),
            told: std::collections::BTreeMap::new(),
            counterexample: None,
        };
        further(&report).expect("it was cut")
    }

    #[test]
    fn more_time_is_advised_where_time_ended_it_and_nowhere_else() {
        assert_eq!(cut(Cut::Time, &[false]), "give it longer: --within 1m");
        for levels in [&[false][..], &[true, false]] {
            let advice = cut(Cut::Memory, levels);
            assert!(!advice.contains("--within"), "{advice}");
            assert!(advice.contains("more time does not help"), "{advice}");
            assert!(advice.contains("fewer steps side by side"), "{advice}");
        }
        assert!(cut(Cut::Memory, &[true, true, false]).contains("--faults 1 "));
    }

    #[test]
    fn a_time_is_written_as_it_is_said() {
        let times = [0, 10_000, 60_000, 90_000, 500].map(Duration::from_millis);
        assert_eq!(times.map(time), ["0s", "10s", "1m", "90s", "500ms"]);
        assert_eq!([0, 10_000].map(|ms| time(longer(Duration::from_millis(ms)))), ["6s", "1m"]);
    }
}
