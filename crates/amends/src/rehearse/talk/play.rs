//! How each talk goes.

use std::time::Duration;

use amends_transport::Outgoing;
use http::request::Parts;
use serde_json::Value;
use tokio::task::JoinSet;

use super::super::exchange::{Circumstance, Exchange};
use super::super::participants::Participants;
use super::line::{self, Line, Specimen};
use super::{Field, Talk};

/// How many copies come at the same time: more than the connections that a small pool has.
const COPIES: usize = 8;

/// How often a participant is asked again that says "not now".
const TRIES_MAX: u32 = 4;

/// The pause before that.
const PAUSE: Duration = Duration::from_millis(100);

/// What a talk is made of.
#[derive(Clone)]
pub struct Topic {
    /// What the service has.
    pub specimen: Specimen,
    /// A saga id that nobody has.
    pub saga_id: u128,
    /// Data with which it does the action.
    pub data: Value,
    /// The same under other keys, where it has some.
    pub others: [Value; 2],
    /// Data with which it refuses, where that is known.
    pub refused: Option<Value>,
    /// Whether the right command follows, and leaves an effect where it is not undone.
    pub whole: bool,
}

/// Has a talk with a participant; all that was asked and said.
pub async fn talk(talk: Talk, topic: &Topic, participants: &Participants) -> Vec<Exchange> {
    let mut play = Play { talk, topic, participants, log: Vec::new() };
    let _ = play.go().await; // where it breaks off, nothing more is to be asked
    participants.settle(&mut play.log);
    play.log
}

struct Play<'t> {
    talk: Talk,
    topic: &'t Topic,
    participants: &'t Participants,
    log: Vec<Exchange>,
}

impl Play<'_> {
    async fn go(&mut self) -> Option<()> {
        let specimen = &self.topic.specimen;
        let step = specimen.step_name.clone();
        match self.talk {
            Talk::UnknownCommand => {
                let unknown = specimen.unknown(&self.action(&step, &serde_json::json!({})));
                self.say(unknown, Circumstance::UnknownCommand).await;
            }
            Talk::Garbage => {
                let garbage = specimen.garbage(&self.action(&step, &self.topic.data))?;
                self.say(garbage, Circumstance::Garbage).await;
            }
            Talk::UnknownUndo => {
                let undo = Some((1, &Value::Null));
                let unknown = Line { undo, ..self.action(&step, &self.topic.data) };
                self.say(specimen.unknown(&unknown), self.odd()).await;
            }
            Talk::Unsigned | Talk::Forged | Talk::Stale => self.signature(&step).await?,
            Talk::ForeignCommand | Talk::Without(_) | Talk::ForeignKey | Talk::TooLarge => {
                self.no_command(&step).await?;
            }
            Talk::OtherBytes => self.other_bytes(&step).await?,
            Talk::WrongTypes => self.wrong_types(&step).await?,
            Talk::Additions => {
                let (added, alter) = line::additions(&self.right(&step)?);
                let said = self.say_with(added, self.odd(), alter).await;
                self.undo(&step, 1, &said, Circumstance::Undo).await;
            }
            Talk::NewRound => self.new_round(&step).await?,
            Talk::OtherSteps => self.other_steps(&step).await?,
            Talk::Many => self.many(&step).await?,
        }
        Some(())
    }

    async fn signature(&mut self, step: &str) -> Option<()> {
        let right = self.right(step)?;
        let body = right.body.clone();
        let secrets = self.participants.secrets(&self.topic.specimen.service);
        let said = match self.talk {
            Talk::Unsigned => self.say_with(right, self.odd(), line::unsigned()).await,
            Talk::Forged => self.say_with(right, self.odd(), line::forged(body)).await,
            _ => self.say_with(right, self.odd(), line::stale(secrets, body)).await,
        };
        self.afterwards(step, &said).await
    }

    async fn no_command(&mut self, step: &str) -> Option<()> {
        let right = self.right(step)?;
        let said = match self.talk {
            Talk::Without(field @ Field::IdempotencyKey) => {
                let (wrong, alter) = (line::without(&right, field), line::without_headers(field));
                self.say_with(wrong, self.odd(), alter).await
            }
            Talk::Without(field) => self.say(line::without(&right, field), self.odd()).await,
            Talk::ForeignKey => {
                let (wrong, alter) = line::foreign_key(&right);
                self.say_with(wrong, self.odd(), alter).await
            }
            Talk::TooLarge => self.say(line::too_large(&right), self.odd()).await,
            _ => self.say(line::foreign(&right), self.odd()).await,
        };
        self.afterwards(step, &said).await
    }

    async fn other_bytes(&mut self, step: &str) -> Option<()> {
        let right = self.right(step)?;
        let first = self.say(right.clone(), Circumstance::Action).await;
        if !first.completed() {
            return None;
        }
        self.say(line::other_bytes(&right), self.odd()).await;
        self.say(right, Circumstance::Afterwards(self.talk)).await;
        self.undo(step, 1, &first, Circumstance::Undo).await;
        Some(())
    }

    async fn wrong_types(&mut self, step: &str) -> Option<()> {
        let wrong = line::wrong_types(&self.topic.data)?;
        let other = format!("{step}-other");
        let said = self.topic.specimen.outgoing(&self.action(&other, &wrong))?;
        let said = self.say(said, self.odd()).await;
        self.undo(&other, 1, &said, Circumstance::GivenBack).await;
        // Under a key of its own: what was refused stays so.
        let right = self.say(self.right(step)?, Circumstance::Afterwards(self.talk)).await;
        self.undo(step, 1, &right, Circumstance::Undo).await;
        Some(())
    }

    async fn new_round(&mut self, step: &str) -> Option<()> {
        let refused = self.topic.refused.as_ref()?;
        let first = self.topic.specimen.outgoing(&self.action(step, refused))?;
        if !self.say(first, Circumstance::Action).await.refused() {
            return None;
        }
        let second = Line { round: 2, ..self.action(step, &self.topic.data) };
        let said = self.say(self.topic.specimen.outgoing(&second)?, self.odd()).await;
        self.undo(step, 2, &said, Circumstance::Undo).await;
        Some(())
    }

    /// Two runs of a list, and a step whose name differs in its case.
    async fn other_steps(&mut self, step: &str) -> Option<()> {
        let steps = [format!("{step}.0"), format!("{step}.1"), step.to_ascii_uppercase() + ".1"];
        let [second, third] = &self.topic.others;
        let mut done = Vec::new();
        for (step, data) in steps.iter().zip([&self.topic.data, second, third]) {
            let right = self.topic.specimen.outgoing(&self.action(step, data))?;
            let said = self.say(right, self.odd()).await;
            if !said.completed() {
                break;
            }
            done.push((step, data, said));
        }
        for (step, data, said) in done {
            let result = said.result();
            let undo = Line { undo: Some((1, &result)), ..self.action(step, data) };
            let undo = self.topic.specimen.outgoing(&undo)?;
            self.say(undo, self.odd()).await;
        }
        Some(())
    }

    async fn many(&mut self, step: &str) -> Option<()> {
        let right = self.right(step)?;
        let first = self.at_once(&right, Circumstance::AtOnce).await?;
        let result = first.result();
        let undo = self.undo_line(step, 1, &result);
        let undo = self.topic.specimen.outgoing(&undo)?;
        self.at_once(&undo, Circumstance::UndoAtOnce).await;
        Some(())
    }

    /// The copies' answers in the log, and one that says that it is done.
    async fn at_once(&mut self, right: &Outgoing, of: Circumstance) -> Option<Exchange> {
        let mut copies = JoinSet::new();
        for _ in 0..COPIES {
            let copy = Outgoing { another_sending_open: true, ..right.clone() };
            let participants = self.participants.clone();
            copies.spawn(async move { patiently(&participants, copy, of).await });
        }
        let said: Vec<Exchange> = copies.join_all().await.into_iter().flatten().collect();
        let done = said.iter().find(|said| said.completed()).cloned();
        self.log.extend(said);
        done
    }

    /// After what was no command the right one works, as if nothing had been; where what was wrong was
    /// carried out there is nothing more to see.
    async fn afterwards(&mut self, step: &str, odd: &Exchange) -> Option<()> {
        if odd.completed() {
            self.undo(step, 1, odd, Circumstance::GivenBack).await;
        } else if self.topic.whole {
            let right = self.say(self.right(step)?, Circumstance::Afterwards(self.talk)).await;
            self.undo(step, 1, &right, Circumstance::Undo).await;
        }
        Some(())
    }

    /// Gives back what was done.
    async fn undo(&mut self, step: &str, action_round: u16, done: &Exchange, of: Circumstance) {
        let result = done.result();
        let line = self.undo_line(step, action_round, &result);
        if done.completed()
            && let Some(undo) = self.topic.specimen.outgoing(&line)
        {
            self.say(undo, of).await;
        }
    }

    fn action<'l>(&'l self, step_name: &'l str, data: &'l Value) -> Line<'l> {
        Line { saga_id: self.topic.saga_id, step_name, round: 1, data, undo: None }
    }

    fn undo_line<'l>(
        &'l self,
        step_name: &'l str,
        action_round: u16,
        result: &'l Value,
    ) -> Line<'l> {
        Line { undo: Some((action_round, result)), ..self.action(step_name, &self.topic.data) }
    }

    fn right(&self, step: &str) -> Option<Outgoing> {
        self.topic.specimen.outgoing(&self.action(step, &self.topic.data))
    }

    fn odd(&self) -> Circumstance {
        Circumstance::Odd(self.talk)
    }

    /// Says it until it is no longer "not now"; what it came to at last.
    async fn say(&mut self, outgoing: Outgoing, of: Circumstance) -> Exchange {
        let said = patiently(self.participants, outgoing, of).await;
        self.log.extend(said);
        self.log[self.log.len() - 1].clone()
    }

    async fn say_with(
        &mut self,
        outgoing: Outgoing,
        of: Circumstance,
        alter: impl FnOnce(&mut Parts) + Send,
    ) -> Exchange {
        let said = self.participants.ask_altered(outgoing, of, alter).await;
        self.log.push(said.clone());
        said
    }
}

/// At least one exchange.
async fn patiently(
    participants: &Participants,
    outgoing: Outgoing,
    of: Circumstance,
) -> Vec<Exchange> {
    let mut said = vec![participants.ask(outgoing.clone(), of).await];
    while said.last().is_some_and(Exchange::not_now) && said.len() < TRIES_MAX as usize {
        tokio::time::sleep(PAUSE).await;
        said.push(participants.ask(outgoing.clone(), of).await);
    }
    said
}
