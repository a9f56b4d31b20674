//! A server that is told to say all that it knows, with participants that quote all that they were sent:
//! what a definition redacts and the credentials are in nothing that comes out (S24), and a server that lets
//! one of them out by mistake is seen.

mod echo;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amends_wire::mutant::Mutant;
use serde_json::{Value, json};

use crate::server::Server;
use echo::Echo;

/// What is redacted: the card of each saga begins like this.
const CARD: &str = "tok-7f3a9c-marker";

/// What the commands are signed with; the participant knows it, too.
pub const SECRET: &str = "whsec_bWFya2VyLWQ5MWU0LW1hcmtlci1kOTFlNC1tYXJrZXI=";

/// The same without what says that it is one.
const SECRET_ENCODED: &str = "bWFya2VyLWQ5MWU0LW1hcmtlci1kOTFlNC1tYXJrZXI";

/// A password where none may stand.
const PASSWORD: &str = "pw-55aa01-marker";

const ROLES: [&str; 5] = ["viewer", "starter", "participant", "operator", "admin"];

/// Below operator.
const LOW: [&str; 3] = ["viewer", "starter", "participant"];

const DEFINITIONS: [(&str, &str); 2] = [
    (
        "leaky.yaml",
        r#"
saga: Leaky
business_key: "${ data.card }"
data: { schema: ./schemas/leaky.json }
defaults:
  timeout: 1s
  deadline: 2s
  undo_policy: { timeout: 1s, retry: { max_attempts: 1 } }
steps:
  - { name: reserve, action: Echo.Reserve, compensation: Echo.Release }
  - name: pay
    action: Echo.Pay
    compensation: Echo.Refund
    input: { token: "${ data.card }", how: "${ data.how }" }
    redact: [token]
services:
  Echo: { fence: barrier, http: { url: "${ env.MARKED_URL }", secret: env.MARKED_SECRET } }
"#,
    ),
    (
        "misbound.yaml",
        r#"
saga: Misbound
steps:
  - { name: go, action: Closed.Go, compensation: none }
services:
  Closed: { http: { url: "${ env.MARKED_CLOSED }" } }
"#,
    ),
];

const SCHEMA: &str =
    r#"{ "type": "object", "properties": { "card": { "type": "string", "maxLength": 40 } } }"#;

fn token(role: &str) -> String {
    format!("api-3c1b77-marker-{role}")
}

/// A server that logs all in this format, and makes this mistake.
fn serve(folder: &Path, echo: &Echo, format: &str, mistake: &str) -> Server {
    let (definitions, tokens) = (folder.join("definitions"), folder.join("tokens.toml"));
    fs::create_dir_all(definitions.join("schemas")).unwrap();
    for (name, text) in DEFINITIONS.into_iter().chain([("schemas/leaky.json", SCHEMA)]) {
        fs::write(definitions.join(name), text).unwrap();
    }
    let tables = ROLES.map(|role| {
        let services = if role == "participant" { "services = ['Echo']\n" } else { "" };
        format!(
            "[[token]]\nname = '{role}'\ntoken = '{}'\nrole = '{role}'\n{services}",
            token(role)
        )
    });
    fs::write(&tokens, tables.concat()).unwrap();
    let more = ["--log", "trace", "--log-format", format, "--allow-env", "MARKED_*", "--tokens"];
    let more = [&more[..], &[tokens.to_str().unwrap()]].concat();
    let closed = format!("http://user:{PASSWORD}@127.0.0.1:9");
    let env = [
        ("MARKED_URL", &*echo.url),
        ("MARKED_SECRET", SECRET),
        ("MARKED_CLOSED", &closed),
        ("AMENDS_MISTAKE", mistake),
    ];
    Server::start_in(&env, &folder.join("data"), &definitions, &more)
}

/// One exchange with the server, as it comes over the line.
fn ask(server: &Server, role: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = open(server, role, method, path, body);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

fn open(server: &Server, role: &str, method: &str, path: &str, body: &str) -> TcpStream {
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let (token, length) = (token(role), body.len());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: \
         close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// What a stream of events says, as it comes.
fn events(server: &Server, role: &str) -> Arc<Mutex<Vec<u8>>> {
    let (mut stream, said) = (open(server, role, "GET", "/v1/events", ""), Arc::default());
    let heard: Arc<Mutex<Vec<u8>>> = Arc::clone(&said);
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            heard.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
    });
    said
}

/// However busy the machine.
const WITHIN: Duration = Duration::from_secs(60);

#[track_caller]
fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < WITHIN, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn body_of(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// All that is in a folder.
fn bytes_in(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let each = entries.map(|path| match path.is_dir() {
        true => bytes_in(&path),
        false => fs::read(&path).unwrap(),
    });
    each.collect::<Vec<_>>().concat()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
}

/// What should not have been there, and where.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    /// None of these should be in it.
    fn look(&mut self, place: &str, said: &[u8], hidden: &[String]) {
        let there = hidden.iter().filter(|text| holds(said, text));
        self.0.extend(there.map(|text| format!("{place} has {text}")));
    }
}

/// All that a server lets out that logs in this format and makes this mistake, or none.
fn comes_out(format: &str, mistake: &str) -> Vec<String> {
    let mut seen = Seen::default();
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start();
    let server = serve(folder.path(), &echo, format, mistake);
    let heard = events(&server, "viewer");
    wait_for("the stream", || heard.lock().unwrap().starts_with(b"HTTP/1.1 200"));

    // Refused with all of it quoted, in the exchange, outside of the protocol, and by callback.
    let mut answers = Vec::new();
    let mut sagas = Vec::new();
    for how in ["refuse", "breach", "callback"] {
        let data = json!({"card": format!("{CARD}-{how}"), "how": how}).to_string();
        let started = ask(&server, "starter", "POST", "/v1/sagas/Leaky", &data);
        sagas.push(body_of(&started)["saga_id"].as_str().unwrap().to_owned());
        answers.push(("a start".to_owned(), started));
    }
    let misbound = ask(&server, "starter", "POST", "/v1/sagas/Misbound", "{}");
    answers.push(("a start".to_owned(), misbound));
    for saga in &sagas {
        wait_for("an undo that failed", || {
            let saga = ask(&server, "operator", "GET", &format!("/v1/sagas/{saga}"), "");
            saga.contains("compensation_failed")
        });
    }
    // What a person writes, and what is not understood.
    let why = json!({"reason": format!("{CARD}-refuse called")}).to_string();
    ask(&server, "operator", "POST", &format!("/v1/sagas/{}/pause", sagas[0]), &why);
    for wrong in [
        json!({"card": format!("{CARD}-{}", "x".repeat(40))}).to_string(),
        format!("{{\"card\": \"{CARD}"),
    ] {
        let refused = ask(&server, "starter", "POST", "/v1/sagas/Leaky", &wrong);
        assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
        answers.push(("a start that is refused".to_owned(), refused));
    }
    let forged = json!({"type": "SagaStepCompleted", "saga_id": sagas[0], "step_name": "pay", "result": CARD});
    let forged = ask(&server, "participant", "POST", "/v1/replies/forged", &forged.to_string());
    answers.push(("a forged reply".to_owned(), forged));

    // All that anybody may read.
    let mut paths = vec![
        "/v1/sagas".to_owned(),
        "/v1/dead-letters".to_owned(),
        "/v1/attention".to_owned(),
        "/v1/definitions".to_owned(),
        "/v1/definitions/Leaky".to_owned(),
        "/v1/definitions/Misbound".to_owned(),
        "/v1/orphans".to_owned(),
        "/v1/audit".to_owned(),
        "/metrics".to_owned(),
        "/healthz".to_owned(),
        "/readyz".to_owned(),
        "/openapi.json".to_owned(),
        "/".to_owned(),
    ];
    for saga in &sagas {
        paths.extend([format!("/v1/sagas/{saga}"), format!("/v1/sagas/{saga}/history")]);
    }
    let mut credentials = vec![SECRET.to_owned(), SECRET_ENCODED.to_owned(), PASSWORD.to_owned()];
    credentials.extend(ROLES.map(token));
    credentials.extend(echo.reply_tokens());
    assert!(credentials.len() > 3 + ROLES.len(), "the participant was given reply addresses");
    let all: Vec<String> = credentials.iter().cloned().chain([CARD.to_owned()]).collect();
    for path in &paths {
        for role in ROLES {
            let answer = ask(&server, role, "GET", path, "");
            let hidden = if LOW.contains(&role) { &all } else { &credentials };
            seen.look(&format!("{path} as {role}"), answer.as_bytes(), hidden);
        }
    }
    for (place, answer) in &answers {
        seen.look(place, answer.as_bytes(), &all);
    }
    wait_for("an event of each saga", || {
        let heard = heard.lock().unwrap();
        sagas.iter().all(|saga| holds(&heard, saga)) && holds(&heard, "event: attention")
    });
    seen.look("the stream of events", &heard.lock().unwrap(), &all);
    let log = server.log();
    assert!(sagas.iter().all(|saga| log.contains(saga)), "the log has the sagas: {log}");
    assert!(log.contains("Closed"), "the log has the service without an address: {log}");
    seen.look("the log", log.as_bytes(), &all);

    // What is stored: an operator sees the card, so it is there; no credential is.
    let shown = ask(&server, "operator", "GET", &format!("/v1/sagas/{}", sagas[0]), "");
    assert!(shown.contains(&format!("no: {CARD}-refuse")), "{shown}");
    assert_eq!(server.terminate(), Some(0));
    let stored = bytes_in(&folder.path().join("data"));
    assert!(holds(&stored, CARD), "what is stored can be searched");
    seen.look("the data folder", &stored, &credentials);
    seen.look("the log to its end", &fs::read(folder.path().join("data.log")).unwrap(), &all);
    seen.0
}

#[test]
fn no_secret_comes_out_of_a_server_that_logs_all_in_json() {
    assert_eq!(comes_out("json", ""), [""; 0]);
}

#[test]
fn no_secret_comes_out_of_a_server_that_logs_all_as_text() {
    assert_eq!(comes_out("text", ""), [""; 0]);
}

/// Each mistake, and the places where it shows.
const MISTAKES: [(Mutant, &str); 7] = [
    (Mutant::KeepsEchoes, "the data folder"),
    (Mutant::KeepsQuotes, "the data folder"),
    (Mutant::ForgetsSigningSecrets, "/history as"),
    (Mutant::ShowsRedacted, "as viewer"),
    (Mutant::LogsStarts, "the log"),
    (Mutant::MetersKeys, "/metrics as"),
    (Mutant::NamesListeners, "the stream of events"),
];

#[test]
fn every_mistake_that_lets_a_secret_out_is_seen() {
    // All at once: each waits for time-outs, mostly.
    std::thread::scope(|scope| {
        let seen = MISTAKES.map(|(mistake, place)| {
            (mistake, place, scope.spawn(move || comes_out("json", &format!("{mistake:?}"))))
        });
        for (mistake, place, seen) in seen {
            let seen = seen.join().unwrap();
            assert!(seen.iter().any(|what| what.contains(place)), "{mistake:?}: {seen:#?}");
        }
    });
}
