//! A participant that does nothing well, and quotes all that it was sent and knows.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::SECRET;

/// A running participant; its threads end with the test's process.
pub struct Echo {
    pub url: String,
    reply_tokens: Arc<Mutex<Vec<String>>>,
}

struct Asked {
    path: String,
    headers: String,
    reply_to: String,
    body: Value,
}

impl Echo {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reply_tokens: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&reply_tokens);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || converse(&stream, &seen));
            }
        });
        Self { url, reply_tokens }
    }

    /// The tokens of all the addresses that it could answer to.
    pub fn reply_tokens(&self) -> Vec<String> {
        self.reply_tokens.lock().unwrap().clone()
    }
}

fn converse(stream: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let asked = read(&mut reader)?;
        seen.lock().unwrap().extend(asked.reply_to.rsplit('/').next().map(str::to_owned));
        let (status, kind, text) = answer(&asked);
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        (&mut &*stream).write_all(head.as_bytes()).ok()?;
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut headers, mut reply_to, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "amends-reply-to" => reply_to = value.to_owned(),
            _ => {}
        }
        headers += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, headers, reply_to, body: serde_json::from_slice(&body).ok()? })
}

/// The card and the credentials first: much is cut off at some length.
fn quoted(asked: &Asked) -> String {
    let card = ["token", "card"].into_iter().find_map(|name| asked.body["data"][name].as_str());
    let (card, to) = (card.unwrap_or("-"), &asked.reply_to);
    format!("no: {card} signed with {SECRET}, for {to}, {} {}", asked.body, asked.headers)
}

fn answer(asked: &Asked) -> (u16, &'static str, String) {
    const JSON: &str = "application/json";
    let how = asked.body["data"]["how"].as_str().unwrap_or_default();
    let error = || json!({"code": format!("CARD_{}", quoted(asked)), "message": quoted(asked)});
    let is_undo = asked.body["direction"] == "compensation";
    match (asked.path.as_str(), how) {
        ("/Reserve", _) => (200, JSON, json!({"of": asked.body["data"]["card"]}).to_string()),
        (_, "breach") => (400, "text/plain", quoted(asked)),
        (_, "callback") => {
            let kind = if is_undo { "SagaCompensationFailed" } else { "SagaStepFailed" };
            let reply = json!({
                "type": kind, "saga_id": asked.body["saga_id"], "step_name": asked.body["step_name"],
                "error": error(),
            });
            let to = asked.reply_to.clone();
            std::thread::spawn(move || post(&to, &reply.to_string()));
            (202, JSON, String::new())
        }
        (_, _) if is_undo => (503, JSON, json!({"error": error()}).to_string()),
        (_, _) => (422, JSON, json!({"error": error()}).to_string()),
    }
}

fn post(to: &str, body: &str) -> Option<()> {
    let (host, path) = to.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(host).ok()?;
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.read_to_string(&mut String::new()).ok().map(drop)
}
