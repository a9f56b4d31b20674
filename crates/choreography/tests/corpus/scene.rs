//! One saga played by chance among its services, and written down as each of them saw it.

use amends_choreography::{
    Answered, Choreographed, InVain, LEFT_FOR, Moment, NotTaken, Reason, Record, SagaEvent,
    Service, Task,
};
use amends_core::definition::Kind;
use amends_core::{Millis, Time};
use amends_wire::{Direction, SagaId};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use crate::chance::Chance;

const SAGA: SagaId = SagaId(0x018f_0000_0000_7000_8000_0000_0000_0007);
const BEGUN_AT: Time = Time(1_700_000_000_000);

/// Whoever only listens, and may cancel.
const WATCHER: &str = "Watcher";

/// Long enough for a saga to end.
const MOVES: u64 = 260;

/// What one service took in.
pub(crate) struct Scene {
    plan: usize,
    service: String,
    moves: Vec<String>,
}

/// One thing that it took in, and what came of it.
#[derive(Serialize)]
struct Move {
    now: u64,
    /// Up to when what others said has been heard.
    heard: u64,
    jitter: u32,
    #[serde(rename = "do")]
    what: Box<RawValue>,
    /// What is published, as it travels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    says: Vec<Said>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_taken: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advance: Option<Followed>,
    state: &'static str,
    wakes_at: Option<u64>,
    /// Where it has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
}

/// What followed by itself.
#[derive(Serialize)]
struct Followed {
    late: Vec<String>,
    asks: Vec<Asked>,
}

#[derive(Serialize)]
struct Asked {
    step: String,
    direction: &'static str,
    attempt: u32,
    deadline: Option<u64>,
    body: Box<RawValue>,
}

#[derive(Clone, Serialize)]
struct Said {
    name: String,
    attributes: Json,
    body: Box<RawValue>,
}

impl Scene {
    pub(crate) fn text(&self) -> String {
        let (plan, service, moves) = (self.plan, &self.service, self.moves.join(",\n"));
        format!("{{\"plan\": {plan}, \"service\": \"{service}\", \"moves\": [\n{moves}\n]}}")
    }
}

/// A service, its record, what it has not read yet, and what is written down of it.
struct Player {
    service: Service,
    record: Record,
    unread: Vec<Said>,
    scene: Scene,
    written: String,
}

struct Stage {
    players: Vec<Player>,
    now: Time,
}

/// Plays a saga among its services and one that only listens, and gives the scene of one of them.
pub(crate) fn play(of: &Choreographed, plan: usize, data: &str, chance: &mut Chance) -> Scene {
    let names = of.services().into_iter().chain([WATCHER]);
    let player = |name: &str| Player {
        service: of.service(name),
        record: Record::new(of.clone(), SAGA),
        unread: Vec::new(),
        scene: Scene { plan, service: name.to_owned(), moves: Vec::new() },
        written: String::new(),
    };
    let mut stage = Stage { players: names.map(player).collect(), now: BEGUN_AT };
    let started = of.start(SAGA, WATCHER, data, BEGUN_AT).unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let traceparent = chance.percent(50).then_some(trace);
    stage.publish(&[SagaEvent { traceparent, ..started }]);
    if chance.percent(6) {
        let why = Reason::new("CANCELLED", "the customer \"rang\"\n");
        stage.publish(&[of.cancel(SAGA, WATCHER, why, BEGUN_AT)]);
    }
    for _ in 0..MOVES {
        stage.step(chance);
    }
    let one = chance.below(stage.players.len() as u64) as usize;
    stage.players.swap_remove(one).scene
}

impl Stage {
    fn publish(&mut self, events: &[SagaEvent]) -> Vec<Said> {
        let said: Vec<Said> = events.iter().map(said).collect();
        for player in &mut self.players {
            player.unread.extend(said.iter().cloned());
        }
        said
    }

    fn step(&mut self, chance: &mut Chance) {
        let at = chance.below(self.players.len() as u64) as usize;
        self.now = self.now + Millis(chance.below(600));
        // Now and then what others said is unread.
        let unread = if chance.percent(20) { chance.below(60_000) } else { 0 };
        let jitter = chance.below(1 << 32) as u32;
        let moment = Moment { at: self.now, heard: Time(self.now.0 - unread), jitter };
        let player = &mut self.players[at];
        let tasks = player.service.tasks(&player.record, self.now);
        let (what, came) = match chance.below(12) {
            0..=5 if !player.unread.is_empty() => player.hear(chance, moment),
            6..=9 if !tasks.is_empty() => {
                let task = tasks[chance.below(tasks.len() as u64) as usize];
                player.work(task, chance, moment)
            }
            10 if chance.percent(40) => {
                // Now and then a long time passes.
                self.now = self.now + Millis(chance.below(60_000));
                (json!({ "nothing": true }), Ok(Vec::new()))
            }
            11 if chance.percent(3) => {
                let why = Reason::new("CANCELLED", "by a person");
                let came = player.service.cancel(&mut player.record, why.clone(), moment.at);
                (json!({ "cancel": why }), came)
            }
            _ => return,
        };
        let moment = Moment { at: self.now, ..moment };
        self.finish(at, what, came, moment);
    }

    /// What follows by itself, and all of it written down.
    fn finish(
        &mut self,
        at: usize,
        what: Json,
        came: Result<Vec<SagaEvent>, NotTaken>,
        moment: Moment,
    ) {
        let Player { service, record, .. } = &mut self.players[at];
        let not_taken = came.as_ref().err().map(|why| match why {
            NotTaken::Foreign => "Foreign",
            NotTaken::NoStep => "NoStep",
            NotTaken::Contradicts => "Contradicts",
            NotTaken::NotOwed => "NotOwed",
            NotTaken::TooLate => "TooLate",
        });
        let mut events = came.unwrap_or_default();
        let advance = not_taken.is_none().then(|| {
            let advance = service.advance(record, moment);
            events.extend(advance.events);
            let name = |step| service.step_name(step).to_owned();
            let asked = |(task, body): &(Task, bytes::Bytes)| Asked {
                step: name(task.step),
                direction: task.direction.as_str(),
                attempt: task.attempt,
                deadline: task.deadline.map(|at| at.0),
                body: raw(std::str::from_utf8(body).unwrap()),
            };
            let asks = advance.asks.iter().map(asked).collect();
            Followed { late: advance.late.into_iter().map(name).collect(), asks }
        });
        let (state, text) = (record.state().as_str(), record.to_json());
        let wakes_at = service.wakes_at(record, moment.at).map(|at| at.0);
        let says = self.publish(&events);
        let one = Move {
            now: moment.at.0,
            heard: moment.heard.0,
            jitter: moment.jitter,
            what: raw(&what.to_string()),
            says,
            not_taken,
            advance,
            state,
            wakes_at,
            record: (self.players[at].written != text).then(|| raw(&text)),
        };
        self.players[at].written = text;
        self.players[at].scene.moves.push(serde_json::to_string(&one).unwrap());
    }
}

type Came = (Json, Result<Vec<SagaEvent>, NotTaken>);

impl Player {
    fn hear(&mut self, chance: &mut Chance, now: Moment) -> Came {
        let which = chance.below(self.unread.len() as u64) as usize;
        // Brought once more later, perhaps.
        let heard = if chance.percent(15) {
            self.unread[which].clone()
        } else {
            self.unread.swap_remove(which)
        };
        let mut body: Json = serde_json::from_str(heard.body.get()).unwrap();
        // What cannot be true, and what nobody knows.
        match chance.below(120) {
            0 => body["said"] = json!("never_ran"),
            1 => body["step_name"] = json!("no_such_step"),
            2 => body["definition_hash"] = json!("0".repeat(64)),
            3 => body["said"] = json!("compensated"),
            _ => {}
        }
        let changed = serde_json::to_string(&body).unwrap();
        let same = serde_json::from_str::<Json>(heard.body.get()).unwrap() == body;
        let body = if same { heard.body.get().to_owned() } else { changed };
        let headers = Attributes(&heard.attributes);
        let what = json!({ "hear": { "attributes": &heard.attributes, "body": &body } });
        match SagaEvent::read(&headers, &body.into()) {
            Ok(event) => (what, self.service.hear(&mut self.record, &event, now.at)),
            Err(_) => (json!({ "nothing": true }), Ok(Vec::new())),
        }
    }

    fn work(&mut self, task: Task, chance: &mut Chance, now: Moment) -> Came {
        let name = self.service.step_name(task.step).to_owned();
        let record = &mut self.record;
        let direction = task.direction.as_str();
        let of_step = self.service.of().choreography().definition().step(task.step);
        let is_retried = of_step.kind == Kind::Retriable;
        if chance.percent(25) {
            let not_before = chance.percent(30).then(|| Millis(chance.below(9_000)));
            let why = Reason::new("LOCKED", "not now");
            let what = json!({ "in_vain": { "step": name, "why": why,
                "not_before": not_before.map(|ms| ms.0), "is_known": chance.percent(80),
                "asked": chance.percent(70) } });
            let is_known = what["in_vain"]["is_known"] == true;
            let asked = what["in_vain"]["asked"] == true;
            let in_vain = InVain { why, not_before, is_known, asked };
            return (what, self.service.tried(record, task.step, in_vain, now));
        }
        if chance.percent(5) {
            let until = now.at + self.service.timeout(task.step, task.direction) + LEFT_FOR;
            let begun = self.service.begin(record, task, now.at).map(|()| Vec::new());
            let begin = json!({ "step": name, "direction": direction, "until": until.0 });
            return (json!({ "begin": begin }), begun);
        }
        let (answer, answered) = match task.direction {
            Direction::Compensation => (json!("undone"), Answered::Undone),
            Direction::Action if chance.percent(if is_retried { 50 } else { 12 }) => {
                let why = Reason::new("NO", "it cannot be");
                (json!({ "refused": why }), Answered::Refused(why))
            }
            Direction::Action => {
                let result = format!("{{\"ref\":\"{name}-1\",\"n\":1.50}}");
                (json!({ "completed": result }), Answered::Completed(raw(&result)))
            }
        };
        let what = json!({ "answered": { "step": name, "direction": direction, "with": answer } });
        (what, self.service.answered(record, task.step, answered, now))
    }
}

struct Attributes<'a>(&'a Json);

impl amends_wire::Headers for Attributes<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name.strip_prefix("ce-").unwrap_or(name))?.as_str()
    }
}

fn said(event: &SagaEvent) -> Said {
    let message = event.message();
    let attributes = message.attributes.iter().map(|(name, value)| (name.clone(), json!(value)));
    Said {
        name: message.name.clone(),
        attributes: Json::Object(attributes.collect()),
        body: raw(std::str::from_utf8(&message.body).unwrap()),
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}
