//! What if a participant does not keep a promise that the file makes for it.

use std::collections::BTreeMap;

use amends_core::Definition;
use amends_core::definition::{Fence, Step};
use amends_explore::cast::Breach;
use amends_explore::verify::subject::Service;

/// The promises that may be broken: the word, what the participant then does, and how it keeps
/// the promise instead.
pub const BREACHES: [(Breach, &str, &str, &str); 6] = [
    (
        Breach::NoTombstone,
        "no-tombstone",
        "an action that arrives after its undo is carried out",
        "an undo that finds nothing must leave a tombstone that refuses the action from then on (the participant kit does); or say `fence: settle`, if it repeats its answers",
    ),
    (
        Breach::ForgetsAnswers,
        "forgets-answers",
        "a repeated action is refused as \"already there\"",
        "store the answer with the idempotency key, in the transaction of the effect, and repeat it; or say `fence: none`, and a person decides what nobody can know",
    ),
    (
        Breach::RefusalNotFinal,
        "refusal-not-final",
        "after a refusal, another copy of the command is carried out",
        "store a refusal like any other answer, and repeat it for the same key; or leave the fence unsaid, and a refused step is undone all the same",
    ),
    (
        Breach::Twice,
        "twice",
        "a repeated action is carried out again",
        "carry a command out once for each idempotency key: a unique key in the transaction of the effect. Without that nobody can help",
    ),
    (
        Breach::RefusesUndo,
        "refuses-undo",
        "every undo is refused",
        "an undo cannot be refused: undo it, or make the step the pivot or retriable, which are never undone",
    ),
    (
        Breach::IgnoresUndo,
        "ignores-undo",
        "an undo is acknowledged, and nothing is undone",
        "acknowledge an undo only in the transaction that undoes the effect",
    ),
];

/// A promise of a service that is supposed not to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supposition {
    /// The service.
    pub service: String,
    /// The promise.
    pub breach: Breach,
}

impl Supposition {
    /// Reads `SERVICE=PROMISE`.
    pub fn read(text: &str) -> Result<Self, String> {
        let (service, word) = text.split_once('=').unwrap_or((text, ""));
        let found = BREACHES.iter().find(|(_, known, ..)| *known == word);
        let Some(&(breach, ..)) = found.filter(|_| !service.is_empty()) else {
            let words: Vec<_> = BREACHES.iter().map(|(_, word, ..)| *word).collect();
            return Err(format!("it is SERVICE=PROMISE, with one of {}", words.join(", ")));
        };
        Ok(Self { service: service.to_owned(), breach })
    }

    /// Puts it in. Supposing that somebody breaks what was never promised shows nothing.
    pub fn put_into(
        &self,
        services: &mut BTreeMap<String, Service>,
        def: &Definition,
    ) -> Result<(), String> {
        let Self { service, breach } = self;
        let does = |step: &&Step| step.action().is_some_and(|action| *action.service == **service);
        let undoes = |step: &&Step| step.compensation().is_some_and(|c| *c.service == **service);
        let (done, undone) = (
            def.steps().iter().filter(does).collect::<Vec<_>>(),
            def.steps().iter().filter(undoes).count(),
        );
        if done.is_empty() && undone == 0 {
            return Err(format!("no step uses the service {service}"));
        }
        let of_service = services.get(service).and_then(|service| service.fence);
        let fences: Vec<_> = done.iter().map(|step| step.fence.or(of_service)).collect();
        let answers = |fence: &Option<Fence>| matches!(fence, Some(Fence::Barrier | Fence::Settle));
        let promised = match breach {
            Breach::NoTombstone => fences.contains(&Some(Fence::Barrier)),
            Breach::ForgetsAnswers | Breach::RefusalNotFinal => fences.iter().any(answers),
            Breach::Twice => !done.is_empty(),
            Breach::RefusesUndo | Breach::IgnoresUndo => undone > 0,
        };
        if !promised {
            return Err(match breach {
                Breach::RefusesUndo | Breach::IgnoresUndo => {
                    format!("{service} undoes nothing in this saga")
                }
                _ => format!("{service} does not promise that: {}", said(&fences)),
            });
        }
        services.entry(service.clone()).or_default().breaches.push(*breach);
        Ok(())
    }

    /// `PaymentService=twice`.
    pub fn text(&self) -> String {
        format!("{}={}", self.service, self.row().1)
    }

    /// What the participant then does.
    pub fn what(&self) -> &'static str {
        self.row().2
    }

    /// How it keeps the promise.
    pub fn fix(&self) -> &'static str {
        self.row().3
    }

    fn row(&self) -> &'static (Breach, &'static str, &'static str, &'static str) {
        let at = BREACHES.iter().position(|(breach, ..)| *breach == self.breach);
        &BREACHES[at.unwrap_or(0)]
    }
}

fn said(fences: &[Option<Fence>]) -> &'static str {
    match fences.first() {
        Some(Some(Fence::Barrier)) => "its fence is barrier",
        Some(Some(Fence::Settle)) => "its fence is settle",
        Some(Some(Fence::None)) => "its fence is none",
        Some(None) => "its fence is not said",
        None => "it only undoes",
    }
}

/// The promises as `--help` lists them.
pub fn help() -> String {
    let width = BREACHES.iter().map(|(_, word, ..)| word.len()).max().unwrap_or(0);
    let lines = BREACHES.map(|(_, word, what, _)| format!("  {word:width$}  {what}"));
    format!("Promises that --suppose breaks:\n{}", lines.join("\n"))
}
