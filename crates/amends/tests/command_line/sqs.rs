//! What is reached over Amazon SQS, which is something else here that speaks as it does.

use std::fs;
use std::sync::Arc;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_sqs::{Place, Server, connect};
use futures_util::future::BoxFuture;

use crate::broker::{Broker, Sqs};
use crate::brokers::{Reached, definition, over};

over!(Sqs);

impl Reached for Sqs {
    fn made(&self, short: &str) -> String {
        format!("made at SQS: queue {short}-replies.fifo")
    }

    /// They lie in one queue, which keeps order here.
    fn listener<'a>(&'a self, url: &'a str, short: &'a str) -> BoxFuture<'a, Arc<dyn Channel>> {
        Box::pin(async move {
            let events = self.events(short);
            let place = Place::new(&events, &events);
            let (key, secret) = testbed::SQS_OWNER;
            let server = Server::new(url).with_login(key, secret);
            let connected = connect(&server, place, End::Engine, true).await;
            Arc::new(connected.unwrap().0) as Arc<dyn Channel>
        })
    }
}

/// From where all of Amazon's tools have it: the environment, or a profile in a file. It is nowhere in
/// the log, however much is logged and whether it is taken or not.
#[test]
fn a_login_comes_from_the_environment_or_a_profile_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::sqs_with_logins()).expect("it starts");
    let (key, secret) = testbed::SQS_OWNER;
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(&Sqs)).unwrap();
    let (url, credentials) = (broker.url(), folder.path().join("credentials"));
    let text = format!("[desk]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    fs::write(&credentials, text).unwrap();
    let serve = |name: &str, env: &[(&str, &str)]| {
        let more = ["--sqs", &url, "--log", "trace"];
        let data = folder.path().join(name);
        crate::server::Server::start_in(env, &data, &letter, &more)
    };
    // Not this machine's own.
    let nobody = [
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    serve("nobody", &nobody).says("no credentials could be had");
    let wrong = "s3cr3t-that-is-wrong";
    let env = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", wrong)];
    let server = serve("wrong", &env);
    server.says("SignatureDoesNotMatch");
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
    drop(server);
    let from_file = [
        ("AWS_PROFILE", "desk"),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let server = serve("right", &from_file);
    server.says(&Sqs.made("desk"));
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
}

/// The commands wait, and the log says for what.
#[test]
fn a_place_that_is_neither_a_region_nor_an_address_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.yaml");
    fs::write(&letter, definition(&Sqs)).unwrap();
    let data = folder.path().join("data");
    let more = ["--sqs", "127.0.0.1:9324"];
    let server = crate::server::Server::start_with(&data, &letter, &more);
    server.says("`127.0.0.1:9324` does not say where SQS is");
}
