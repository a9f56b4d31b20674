//! A participant that keeps every rule, or breaks one on purpose.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

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
    books: Mutex<Books>,
    arrived: Condvar,
}

#[derive(Default)]
struct Books {
    effects: u32,
    /// By idempotency key.
    answers: HashMap<String, (u16, Value)>,
    /// By saga and step.
    done: HashSet<String>,
    undone: HashSet<String>,
    tombstones: HashSet<String>,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let desk = Arc::new(Desk {
            address,
            open: Mutex::new(Some(Vec::new())),
            breaks,
            fence,
            manner,
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
            let (mut length, mut attempt, mut reply_to) = (0, 1, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let Some((name, value)) = line.trim().split_once(':') else { break };
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().ok()?,
                    "amends-attempt" => attempt = value.trim().parse().ok()?,
                    "amends-reply-to" => reply_to = value.trim().to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, text, kind) = self.answer(&path, attempt, &reply_to, &body);
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
        attempt: u32,
        reply_to: &str,
        body: &[u8],
    ) -> (u16, String, &'static str) {
        const JSON: &str = "application/json";
        if !["/Do", "/Undo"].contains(&path) {
            let is_ok = [Breaks::UnknownCommand, Breaks::StopsAtRepeat].contains(&self.breaks);
            return (if is_ok { 200 } else { 404 }, "{}".to_owned(), JSON);
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            let status = if self.breaks == Breaks::Garbage { 500 } else { 400 };
            return (status, "no JSON".to_owned(), "text/plain");
        };
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
        let step = step_of(body);
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
        books.answers.insert(key, answer.clone());
        answer
    }

    fn undo(&self, attempt: u32, body: &Value) -> (u16, Value) {
        let key = body["idempotency_key"].as_str().unwrap().to_owned();
        let step = step_of(body);
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
        let ran = books.done.contains(&step);
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

    fn wait_for_twin<'b>(
        &'b self,
        books: std::sync::MutexGuard<'b, Books>,
        key: &str,
    ) -> std::sync::MutexGuard<'b, Books> {
        let alone = |books: &mut Books| books.copies.get(key).is_none_or(|&copies| copies < 2);
        self.arrived.wait_timeout_while(books, TWIN_WITHIN, alone).unwrap().0
    }
}

fn step_of(body: &Value) -> String {
    format!("{}/{}", body["saga_id"], body["step_name"])
}

fn failure(code: &str) -> Value {
    json!({"error": {"code": code, "message": "no"}})
}
