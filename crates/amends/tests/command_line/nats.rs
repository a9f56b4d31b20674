//! What is reached over NATS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_nats::{Place, Server, connect};
use futures_util::future::BoxFuture;

use crate::broker::Nats;
use crate::brokers::{Reached, definition, over};

over!(Nats);

impl Reached for Nats {
    fn made(&self, short: &str) -> String {
        format!("made at NATS: stream {}", short.to_uppercase())
    }

    /// They lie in a stream of their own, each under its name.
    fn listener<'a>(&'a self, url: &'a str, short: &'a str) -> BoxFuture<'a, Arc<dyn Channel>> {
        Box::pin(async move {
            let stream = format!("{}_EVENTS", short.to_uppercase());
            let place = Place::new(stream, format!("{short}.events"), format!("{short}.events.>"));
            let connected = connect(&Server::new(url), place, End::Engine, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    }
}

/// A server at this address, with this file of credentials, that logs all it can.
fn serve(folder: &Path, name: &str, url: &str, credentials: &Path) -> crate::server::Server {
    let letter = folder.join("letter.yaml");
    fs::write(&letter, definition(&Nats)).unwrap();
    let more = ["--nats", url, "--nats-credentials", credentials.to_str().unwrap()];
    let more = [&more[..], &["--log", "trace"]].concat();
    crate::server::Server::start_with(&folder.join(name), &letter, &more)
}

/// Lines of these are nowhere in the log.
#[track_caller]
fn hides(server: &crate::server::Server, credentials: &Path) {
    let (log, text) = (server.log(), fs::read_to_string(credentials).unwrap());
    let secrets: Vec<_> =
        text.lines().filter(|line| line.len() > 20 && !line.contains("--")).collect();
    assert!(!secrets.is_empty(), "{text}");
    assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
}

/// The login comes from a file, and is nowhere in the log, however much is logged and whether it is taken or
/// not.
#[test]
fn a_login_comes_from_a_file_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::nats_with_logins()).expect("a NATS server starts");
    let stranger = broker.folder().join(testbed::NATS_STRANGER);
    let server = serve(folder.path(), "wrong", &broker.url(), &stranger);
    server.says("authorization violation");
    hides(&server, &stranger);
    drop(server);
    let owner = broker.folder().join(testbed::NATS_OWNER);
    let server = serve(folder.path(), "right", &broker.url(), &owner);
    server.says(&Nats.made("desk"));
    hides(&server, &owner);
}

/// Before anything is served, with what is wrong with it.
#[test]
fn a_file_of_credentials_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("owner.creds");
    let server = serve(folder.path(), "missing", "127.0.0.1:1", &file);
    server.says("owner.creds cannot be read");
    fs::write(&file, "-----BEGIN USER NKEY SEED-----\nSUAs3cr3ts3cr3ts3cr3ts3cr3t\n").unwrap();
    let server = serve(folder.path(), "bad", "127.0.0.1:1", &file);
    server.says("owner.creds is no file of credentials");
    hides(&server, &file);
}

/// Of two definitions one cannot see that another has its queue: the server can.
#[test]
fn a_queue_that_two_services_would_take_from_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = folder.path().join("definitions");
    fs::create_dir(&definitions).unwrap();
    fs::write(definitions.join("letter.yaml"), definition(&Nats)).unwrap();
    let another = definition(&Nats).replace("Letter", "Parcel").replace("Desk", "Counter");
    fs::write(definitions.join("parcel.yaml"), another).unwrap();
    let more = ["--nats", "127.0.0.1:1"];
    let server =
        crate::server::Server::start_with(&folder.path().join("data"), &definitions, &more);
    server.says("takes from desk.replies already");
}
