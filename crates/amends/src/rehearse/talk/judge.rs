//! What an answer in a talk comes to: pure, as all of the judge.

use amends_wire::Outcome;

use super::super::exchange::{Circumstance, Exchange};
use super::super::judge::{Finding, Verdict, why_unanswered};
use super::Talk;

/// What the exchange says of the talk's rule; none where it leaves that open.
pub fn verdict(log: &[Exchange], at: usize) -> Option<Verdict> {
    let said = &log[at];
    let of_talk =
        |talk: Talk, against, finding| Some(Verdict { rule: talk.rule(), at, against, finding });
    if said.not_now() {
        return None;
    }
    match said.circumstance {
        Circumstance::Odd(talk @ Talk::OtherBytes) => {
            let first = (0..at).find(|&i| log[i].completed())?;
            of_talk(talk, Some(first), other_bytes(&log[first], said).into())
        }
        Circumstance::Odd(talk @ Talk::WrongTypes) => of_talk(talk, None, wrong_types(said)),
        Circumstance::Odd(talk @ Talk::OtherSteps) if said.is_undo() => {
            let action = (0..at).find(|&i| log[i].step == said.step && log[i].completed());
            // The undo of another step, which this one was taken for.
            let other = (0..at).rev().find(|&i| log[i].is_undo()).or(action);
            let broken = match () {
                () if said.found_nothing() => {
                    Some("it says that there was nothing to undo, and it had done it".to_owned())
                }
                () if said.acknowledged() => None,
                () => Some(format!("the undo is not acknowledged: {}", told(said))),
            };
            of_talk(talk, other, broken.into())
        }
        Circumstance::Odd(talk) if talk.is_command() => {
            let before = at.checked_sub(1);
            let broken = (!said.completed()).then(|| not_done(talk, said));
            of_talk(talk, before, broken.into())
        }
        Circumstance::Odd(talk) => of_talk(talk, None, no_command(talk, said).into()),
        Circumstance::Afterwards(talk) => {
            let first = (0..at).find(|&i| log[i].completed() && log[i].key == said.key);
            let changed = first.is_some_and(|first| log[first].result() != said.result());
            let broken = match () {
                () if !said.completed() => {
                    Some(format!("the right command is held up afterwards: {}", told(said)))
                }
                () if changed => Some("its first answer is another one afterwards".to_owned()),
                () => None,
            };
            of_talk(talk, at.checked_sub(1), broken.into())
        }
        _ => None,
    }
}

/// Why what is no command was not answered as that.
fn no_command(talk: Talk, said: &Exchange) -> Option<String> {
    let status = said.seen.as_ref().map(|seen| seen.status);
    match status {
        _ if said.refused() => {
            Some(format!("{}: that counts as \"it has had no effect, and never will\"", told(said)))
        }
        Some(400..=499) if !said.acknowledged() => None,
        Some(_) if talk == Talk::UnknownUndo && said.acknowledged() => {
            Some(format!("{}: that counts as undone, or as nothing to undo", told(said)))
        }
        Some(200..=299) => Some(format!("it is taken for a command: {}", told(said))),
        None if talk == Talk::TooLarge && said.broke_off => None,
        _ => Some(told(said)),
    }
}

fn other_bytes(first: &Exchange, said: &Exchange) -> Option<String> {
    let status = said.seen.as_ref().map(|seen| seen.status);
    match () {
        () if said.completed() && said.result() == first.result() => None,
        () if said.completed() => {
            Some("the result is another one than at first: it was done a second time".to_owned())
        }
        () if said.refused() => Some(
            "it is refused, though it was done: that counts as \"it has had no effect\"".into(),
        ),
        () if matches!(status, Some(400..=499)) => None,
        () => Some(told(said)),
    }
}

fn wrong_types(said: &Exchange) -> Finding {
    let status = said.seen.as_ref().map(|seen| seen.status);
    match status {
        // Who reads none of the data may take all of it.
        _ if said.completed() => Finding::Unsaid,
        _ if said.refused() => Finding::Kept,
        Some(400..=499) => Finding::Kept,
        _ => Finding::Broken(told(said)),
    }
}

fn not_done(talk: Talk, said: &Exchange) -> String {
    let told = told(said);
    match talk {
        Talk::NewRound if said.refused() => {
            format!("the refusal of the first round is said again: {told}")
        }
        Talk::Additions => format!("without them it is done, and with them {told}"),
        _ => told,
    }
}

/// The answer in a few words.
fn told(said: &Exchange) -> String {
    match (&said.seen, &said.outcome) {
        (_, Outcome::Unknown { error, .. }) if said.accepted => format!("it says 202, and {error}"),
        (Some(seen), _) if seen.status == 202 => "it is accepted (202)".to_owned(),
        (Some(seen), _) => format!("it is answered {}", seen.status),
        (None, Outcome::Unknown { .. }) => {
            format!("there is no answer: {}", why_unanswered(said))
        }
        (None, _) => "there is no answer".to_owned(),
    }
}
