//! The example services keep every rule that a participant keeps.

use amends_example_services::{Services, Worked};
use serde_json::Value;

use super::{read, with_verdict};
use crate::amends;

/// Every service of a worked saga, each by itself; the rules that were not tried, by service.
fn tried(worked: Worked, vary: &str, refused: &[(&str, &str)]) -> Vec<(String, Vec<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saga.yaml");
    std::fs::write(&file, worked.definition()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let services = runtime.block_on(Services::start(folder.path(), worked.services())).unwrap();
    let one = |service: &amends_example_services::Service| {
        let (name, address) = (service.in_definitions(), services.address(*service).unwrap());
        let mut command = amends();
        command.args(["conformance", &format!("http://{address}"), "-o", "json"]);
        command.args(["--definition", file.to_str().unwrap(), "--service", name]);
        command.args(["--data", &worked.sample(1).to_string(), "--vary", vary]);
        for (_, said) in refused.iter().filter(|(of, _)| *of == name) {
            command.args(["--refused", said]);
        }
        let (code, report): (i32, Value) = read(&command.output().unwrap());
        assert_eq!((code, with_verdict(&report, "broken")), (0, vec![]), "{name}: {report:#}");
        (name.to_owned(), with_verdict(&report, "not_tried"))
    };
    let tried = worked.services().iter().map(one).collect();
    runtime.block_on(services.stop()).unwrap();
    tried
}

#[test]
fn the_services_of_an_order() {
    let declined = r#"{"payment_method": "card_declined"}"#;
    let not_tried = tried(Worked::Order, "order_id", &[("PaymentService", declined)]);
    let payment = not_tried.iter().find(|(name, _)| name == "PaymentService").unwrap();
    // The definition says no fence, and has no secret.
    assert_eq!(payment.1, ["accepted", "tombstone", "second_round", "signature"]);
}

#[test]
fn the_services_of_a_transfer() {
    tried(Worked::Bank, "transfer_id", &[]);
}
