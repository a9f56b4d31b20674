//! The example services over real HTTP: answers, faults to order, the stop, and the judge on what
//! they leave behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use amends_example_services::judge::{Ending, SagaFacts, judge};
use amends_example_services::{
    Durability, Effect, Evidence, Ports, Service, Services, Settings, Word, Worked,
};
use serde_json::{Value, json};

/// No answer of a healthy service takes so long, on however busy a machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A step's service, name, action and compensation.
type Step = (Service, &'static str, &'static str, &'static str);

/// An answer, or `None` when the connection closed without one.
type Answer = Option<(u16, Value)>;

struct House {
    folder: tempfile::TempDir,
    services: Services,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn of(which: &[Service]) -> Self {
        let settings = Settings { durability: Durability::Off, ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let services =
            runtime.block_on(Services::start_with(folder.path(), which, settings)).unwrap();
        Self { folder, services, runtime }
    }

    fn ask(&self, service: Service, command: &Command) -> Answer {
        exchange(self.services.address(service).unwrap(), command)
    }

    fn words(&self, service: Service) -> Vec<Word> {
        self.services.calls(service).unwrap().iter().map(|call| call.answer).collect()
    }

    fn effects(&self, service: Service) -> Vec<(u32, u32)> {
        let effects = self.services.ledger(service).unwrap();
        effects.iter().map(|Effect { forward, undone, .. }| (*forward, *undone)).collect()
    }

    fn stop(self) -> tempfile::TempDir {
        self.runtime.block_on(self.services.stop()).unwrap();
        self.folder
    }
}

struct Command {
    name: &'static str,
    body: Value,
    headers: String,
}

/// Whose command it is.
fn service_of(name: &str) -> &'static str {
    let definitions = Worked::ALL.map(Worked::definition).join("\n");
    let full = definitions.split_whitespace().find_map(|word| {
        let (service, own_name) = word.split_once('.')?;
        (own_name == name).then(|| service.to_owned())
    });
    let service = full.unwrap_or_else(|| panic!("no definition has {name}"));
    Service::ALL.into_iter().map(Service::in_definitions).find(|own| *own == service).unwrap()
}

fn command(saga: &str, step: &str, name: &'static str, undo: bool, data: &Value) -> Command {
    let direction = if undo { "compensation" } else { "action" };
    let mut body = data.clone();
    body["saga_id"] = json!(saga);
    body["step_name"] = json!(step);
    body["direction"] = json!(direction);
    body["command"] = json!(format!("{}.{name}", service_of(name)));
    body["idempotency_key"] = json!(format!("{saga}/{step}/{direction}"));
    body["data"] = data.clone();
    Command { name, body, headers: String::new() }
}

fn pay(saga: &str, fault: &str) -> Command {
    let mut data = Worked::Order.sample(1);
    data["faults"] = json!({"process_payment": fault});
    command(saga, "process_payment", "ProcessPayment", false, &data)
}

fn refund(saga: &str, fault: &str) -> Command {
    let mut data = Worked::Order.sample(1);
    data["faults"] = json!({"process_payment": fault});
    command(saga, "process_payment", "RefundPayment", true, &data)
}

fn send(address: SocketAddr, command: &Command) -> TcpStream {
    let body = command.body.to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let head = format!(
        "POST /{} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\namends-attempt: 1\r\n{}\r\n",
        command.name,
        body.len(),
        command.headers
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    stream
}

fn receive(stream: TcpStream) -> Answer {
    let mut reader = BufReader::new(stream);
    let (mut length, mut status) = (0, None);
    loop {
        let mut line = String::new();
        // A connection that is reset is closed without an answer as well.
        if !matches!(reader.read_line(&mut line), Ok(1..)) {
            assert_eq!(status, None, "the answer broke off");
            return None;
        }
        let line = line.trim_end();
        if status.is_none() {
            status = line.split(' ').nth(1).map(|status| status.parse().unwrap());
        } else if line.is_empty() {
            break;
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let text = String::from_utf8(body).unwrap();
    Some((status?, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}

fn exchange(address: SocketAddr, command: &Command) -> Answer {
    receive(send(address, command))
}

fn status(answer: &Answer) -> Option<u16> {
    answer.as_ref().map(|(status, _)| *status)
}

/// Asks until it is so: for what happens by itself and says nothing when it has.
fn until(is_so: impl Fn() -> bool) {
    let patience = Instant::now();
    while !is_so() {
        assert!(patience.elapsed() < ANSWER_WITHIN, "it does not happen");
        std::thread::yield_now();
    }
}

#[test]
fn every_worked_saga_runs_through_and_back_and_the_judge_agrees() {
    let all = House::of(&Service::ALL);
    let story: [(Worked, &[Step]); 4] = [
        (
            Worked::Order,
            &[
                (Service::Inventory, "reserve_inventory", "ReserveItems", "ReleaseReservation"),
                (Service::Payment, "process_payment", "ProcessPayment", "RefundPayment"),
                (Service::Shipping, "create_shipment", "CreateShipment", "CancelShipment"),
                (
                    Service::Notification,
                    "send_confirmation",
                    "SendOrderConfirmation",
                    "SendCancellationNotice",
                ),
            ],
        ),
        (
            Worked::Bank,
            &[
                (Service::Accounts, "debit_source", "DebitAccount", "CreditAccount"),
                (Service::Ledger, "create_transfer_record", "CreateTransfer", "VoidTransfer"),
                (
                    Service::Accounts,
                    "credit_destination",
                    "CreditDestinationAccount",
                    "DebitAccount",
                ),
                (
                    Service::Notification,
                    "notify_parties",
                    "SendTransferConfirmation",
                    "SendTransferFailureNotice",
                ),
            ],
        ),
        (
            Worked::Approval,
            &[(Service::Budget, "reserve_budget", "ReserveBudget", "ReleaseBudget")],
        ),
        (
            Worked::Travel,
            &[
                (Service::Flight, "book_flight", "BookSeats", "CancelSeats"),
                (Service::Car, "book_car", "RentCar", "ReturnCar"),
            ],
        ),
    ];
    let mut sagas = Vec::new();
    for (worked, steps) in story {
        let names: Vec<&str> = steps.iter().map(|(_, step, ..)| *step).collect();
        for ending in [Ending::Completed, Ending::Failed] {
            let saga = format!("{}-{ending:?}", worked.name());
            let ask = |service, step, name, undo| {
                let command = command(&saga, step, name, undo, &worked.sample(5));
                let (status, body) = all.ask(service, &command).unwrap();
                assert_eq!(status, 200, "{name}: {body}");
                body
            };
            for &(service, step, action, _) in steps {
                ask(service, step, action, false);
            }
            for &(service, step, _, undo) in steps.iter().rev() {
                if ending == Ending::Failed {
                    assert_eq!(ask(service, step, undo, true), json!({"undone": true}));
                }
            }
            sagas.push(SagaFacts::sequence(&saga, ending, &names));
        }
    }
    let verdict = judge(&sagas, &all.services.evidence().unwrap());
    assert!(verdict.holds(), "{verdict}");
    assert_eq!(verdict.effects, 33);
    all.stop();
}

#[test]
fn one_key_at_the_same_moment_is_carried_out_once() {
    let house = House::of(&[Service::Payment]);
    let address = house.services.address(Service::Payment).unwrap();
    let open: Vec<TcpStream> = (0..32).map(|_| send(address, &pay("s", "duplicate"))).collect();
    let answers: Vec<Answer> = open.into_iter().map(receive).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0] && status(answer) == Some(200)));
    assert_eq!(house.effects(Service::Payment), [(1, 0)]);
    house.stop();
}

#[test]
fn a_refusal_to_order_has_no_effect() {
    let house = House::of(&[Service::Payment]);
    let (status, body) = house.ask(Service::Payment, &pay("s", "refuse")).unwrap();
    assert_eq!((status, body["error"]["code"].as_str()), (422, Some("REFUSED_TO_ORDER")));
    assert_eq!(house.effects(Service::Payment), []);
    house.stop();
}

#[test]
fn a_lost_reply_is_an_effect_without_an_answer_and_the_repeat_is_told_it() {
    let house = House::of(&[Service::Payment]);
    assert_eq!(house.ask(Service::Payment, &pay("s", "lost_reply")), None);
    assert_eq!(house.effects(Service::Payment), [(1, 0)]);
    assert_eq!(status(&house.ask(Service::Payment, &pay("s", "lost_reply"))), Some(200));
    assert_eq!(house.effects(Service::Payment), [(1, 0)]);
    assert_eq!(house.words(Service::Payment), [Word::Lost, Word::Completed]);
    house.stop();
}

#[test]
fn a_time_out_has_no_effect_and_does_not_hold_up_the_stop() {
    let house = House::of(&[Service::Payment]);
    let address = house.services.address(Service::Payment).unwrap();
    let never = send(address, &pay("s", "timeout"));
    until(|| house.words(Service::Payment) == [Word::Unanswered]);
    assert_eq!(house.effects(Service::Payment), []);
    house.stop();
    assert_eq!(receive(never), None);
}

#[test]
fn a_transient_failure_ends_after_its_times() {
    let house = House::of(&[Service::Payment]);
    let ask = || house.ask(Service::Payment, &pay("s", "transient:2")).unwrap();
    for _ in 0..2 {
        let (status, body) = ask();
        assert_eq!((status, &body["retryable"]), (503, &json!(true)));
        assert_eq!(house.effects(Service::Payment), []);
    }
    assert_eq!(ask().0, 200);
    house.stop();
}

#[test]
fn a_late_success_happens_though_nobody_waits() {
    let house = House::of(&[Service::Payment]);
    let address = house.services.address(Service::Payment).unwrap();
    let held = |saga: &str| {
        let calls = house.services.calls(Service::Payment).unwrap();
        calls.iter().filter(|c| c.saga_id == saga).map(|c| c.answer).collect::<Vec<_>>()
    };
    let gone = send(address, &pay("s", "late_success:200ms"));
    let waits = send(address, &pay("t", "late_success:200ms"));
    // Of a caller who is gone before that, the service need not have read a word.
    until(|| held("s").first() == Some(&Word::Held));
    drop(gone);
    assert_eq!(status(&receive(waits)), Some(200));
    assert_eq!(held("t"), [Word::Held, Word::Completed]);
    until(|| held("s") == [Word::Held, Word::Completed]);
    assert_eq!(house.effects(Service::Payment), [(1, 0), (1, 0)]);
    house.stop();
}

#[test]
fn a_late_success_after_its_undo_is_refused() {
    let house = House::of(&[Service::Payment]);
    let address = house.services.address(Service::Payment).unwrap();
    let late = send(address, &pay("s", "late_success:2s"));
    let undo = house.ask(Service::Payment, &refund("s", "late_success:2s"));
    assert_eq!(undo, Some((200, json!({"undone": false}))));
    assert_eq!(status(&receive(late)), Some(409));
    assert_eq!(house.effects(Service::Payment), []);
    house.stop();
}

#[test]
fn a_crash_keeps_the_effect_and_the_service_comes_back() {
    let house = House::of(&[Service::Payment]);
    assert_eq!(house.ask(Service::Payment, &pay("s", "crash")), None);
    let address = house.services.address(Service::Payment).unwrap();
    until(|| TcpStream::connect(address).is_ok());
    assert_eq!(status(&house.ask(Service::Payment, &pay("s", "crash"))), Some(200));
    assert_eq!(house.effects(Service::Payment), [(1, 0)]);
    house.stop();
}

#[test]
fn the_second_answer_of_a_duplicate_and_that_of_an_accepted_come_by_the_callback() {
    let house = House::of(&[Service::Payment]);
    let engine = TcpListener::bind("127.0.0.1:0").unwrap();
    let reply_to = format!("http://{}/v1/replies/token", engine.local_addr().unwrap());
    let callback = || {
        let (mut stream, _) = engine.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "POST /v1/replies/token HTTP/1.1\r\n");
        let mut length = 0;
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.trim_end().strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let ask = |mut command: Command| {
        command.headers = format!("amends-reply-to: {reply_to}\r\n");
        house.ask(Service::Payment, &command).unwrap()
    };

    let (status, result) = ask(pay("s", "duplicate"));
    assert_eq!(status, 200);
    let expected = json!({"type": "SagaStepCompleted", "saga_id": "s", "result": result,
        "step_name": "process_payment", "idempotency_key": "s/process_payment/action"});
    assert_eq!(callback(), expected);

    assert_eq!(ask(pay("t", "accepted")).0, 202);
    assert_eq!(callback()["type"], "SagaStepCompleted");
    assert_eq!(ask(refund("t", "accepted")).0, 200);
    assert_eq!(house.effects(Service::Payment), [(1, 0), (1, 1)]);
    house.stop();
}

#[test]
fn what_is_no_command_is_told_so_and_changes_nothing() {
    let house = House::of(&[Service::Payment]);
    let ask = |command: &Command| status(&house.ask(Service::Payment, command));
    assert_eq!(ask(&pay("s", "explode")), Some(400));
    assert_eq!(ask(&Command { name: "RefundPayment", ..pay("s", "refuse") }), Some(400));
    let foreign = command("s", "a", "ReserveItems", false, &Worked::Order.sample(1));
    assert_eq!(ask(&foreign), Some(404));
    let wrong_way = command("s", "a", "RefundPayment", false, &Worked::Order.sample(1));
    assert_eq!(ask(&wrong_way), Some(404));
    let mut of_another = pay("s", "refuse");
    of_another.body["command"] = json!("ShippingService.ProcessPayment");
    assert_eq!(ask(&of_another), Some(400));
    assert_eq!(house.words(Service::Payment), []);
    house.stop();
}

#[test]
fn a_service_goes_on_with_its_ledger_and_it_is_readable_when_stopped() {
    let house = House::of(&[Service::Payment]);
    let first = house.ask(Service::Payment, &pay("s", "duplicate"));
    let folder = house.stop();
    let evidence = Evidence::read("payment", &folder.path().join("payment.db")).unwrap();
    assert_eq!(evidence.effects.len(), 1);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = Services::start(folder.path(), &[Service::Payment]);
    let services = runtime.block_on(start).unwrap();
    let address = services.address(Service::Payment).unwrap();
    assert_eq!(exchange(address, &pay("s", "duplicate")), first);
    runtime.block_on(services.stop()).unwrap();
}

#[test]
fn a_definition_names_the_services_where_they_are() {
    let house = House::of(Worked::Travel.services());
    let text = house.services.definition(Worked::Travel);
    for (service, address) in house.services.addresses() {
        assert!(text.contains(&format!("http://{address}")), "{service}");
        assert!(!text.contains(&service.usual_url()), "{service}");
    }
    house.stop();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let settings = Settings { ports: Ports::This(port), ..Settings::default() };
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = Services::start_with(folder.path(), &[Service::Car], settings);
    let error = runtime.block_on(start).err().unwrap().to_string();
    assert!(error.contains(&format!("car cannot listen on port {port}")), "{error}");
}
