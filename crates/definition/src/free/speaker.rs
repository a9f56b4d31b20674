//! What was found, in words: with its place, the way to it, and what to write.

use super::advice::{Advice, Advisor};
use super::judge::Problem;
use super::model::Reactions;
use super::search::{Analysis, End, Found};
use super::state::State;
use super::story;
use crate::finding::{Finding, Said};
use crate::rule::Rule;
use crate::source::Source;

/// Something that was found, with the run that shows it.
#[derive(Clone, Debug)]
pub struct Told {
    /// What it is, where, and what to write.
    pub finding: Finding,
    /// The shortest run, a sentence a step.
    pub story: Vec<String>,
}

impl Analysis {
    /// What is wrong, the shortest run first.
    pub fn told(&self, of: &Reactions, source: &Source) -> Vec<Told> {
        let speaker = Speaker::new(of, source);
        let told = self.found.iter().map(|found| Told {
            finding: speaker.said(found).place(source),
            story: story::of_run(of, &found.run),
        });
        told.collect()
    }

    /// How runs end: in how many moments, and the shortest run.
    pub fn ends(&self, of: &Reactions) -> Vec<(End, usize, Vec<String>)> {
        let told =
            |(end, moments, run): &(End, usize, Vec<_>)| (*end, *moments, story::of_run(of, run));
        self.ends.iter().map(told).collect()
    }
}

/// The lines to write, and in whose place.
fn with(of: &Reactions, source: &Source, one: Said, advice: Option<Advice>, what: &str) -> Said {
    let Some(advice) = advice else { return one };
    let mut lines: Vec<usize> = advice
        .instead_of
        .iter()
        .map(|ix| source.place(of.places.reactions[*ix].start.start).line)
        .collect();
    lines.sort_unstable();
    let lines: Vec<_> = lines.iter().map(usize::to_string).collect();
    let place = match lines.as_slice() {
        [one] if advice.write.is_empty() => format!("remove the reaction in line {one}"),
        [] => "add this reaction".to_owned(),
        [one] => format!("write this in place of the reaction in line {one}"),
        many => format!("write this in place of the reactions in lines {}", many.join(" and ")),
    };
    let fix = if what.is_empty() { place } else { format!("{what}: {place}") };
    Said { fix: Some(fix), add: advice.lines(), ..one }
}

/// Who puts into words what was found.
pub(crate) struct Speaker<'r> {
    of: &'r Reactions,
    source: &'r Source,
    advisor: Advisor<'r>,
}

impl<'r> Speaker<'r> {
    pub(crate) fn new(of: &'r Reactions, source: &'r Source) -> Self {
        Self { of, source, advisor: Advisor::new(of) }
    }

    pub(crate) fn said(&self, found: &Found) -> Said {
        let of = self.of;
        let advice = self.advisor.advise(found);
        let service = |ix: usize| of.service(ix).unwrap_or("somebody").to_owned();
        let last = found.run.last().map_or(0, |step| step.reaction);
        let places = |ix: usize| &of.places.reactions[ix];
        let failed = self.failed(&found.at);
        let (rule, span, message, what) = match found.problem {
            Problem::LeftStanding { action } => (
                Rule::LeftStanding,
                places(action).work,
                format!("nobody undoes `{}` when {failed}", of.action(action)),
                format!("let {} undo it", service(action)),
            ),
            Problem::NoEnd { forward: true } => (
                Rule::NoEndReached,
                places(last).work,
                format!("nobody says `{}`, and nothing more happens", of.done()),
                String::new(),
            ),
            Problem::NoEnd { forward: false } => {
                let at = found.at.failed.iter().next().unwrap_or(last);
                let span = places(at).on_failure.unwrap_or(places(at).work);
                let message = format!("nobody says `{}` when {failed}", of.undone());
                (Rule::NoEndReached, span, message, String::new())
            }
            Problem::BothEnds => (
                Rule::BothEnds,
                of.places.ends,
                format!("both ends are said when {failed}"),
                "let the end wait".to_owned(),
            ),
            Problem::UndoneTooEarly { action, before } => {
                let undo = of.undos(action).find(|undo| found.at.fired.has(*undo));
                (
                    Rule::UndoneTooEarly,
                    undo.map_or(places(action).work, |undo| places(undo).work),
                    format!(
                        "`{}` may be undone before `{}`, which is built on it",
                        of.action(action),
                        of.action(before)
                    ),
                    format!("let {} wait for {}", service(action), service(before)),
                )
            }
            Problem::UndoneAfterDone { action, undo } => (
                Rule::UndoneAfterDone,
                places(undo).work,
                format!("`{}` is undone after `{}` was said", of.action(action), of.done()),
                "let the end wait".to_owned(),
            ),
            Problem::FailedAndDone { action } => (
                Rule::FailedAndDone,
                places(action).on_failure.unwrap_or(places(action).work),
                format!("`{}` fails, and `{}` is said all the same", of.action(action), of.done()),
                "let the end wait".to_owned(),
            ),
            Problem::SaidTooEarly { action, by } => {
                let said = of.reactions[by].then.iter().position(|event| *event == of.undone);
                let span = said.map(|ix| places(by).then[ix]).or(places(by).on_failure);
                (
                    Rule::SaidTooEarly,
                    span.unwrap_or(places(by).work),
                    format!(
                        "`{}` may be said before `{}` is undone",
                        of.undone(),
                        of.action(action)
                    ),
                    format!("wait for {}", service(action)),
                )
            }
            Problem::UndoneTwice { action, second, .. } => (
                Rule::UndoneTwice,
                places(second).work,
                format!("`{}` is undone a second time here in one run", of.action(action)),
                "make one reaction of the two".to_owned(),
            ),
            Problem::Overtaken { action, undo } => {
                let fence = match of.act(action).and_then(|act| act.fence) {
                    None => "does not say that it keeps tombstones",
                    Some(_) => "keeps no tombstones",
                };
                let message = format!(
                    "the undo of `{}` may come before it, and `{}` {fence}",
                    of.action(action),
                    service(action)
                );
                (Rule::UndoOvertakes, places(undo).work, message, String::new())
            }
        };
        let one = Said { way: story::way(of, &found.run), ..Said::new(rule, span, message) };
        let one = match (found.problem, &advice) {
            (Problem::LeftStanding { .. }, None) => {
                one.fixed("let nothing that may fail come after it: make that `kind: retriable`")
            }
            (Problem::NoEnd { forward: false }, None) => {
                one.fixed("undo what stays done; a reaction is there that says it then")
            }
            _ => one,
        };
        with(of, self.source, one, advice, &what)
    }

    /// `Service.Command fails`.
    fn failed(&self, at: &State) -> String {
        let failed: Vec<_> =
            at.failed.iter().map(|ix| format!("`{}`", self.of.action(ix))).collect();
        match failed.as_slice() {
            [] => "nothing fails".to_owned(),
            [one] => format!("{one} fails"),
            many => format!("{} fail", many.join(" and ")),
        }
    }
}
