//! What there is to say of a choreography: what is seen without trying anything, and what the exploration
//! came to.

use amends_core::definition::Fence;

use super::flow;
use super::model::Reactions;
use super::search::Analysis;
use super::speaker::Speaker;
use crate::finding::{Findings, Said, did_you_mean};
use crate::rule::Rule;
use crate::source::Source;
use crate::tree::shorten;

/// What is seen without trying anything. True when the reactions can be taken through their orders:
/// what is waited for is said, and nothing goes round.
pub(super) fn of_flow(of: &Reactions, findings: &mut Findings) -> bool {
    let mut said = Vec::new();
    let whole = not_written(of, &mut said) & circle(of, &mut said);
    not_read(of, &mut said);
    unused(of, &mut said);
    not_told(of, &mut said);
    runs_again(of, &mut said);
    if whole {
        not_carried(of, &mut said);
    }
    said.into_iter().for_each(|said| findings.say(said));
    whole
}

/// What the exploration came to.
pub(super) fn of_analysis(
    of: &Reactions,
    analysis: &Analysis,
    source: &Source,
    findings: &mut Findings,
) {
    let speaker = Speaker::new(of, source);
    for found in &analysis.found {
        findings.say(speaker.said(found));
    }
    if analysis.complete {
        for ix in (0..of.len()).filter(|ix| !analysis.reached.has(*ix)) {
            // Where one of its events is never said, that is what is wrong.
            let never = |event: &usize| {
                *event != of.start && !of.writers(*event).any(|ix| analysis.reached.has(ix))
            };
            if !of.reactions[ix].on.events().iter().any(never) {
                let on = names(of, of.reactions[ix].on.events());
                let message = format!("{on} never come together");
                let span = of.places.reactions[ix].on[0];
                findings.say(Said::new(Rule::NeverReached, span, message));
            }
        }
    } else {
        let message = format!("only the first {} states were looked at", analysis.states);
        findings.say(Said::new(Rule::NotAllExplored, of.places.ends, message));
    }
}

fn not_written(of: &Reactions, said: &mut Vec<Said>) -> bool {
    let before = said.len();
    let known: Vec<usize> = (0..of.events.len())
        .filter(|event| *event == of.start || of.writers(*event).next().is_some())
        .collect();
    for (reaction, places) in of.reactions.iter().zip(&of.places.reactions) {
        for (event, span) in reaction.on.events().iter().zip(&places.on) {
            if known.contains(event) {
                continue;
            }
            let name = of.event(*event);
            let mut one =
                Said::new(Rule::EventNotWritten, *span, format!("nobody says `{}`", shorten(name)));
            let near = did_you_mean(name, known.iter().map(|event| of.event(*event)));
            one.fix = near.map(|near| format!("did you mean `{near}`?"));
            said.push(one);
        }
    }
    said.len() == before
}

fn not_read(of: &Reactions, said: &mut Vec<Said>) {
    let spoken = |event: &usize| {
        let end = *event == of.done || *event == of.undone;
        !end && of.readers(*event).next().is_none() && !of.events[*event].implied
    };
    for event in (0..of.events.len()).filter(spoken) {
        let Some(writer) = of.writers(event).next() else { continue };
        let places = &of.places.reactions[writer];
        let then = of.reactions[writer].then.iter().position(|then| *then == event);
        let span = then.map(|ix| places.then[ix]).or(places.on_failure);
        let message = format!("nobody reacts to `{}`", of.event(event));
        said.push(Said::new(Rule::EventNotRead, span.unwrap_or(places.start), message));
    }
}

fn unused(of: &Reactions, said: &mut Vec<Said>) {
    for (name, span) in &of.places.listed {
        let message = format!("nobody says `{}`", shorten(name));
        let mut one = Said::new(Rule::EventUnused, *span, message);
        let spoken = of.events.iter().filter(|event| !event.implied);
        let near = did_you_mean(name, spoken.map(|event| event.name.as_str()));
        one.fix = near.map(|near| format!("did you mean `{near}`?"));
        said.push(one);
    }
}

fn circle(of: &Reactions, said: &mut Vec<Said>) -> bool {
    let Some(round) = flow::circle(of) else { return true };
    let first = round[0];
    // The event by which each sets off the next.
    let link = |from: usize, to: usize| {
        let mut said = of.reactions[from].says();
        said.find(|event| of.reactions[to].on.events().contains(event))
    };
    let nexts = round.iter().skip(1).chain([&first]);
    let events: Vec<_> = round.iter().zip(nexts).filter_map(|(a, b)| link(*a, *b)).collect();
    let last = events.last().map_or("", |event| of.event(*event));
    let mut way = vec![last];
    way.extend(events.iter().map(|event| of.event(*event)));
    let mut one = Said::new(
        Rule::Circle,
        of.places.reactions[first].start,
        format!("`{last}` comes of itself"),
    );
    one.way = way.join(" → ");
    said.push(one);
    false
}

fn not_told(of: &Reactions, said: &mut Vec<Said>) {
    for ix in 0..of.len() {
        let Some(failure) = of.act(ix).and_then(|act| act.on_failure) else { continue };
        // An event of that name may be waited for; still nobody says it.
        if of.places.reactions[ix].on_failure.is_some() {
            continue;
        }
        let span = of.places.reactions[ix].work;
        let message = format!("nobody hears when `{}` fails", of.action(ix));
        said.push(Said::new(Rule::FailureNotTold, span, message).fixed(format!(
            "add `on_failure: {}`, or `kind: retriable` where it is tried until it succeeds",
            of.event(failure)
        )));
    }
}

fn runs_again(of: &Reactions, said: &mut Vec<Said>) {
    for (service, span) in &of.places.services {
        let promises_nothing = (0..of.len()).any(|ix| {
            let act = of.act(ix);
            act.is_some_and(|act| {
                *act.command.service == **service && act.fence == Some(Fence::None)
            })
        });
        if promises_nothing {
            let message = format!("`{service}` keeps no answers");
            said.push(Said::new(Rule::RunsAgain, *span, message));
        }
    }
}

fn not_carried(of: &Reactions, said: &mut Vec<Said>) {
    for ix in 0..of.len() {
        let spans = of.places.reactions[ix].reads.clone();
        for (field, span) in of.reactions[ix].reads.iter().zip(spans) {
            let Some(way) = flow::Without::new(of, field).way(ix) else { continue };
            let message = format!("`{}` is carried by no event on one way here", shorten(field));
            let mut one = Said::new(Rule::FieldNotCarried, span, message);
            let known = of.events.iter().flat_map(|event| &event.fields);
            if !known.clone().any(|known| known == field)
                && let Some(near) = did_you_mean(field, known.map(String::as_str))
            {
                one.fix = Some(format!("did you mean `{near}`?"));
            }
            let names: Vec<_> = way.iter().map(|event| of.event(*event)).collect();
            one.way = names.join(" → ");
            said.push(one);
        }
    }
}

/// Names as a list of words.
fn names(of: &Reactions, events: &[usize]) -> String {
    let names: Vec<_> = events.iter().map(|event| format!("`{}`", of.event(*event))).collect();
    match names.as_slice() {
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
        [] => String::new(),
    }
}
