//! A service behind Amazon SQS, which is something else here that speaks as it does.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use amends_testbed as testbed;
use amends_transport::{Channel, End};
use amends_transport_sqs::{Place, Server, connect};

use crate::brokers::{self, Dies, Reached};

const SQS: Reached = Reached {
    kind: testbed::sqs,
    option: "--sqs",
    described: "sqs: { commands: desk-commands, replies: desk-replies.fifo }",
    made: "made at SQS: queue desk-replies.fifo",
    env: &[
        ("AWS_ACCESS_KEY_ID", testbed::SQS_OWNER.0),
        ("AWS_SECRET_ACCESS_KEY", testbed::SQS_OWNER.1),
    ],
    dies: Dies::Shut,
    kept_after: Duration::ZERO,
    service: |at| {
        Box::pin(async move {
            let place = Place {
                commands: "desk-commands".to_owned(),
                replies: "desk-replies.fifo".to_owned(),
                events: None,
            };
            let (key, secret) = testbed::SQS_OWNER;
            let server = Server::new(at).with_login(key, secret);
            Arc::new(connect(&server, place, End::Service, true).await.unwrap().0)
                as Arc<dyn Channel>
        })
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn sagas_run_over_a_broker_that_goes_away_and_a_server_that_is_killed() {
    brokers::every_saga_ends(&SQS).await;
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_not() {
    brokers::the_doctor_says_what_is_there(&SQS);
}

#[test]
fn the_bench_measures_the_way_and_the_broker_alone() {
    brokers::the_bench_measures_the_way_and_the_broker_alone(&SQS);
}

#[test]
fn a_server_that_is_not_told_where_the_broker_is_says_so() {
    brokers::a_server_that_is_not_told_where_the_broker_is_says_so(&SQS);
}

/// From where all of Amazon's tools have it: the environment, or a profile in a file. It is nowhere in
/// the log, however much is logged and whether it is taken or not.
#[test]
fn a_login_comes_from_the_environment_or_a_profile_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let broker = testbed::Server::start(testbed::sqs_with_logins()).expect("it starts");
    let (key, secret) = testbed::SQS_OWNER;
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, SQS.definition()).unwrap();
    let (url, credentials) = (broker.url(), folder.path().join("credentials"));
    let text = format!("[desk]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    fs::write(&credentials, text).unwrap();
    let serve = |name: &str, env: &[(&str, &str)]| {
        let more = ["--sqs", &url, "--log", "trace"];
        let data = folder.path().join(name);
        crate::server::Server::start_in(env, &data, &definition, &more)
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
    server.says(SQS.made);
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
}

/// The commands wait, and the log says for what.
#[test]
fn a_place_that_is_neither_a_region_nor_an_address_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let definition = folder.path().join("letter.yaml");
    fs::write(&definition, SQS.definition()).unwrap();
    let data = folder.path().join("data");
    let more = ["--sqs", "127.0.0.1:9324"];
    let server = crate::server::Server::start_with(&data, &definition, &more);
    server.says("`127.0.0.1:9324` does not say where SQS is");
}
