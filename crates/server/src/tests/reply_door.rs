//! The door for callbacks alone: what it hands on, and what it refuses in the server's words.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::bench::PATIENCE;
use crate::{Error, Posted, Refusal, ReplyDoor, ReplyTaker};
use amends_wire::{CommandId, Direction, REPLY_BYTES_MAX, SagaId, TokenKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Keeps what comes, and takes all of it but what names a step.
#[derive(Default)]
struct Desk(Mutex<Vec<Posted>>);

impl ReplyTaker for Desk {
    fn take(&self, posted: Posted) -> Result<(), Refusal> {
        let named = posted.reply.as_ref().is_ok_and(|reply| reply.step_name.is_some());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(posted);
        let refusal = Refusal { code: crate::Code::MadeUpReply, detail: "another step".to_owned() };
        if named { Err(refusal) } else { Ok(()) }
    }
}

fn key(byte: u8) -> TokenKey {
    TokenKey::new(&[byte; 32]).unwrap()
}

fn command() -> CommandId {
    let (step_name, direction) = ("pay".to_owned(), Direction::Action);
    CommandId { saga_id: SagaId(7), step_name, direction, round: 1 }
}

async fn ask(address: SocketAddr, method: &str, path: &str, kind: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: anything\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("an answer").unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_a_commands_address_is_handed_on_and_nothing_else() {
    let door = ReplyDoor::bind("127.0.0.1:0".parse().unwrap(), None, false).await.unwrap();
    let address = door.local_addr();
    let desk = Arc::new(Desk::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let taker = Arc::clone(&desk) as Arc<dyn ReplyTaker>;
    let running = tokio::spawn(door.run(key(1), taker, async { drop(stopped.await) }));

    let path = ReplyDoor::path(&key(1).issue(&command()));
    let forged = ReplyDoor::path(&key(2).issue(&command()));
    let done = r#"{"type": "SagaStepCompleted", "result": 1}"#;
    let other = r#"{"type": "SagaStepCompleted", "step_name": "ship"}"#;
    let large = format!("\"{}\"", "x".repeat(REPLY_BYTES_MAX));
    let json = "application/json";
    for (method, path, kind, body, status, words) in [
        ("POST", &*path, json, done, 202, "taken"),
        ("POST", &path, json, other, 404, "another step"),
        ("POST", &path, json, r#"{"type": "Done"}"#, 400, "the reply's type is Done"),
        ("POST", &path, json, "{", 400, "malformed_json"),
        ("POST", &path, "text/html", "<p>", 415, "application/json"),
        ("POST", &path, json, &large, 413, "too_large"),
        ("POST", &forged, json, done, 401, "not issued by this installation"),
        ("POST", "/v1/replies/x", json, done, 401, "holds no reply token"),
        ("POST", "/v1/replies", json, done, 404, "Amends-Reply-To"),
        ("GET", "/v1/sagas", json, "", 404, "Amends-Reply-To"),
        ("GET", &path, json, "", 405, "does not take GET"),
    ] {
        let answer = ask(address, method, path, kind, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {body:.40}: {answer}"
        );
        assert!(answer.contains(words), "{answer}");
    }
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, running).await.expect("it stops").unwrap();

    let handed = desk.0.lock().unwrap();
    let read: Vec<bool> = handed.iter().map(|posted| posted.reply.is_ok()).collect();
    assert_eq!(read, [true, true, false, false, false], "{handed:?}");
    assert!(handed.iter().all(|posted| posted.command == command()));
}

#[tokio::test]
async fn other_machines_are_not_listened_to_in_clear_unless_that_is_said() {
    let far: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let refused = ReplyDoor::bind(far, None, false).await;
    assert!(matches!(refused, Err(Error::NeedsTls { .. })), "{refused:?}");
    assert!(ReplyDoor::bind(far, None, true).await.is_ok());
}
