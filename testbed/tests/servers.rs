//! Servers start, are killed and start again on what they kept, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use amends_testbed::{
    Kind, Server, kafka, kafka_with_logins, kafka_with_tls, mariadb, nats, postgres, rabbitmq, sqs,
    sqs_with_logins,
};

fn is_reached(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Long, so that only what never happens fails.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn check_life(kind: Box<dyn Kind>) {
    let mut server = Server::start(kind).unwrap();
    let (port, url) = (server.port(), server.url());
    assert!(is_reached(port));
    server.kill().unwrap();
    assert!(!is_reached(port));
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    assert!(is_reached(port));
    assert!(server.start_again().is_err(), "one at a time");
    drop(server);
    assert!(!is_reached(port));
}

#[test]
fn a_postgres_lives_dies_and_lives_again() {
    check_life(postgres());
}

#[test]
fn a_mariadb_lives_dies_and_lives_again() {
    check_life(mariadb());
}

#[test]
fn a_nats_lives_dies_and_lives_again() {
    check_life(nats());
}

#[test]
fn a_rabbitmq_lives_dies_and_lives_again() {
    check_life(rabbitmq());
}

#[test]
fn a_kafka_lives_dies_and_lives_again() {
    check_life(kafka());
    check_life(kafka_with_logins());
    check_life(kafka_with_tls());
}

#[test]
fn a_server_that_speaks_sqs_lives_dies_and_lives_again() {
    check_life(sqs());
    check_life(sqs_with_logins());
}

#[test]
fn a_panic_ends_the_server() {
    let panicked = std::thread::spawn(|| {
        let server = Server::start(postgres()).unwrap();
        std::panic::panic_any(server.port());
    });
    let port = *panicked.join().unwrap_err().downcast::<u16>().unwrap();
    assert!(!is_reached(port));
}

/// The program, with a command that prints both URLs and the folder of its server, and waits.
fn program(command: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_amends-testbed"));
    program.args(["postgres", "mariadb", "--", "sh", "-c", command]);
    program
}

#[test]
fn the_command_finds_its_servers_and_its_exit_code_is_ours() {
    let script = "case $AMENDS_TEST_POSTGRES_URL,$AMENDS_TEST_MARIADB_URL in \
                  postgres://*@127.0.0.1:*/*,mysql://*@127.0.0.1:*/*) exit 7;; esac";
    assert_eq!(program(script).status().unwrap().code(), Some(7));
    assert_eq!(program("kill -9 $$").status().unwrap().code(), Some(137));
}

#[test]
fn the_command_kills_its_server_and_starts_it_again() {
    let script = "say() { exec 3<>/dev/tcp/${AMENDS_TEST_CONTROL/://}; echo $1 >&3; cat <&3; }
                  say 'kill nats'; say 'start nats'; say 'start nats'
                  say 'kill oracle'; say 'wake nats'; say kill";
    let mut program = Command::new(env!("CARGO_BIN_EXE_amends-testbed"));
    let output = program.args(["nats", "--", "bash", "-c", script]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = "done\ndone\nnats runs already: kill it first\nthere is no server oracle here\n\
                    wake is neither kill nor start\nsay `kill` or `start`, and which server\n";
    assert_eq!(said, expected);
}

#[test]
fn a_server_without_a_name_is_refused() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_amends-testbed"));
    let output = program.args(["oracle", "--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let names = "kafka, kafka_logins, mariadb, nats, postgres, rabbitmq, sqs, sqs_logins";
    assert!(error.contains(&format!("there are {names}")), "{error}");
}

#[test]
fn a_killed_parent_takes_the_servers_and_their_folders_along() {
    let mut child = program("echo $AMENDS_TEST_POSTGRES_URL; echo $AMENDS_TEST_MARIADB_URL; cat");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut port = || -> u16 {
        let url = lines.next().unwrap().unwrap();
        let after = url.rsplit(':').next().unwrap();
        after.split('/').next().unwrap().parse().unwrap()
    };
    let ports = [port(), port()];
    let folders: Vec<_> = ports.iter().map(|port| folder_of(*port)).collect();
    assert!(folders.iter().all(|folder| Path::new(folder).exists()), "{folders:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the servers end", || !ports.iter().any(|port| is_reached(*port)));
    eventually("the folders go", || !folders.iter().any(|folder| Path::new(folder).exists()));
}

/// The folder of the server that was started with this port.
fn folder_of(port: u16) -> String {
    let lines = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(line.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into()).collect())
    });
    let port_args = [port.to_string(), format!("--port={port}")];
    let args: Vec<String> = lines
        .filter(|args: &Vec<String>| args.iter().any(|arg| port_args.contains(arg)))
        .find(|args| args.iter().any(|arg| arg.ends_with("/data")))
        .expect("the server is among the processes");
    let data = args.iter().find(|arg| arg.ends_with("/data")).unwrap();
    data.trim_start_matches("--datadir=").trim_end_matches("/data").to_owned()
}
