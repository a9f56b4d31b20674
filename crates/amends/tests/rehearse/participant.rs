//! A participant that keeps every rule, or breaks one on purpose.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use amends_wire::signature::Secret;
use serde_json::{Value, json};

use crate::breach::{Breach, breach};
use crate::manner::{Manner, call_back};

/// The rule that is broken on purpose, by its name in the report; `None` keeps all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    Nothing,
    Answers,
    Repeat,
    AtOnce,
    Refusal,
    Undo,
    UndoByRefusing,
    BlindUndo,
    UndoRepeat,
    UndoAtOnce,
    UndoFirst,
    Tombstone,
    SecondRound,
    AfterUndo,
    UnknownCommand,
    Garbage,
    /// What is no command: it is carried out, or what is said.
    Breach(Breach),
    /// `ForeignCommand`: its key is then known as a wrong one.
    HoldsAgainst,
    KeyReused,
    KeyReusedByRefusing,
    WrongTypes,
    Additions,
    NewRound,
    /// `OtherSteps`: the runs of a list are one.
    OtherSteps,
    /// `OtherSteps`: names that differ in case are one.
    OtherStepsByCase,
    /// No rule: it acknowledges undos without a word on what it has undone.
    Unsaid,
    /// No rule: its process ends at the first command.
    StopsAtOnce,
    /// Its process ends at a repeated action; `UnknownCommand` is broken before that.
    StopsAtRepeat,
}

/// Whether an undo of nothing leaves a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    Barrier,
    Settle,
}

/// How long a participant that cannot tell two copies at once waits for the second.
const TWIN_WITHIN: Duration = Duration::from_secs(3);

/// What it reads of a body at most.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long a participant is at work that answers all copies by one callback.
const AT_WORK: Duration = Duration::from_millis(50);

/// How long a slow one is at work: several times what the engine waits for a command held back.
const SLOW: Duration = Duration::from_millis(1_200);

/// A running participant; its thread ends with the test's process.
pub struct Participant {
    pub url: String,
}

struct Desk {
    address: SocketAddr,
    /// The conversations that are open; none where the process has ended.
    open: Mutex<Option<Vec<TcpStream>>>,
    breaks: Breaks,
    fence: Fence,
    manner: Manner,
    /// Commands are signed with it, where there is one.
    secret: Option<Secret>,
    books: Mutex<Books>,
    arrived: Condvar,
}

#[derive(Default)]
struct Books {
    effects: u32,
    /// By idempotency key.
    bodies: HashMap<String, Value>,
    answers: HashMap<String, (u16, Value)>,
    /// By saga and step.
    done: HashSet<String>,
    undone: HashSet<String>,
    tombstones: HashSet<String>,
    refusals: HashMap<String, (u16, Value)>,
    first_undo: HashMap<String, (u16, Value)>,
    /// The keys that are at work, and will be answered.
    at_work: HashSet<String>,
    /// How many copies of a key have arrived.
    copies: HashMap<String, u32>,
}

impl Participant {
    pub fn start(fence: Fence, breaks: Breaks) -> Self {
        Self::answering(Manner::Exchange, fence, breaks)
    }

    /// The same, in a manner of its own.
    pub fn answering(manner: Manner, fence: Fence, breaks: Breaks) -> Self {
        Self::with(manner, fence, breaks, None)
    }

    /// One whose commands are signed.
    pub fn signed(breaks: Breaks, secret: &str) -> Self {
        Self::with(Manner::Exchange, Fence::Barrier, breaks, Some(Secret::new(secret).unwrap()))
    }

    fn with(manner: Manner, fence: Fence, breaks: Breaks, secret: Option<Secret>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Desk {
            address,
            open: Mutex::new(Some(Vec::new())),
            breaks,
            fence,
            manner,
            secret,
            books: Mutex::default(),
            arrived: Condvar::new(),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match &mut *desk.open.lock().unwrap() {
                    Some(open) => open.push(stream.try_clone().unwrap()),
                    None => break,
                }
                let desk = Arc::clone(&desk);
                std::thread::spawn(move || desk.converse(&stream));
            }
        });
        Self { url: format!("http://{address}") }
    }
}

impl Desk {
    fn converse(self: &Arc<Self>, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
            let path = line.split(' ').nth(1)?.to_owned();
            let mut headers = HashMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let Some((name, value)) = line.trim().split_once(':') else { break };
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            let length: usize = headers.get("content-length")?.parse().ok()?;
            if length > BODY_BYTES_MAX && self.breaks != Breaks::Breach(Breach::TooLarge) {
                (&mut &*stream).write_all(b"HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n").ok()?;
                return stream.shutdown(Shutdown::Both).ok();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, text, kind) = self.answer(&path, &headers, &body);
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            (&mut &*stream).write_all(head.as_bytes()).ok()?;
        }
    }

    fn answer(
        self: &Arc<Self>,
        path: &str,
        headers: &HashMap<String, String>,
        raw: &[u8],
    ) -> (u16, String, &'static str) {
        const JSON: &str = "application/json";
        const TEXT: &str = "text/plain";
        let body = serde_json::from_slice::<Value>(raw).ok();
        if !["/Do", "/Undo"].contains(&path) {
            let is_undo = body.is_some_and(|body| body["direction"] == "compensation");
            return match self.breaks {
                Breaks::UnknownCommand | Breaks::StopsAtRepeat if !is_undo => {
                    (200, "{}".to_owned(), JSON)
                }
                Breaks::Breach(Breach::UnknownUndo) => (404, "{}".to_owned(), JSON),
                _ => (404, "no such command".to_owned(), TEXT),
            };
        }
        let Some(body) = body else {
            let status = if self.breaks == Breaks::Garbage { 500 } else { 400 };
            return (status, "no JSON".to_owned(), TEXT);
        };
        if let Some(what) = breach(self.secret.as_ref(), headers, raw, &body) {
            return match self.breaks {
                Breaks::Breach(broken) if broken == what => {
                    (200, json!({"id": 0}).to_string(), JSON)
                }
                _ => {
                    let key = body["idempotency_key"].as_str().unwrap_or_default().to_owned();
                    if (self.breaks, what) == (Breaks::HoldsAgainst, Breach::ForeignCommand) {
                        self.books.lock().unwrap().bodies.insert(key, Value::Null);
                    }
                    let status = if what.is_of_signature() { 401 } else { 400 };
                    (status, format!("{what:?}"), TEXT)
                }
            };
        }
        if let Some(answer) = self.known_by_other_bytes(&body) {
            return (answer.0, answer.1.to_string(), JSON);
        }
        let attempt = headers.get("amends-attempt").and_then(|n| n.parse().ok()).unwrap_or(1);
        let reply_to = headers.get("amends-reply-to").map_or("", String::as_str);
        if self.stops_at(path, &body) {
            self.stop();
        }
        if self.manner.is_later(path) {
            self.later(path, attempt, reply_to, body);
            return (202, String::new(), JSON);
        }
        let (status, answer) = self.carry_out(path, attempt, &body);
        if self.manner == Manner::Both {
            call_back(self.manner, reply_to, path, &body, &(status, answer.clone()));
        }
        match answer {
            Value::String(text) => (status, text, "text/html"),
            answer => (status, answer.to_string(), JSON),
        }
    }

    /// A key that came with another body.
    fn known_by_other_bytes(&self, body: &Value) -> Option<(u16, Value)> {
        let key = body["idempotency_key"].as_str().unwrap().to_owned();
        let mut books = self.books.lock().unwrap();
        if books.bodies.entry(key).or_insert_with(|| body.clone()) == body {
            return None;
        }
        books.effects += 1;
        Some(match self.breaks {
            Breaks::KeyReused => (200, json!({"id": books.effects})),
            Breaks::KeyReusedByRefusing => (409, failure("KEY_REUSED")),
            _ => (400, failure("KEY_REUSED")),
        })
    }

    fn stops_at(&self, path: &str, body: &Value) -> bool {
        let key = body["idempotency_key"].as_str().unwrap();
        match self.breaks {
            Breaks::StopsAtOnce => true,
            Breaks::StopsAtRepeat => {
                path == "/Do" && self.books.lock().unwrap().answers.contains_key(key)
            }
            _ => false,
        }
    }

    /// As the system leaves a process that has ended: nobody listens, and every connection is broken
    /// off.
    fn stop(&self) {
        let Some(open) = self.open.lock().unwrap().take() else { return };
        // Whoever listens hears of it by a last connection, and then there is none.
        while TcpStream::connect(self.address).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        open.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// Carries out what was accepted, and brings the answer.
    fn later(self: &Arc<Self>, path: &str, attempt: u32, reply_to: &str, body: Value) {
        let key = body["idempotency_key"].as_str().unwrap().to_owned();
        let silent = match self.manner {
            Manner::Never => true,
            Manner::Forgetful => self.books.lock().unwrap().answers.contains_key(&key),
            // The one that is at work answers for both.
            Manner::Once => !self.books.lock().unwrap().at_work.insert(key.clone()),
            _ => false,
        };
        if silent {
            return;
        }
        let (desk, path, to) = (Arc::clone(self), path.to_owned(), reply_to.to_owned());
        let bring = move || {
            if desk.manner == Manner::Slow {
                std::thread::sleep(SLOW);
            }
            let answer = desk.carry_out(&path, attempt, &body);
            if desk.manner == Manner::Once {
                std::thread::sleep(AT_WORK);
                desk.books.lock().unwrap().at_work.remove(&key);
            }
            call_back(desk.manner, &to, &path, &body, &answer);
        };
        match self.manner {
            Manner::Early => bring(),
            _ => drop(std::thread::spawn(bring)),
        }
    }

    fn carry_out(&self, path: &str, attempt: u32, body: &Value) -> (u16, Value) {
        match path {
            "/Do" => self.action(attempt, body),
            _ => self.undo(attempt, body),
        }
    }

    fn action(&self, attempt: u32, body: &Value) -> (u16, Value) {
        let key = body["idempotency_key"].as_str().unwrap().to_owned();
        let step = self.step_of(body);
        let mut books = self.books.lock().unwrap();
        *books.copies.entry(key.clone()).or_default() += 1;
        self.arrived.notify_all();
        if self.breaks == Breaks::AtOnce && !books.answers.contains_key(&key) {
            // Looks first, and acts later: who comes in between looks in vain, too.
            books = self.wait_for_twin(books, &key);
            books.effects += 1;
            books.done.insert(step);
            let answer = (200, json!({"id": books.effects}));
            books.answers.entry(key).or_insert_with(|| answer.clone());
            return answer;
        }
        if let Some(answer) = books.answers.get(&key).cloned() {
            let anew = match self.breaks {
                Breaks::Repeat => attempt > 1 && !books.undone.contains(&step),
                Breaks::AfterUndo => books.undone.contains(&step),
                Breaks::Refusal => answer.0 == 422,
                _ => false,
            };
            if !anew {
                return answer;
            }
        }
        let answer = match () {
            () if books.tombstones.contains(&step) => (409, failure("UNDONE")),
            () if self.breaks == Breaks::NewRound && books.refusals.contains_key(&step) => {
                books.refusals[&step].clone()
            }
            () if self.breaks == Breaks::Additions && has_additions(body) => {
                (422, failure("UNKNOWN_FIELD"))
            }
            () if !body["pair_id"].is_string() => match self.breaks {
                Breaks::WrongTypes => return (500, failure("TypeError")),
                _ => (422, failure("BAD_DATA")),
            },
            () if body["bad_at"] == body["step_name"] && !books.answers.contains_key(&key) => {
                (422, failure("NO_CARD"))
            }
            () if self.breaks == Breaks::Answers => (200, json!("<html>thanks</html>")),
            () => {
                books.effects += 1;
                books.done.insert(step);
                (200, json!({"id": books.effects}))
            }
        };
        if answer.0 == 422 {
            books.refusals.insert(self.step_of(body), answer.clone());
        }
        books.answers.insert(key, answer.clone());
        answer
    }

    fn undo(&self, attempt: u32, body: &Value) -> (u16, Value) {
        let key = body["idempotency_key"].as_str().unwrap().to_owned();
        let step = self.step_of(body);
        let mut books = self.books.lock().unwrap();
        *books.copies.entry(key.clone()).or_default() += 1;
        self.arrived.notify_all();
        let nothing = || match self.breaks {
            Breaks::Unsaid => (200, json!({})),
            _ => (200, json!({"undone": false})),
        };
        if self.breaks == Breaks::UndoAtOnce && !books.answers.contains_key(&key) {
            books = self.wait_for_twin(books, &key);
            let second = books.answers.contains_key(&key);
            if second {
                return nothing();
            }
        }
        if let Some(answer) = books.answers.get(&key).cloned() {
            let forgot = self.breaks == Breaks::UndoRepeat && attempt > 1;
            return if forgot { nothing() } else { answer };
        }
        if let (Breaks::SecondRound, Some(first)) = (self.breaks, books.first_undo.get(&step)) {
            return first.clone();
        }
        let blind = body["outcome"] == "unknown";
        let is_one = matches!(self.breaks, Breaks::OtherSteps | Breaks::OtherStepsByCase);
        let ran = books.done.contains(&step) && !(is_one && books.undone.contains(&step));
        let answer = match self.breaks {
            Breaks::Undo if ran && !blind => nothing(),
            Breaks::BlindUndo if ran && blind => nothing(),
            Breaks::UndoByRefusing if ran && !blind => return (409, failure("TOO_LATE")),
            Breaks::UndoFirst if !ran => return (422, failure("NOT_FOUND")),
            _ if ran => {
                books.undone.insert(step.clone());
                (
                    200,
                    if self.breaks == Breaks::Unsaid { json!({}) } else { json!({"undone": true}) },
                )
            }
            Breaks::Tombstone => nothing(),
            _ => {
                if self.fence == Fence::Barrier {
                    books.tombstones.insert(step.clone());
                }
                nothing()
            }
        };
        books.first_undo.entry(step).or_insert_with(|| answer.clone());
        books.answers.insert(key, answer.clone());
        answer
    }

    /// By what this service knows a step.
    fn step_of(&self, body: &Value) -> String {
        let step = body["step_name"].as_str().unwrap();
        let step = match self.breaks {
            Breaks::OtherSteps => step.split('.').next().unwrap().to_owned(),
            Breaks::OtherStepsByCase => step.to_ascii_lowercase(),
            _ => step.to_owned(),
        };
        format!("{}/{step}", body["saga_id"])
    }

    fn wait_for_twin<'b>(
        &'b self,
        books: std::sync::MutexGuard<'b, Books>,
        key: &str,
    ) -> std::sync::MutexGuard<'b, Books> {
        let alone = |books: &mut Books| books.copies.get(key).is_none_or(|&copies| copies < 2);
        self.arrived.wait_timeout_while(books, TWIN_WITHIN, alone).unwrap().0
    }
}

/// Is there a field that neither the protocol nor this service's data has?
fn has_additions(body: &Value) -> bool {
    let known = |name: &str| FIELDS.contains(&name) || UNDO_FIELDS.contains(&name);
    body.as_object().unwrap().keys().any(|name| !known(name))
}

/// The fields of an action.
const FIELDS: [&str; 9] = [
    "saga_id",
    "saga_type",
    "step_name",
    "direction",
    "command",
    "idempotency_key",
    "data",
    "pair_id",
    "bad_at",
];

/// What an undo has besides.
const UNDO_FIELDS: [&str; 3] = ["action_key", "outcome", "original_result"];

fn failure(code: &str) -> Value {
    json!({"error": {"code": code, "message": "no"}})
}
