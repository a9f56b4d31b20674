//! The order saga without a coordinator: four services that know nothing but HTTP, each with a sidecar, over
//! every broker, with sidecars killed meanwhile. The services' own ledgers are judged.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use amends_example_services::judge::{Ending, SagaFacts, judge};
use amends_example_services::{Service, Services, Worked};
use serde_json::{Value, json};

use crate::broker::Running;
use crate::brokers::Reached;
use crate::server::{Server, amends};

/// However busy the machine.
const WITHIN: Duration = Duration::from_secs(180);

const STEPS: [&str; 4] =
    ["reserve_inventory", "process_payment", "create_shipment", "send_confirmation"];

/// The first word of the place.
const PLACE: &str = "orders";

/// A sidecar in a process of its own.
struct Sidecar {
    process: Child,
    url: String,
}

impl Sidecar {
    fn start(
        reached: &dyn Reached,
        broker: &str,
        folder: &Path,
        service: (Service, String),
    ) -> Self {
        let (name, handler) = (service.0.in_definitions(), service.1);
        let log = folder.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut process = amends()
            .envs(reached.env().iter().copied())
            .args(["sidecar", "--listen", "127.0.0.1:0", "--service", name, "--handler", &handler])
            .args([reached.option(), broker, "--observer", "amends"])
            .arg("--definition")
            .arg(folder.join("order.yaml"))
            .arg("--data")
            .arg(folder.join(name))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        assert!(line.starts_with("http://"), "{name} did not start: {line:?} {said}");
        Self { process, url: line.trim().to_owned() }
    }

    /// The status and the JSON that it answers.
    fn ask(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> (u16, Value) {
        let host = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{key}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

/// Killed.
impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.process.kill(); // or it is gone
        let _ = self.process.wait();
    }
}

/// The order's definition, for services that run it among themselves.
fn definition(reached: &dyn Reached, folder: &Path) -> PathBuf {
    let mut text = Worked::Order.definition().replace(
        "saga: OrderFulfillment\n",
        "saga: OrderFulfillment\npattern: choreography\ndefaults: { retry: { max_attempts: 8 } }\n",
    );
    for timeout in ["2m", "1m", "15m"] {
        text = text.replace(&format!("timeout: {timeout}\n"), "timeout: 2s\n    deadline: 2m\n");
    }
    text = text.replace("{ http: {", "{ fence: barrier, http: {");
    text += &format!("messaging:\n  {}\n", reached.telling(PLACE));
    let path = folder.join("order.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// What is to go wrong with each saga, and whether it completes.
fn orders() -> Vec<(Value, bool)> {
    let mut orders = vec![(json!({}), true)];
    for step in STEPS {
        orders.push((json!({ step: "refuse" }), false));
        orders.push((json!({ step: "lost_reply:2" }), true));
        orders.push((json!({ step: "transient:2" }), true));
        orders.push((json!({ step: "crash" }), true));
    }
    // Everything that is undone has its trouble, too.
    orders.push((
        json!({
            "reserve_inventory/compensation": "lost_reply",
            "process_payment/compensation": "transient:3",
            "create_shipment/compensation": "crash",
            "send_confirmation": "refuse",
        }),
        false,
    ));
    orders
}

/// Who only listens comes to the same end, and shows the saga as any other.
fn observed(observer: &Server, saga: &str, state: &str) {
    let began = Instant::now();
    let view = loop {
        // Until it is heard of there is none.
        let output = observer.ask(&["get", saga, "-o", "json"]);
        let view: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if view["state"] == state {
            break view;
        }
        assert!(
            began.elapsed() < WITHIN,
            "{saga} is seen as {view}, not {state}: {}",
            observer.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(view["choreographed"], true, "{view}");
    assert_eq!(view["attention"], json!([]), "{view}");
    let status = |step: &Value| step["status"].as_str().unwrap().to_owned();
    let statuses: Vec<String> = view["steps"].as_array().unwrap().iter().map(status).collect();
    match state {
        "completed" => assert_eq!(statuses, ["completed"; 4], "{view}"),
        _ => assert!(!statuses.iter().any(|status| status == "completed"), "{view}"),
    }
}

pub async fn sagas_run_without_a_coordinator(reached: &'static dyn Reached) {
    let folder = tempfile::tempdir().unwrap();
    let broker = Running::start(reached).await.expect("the broker starts");
    let ledgers = folder.path().join("ledgers");
    let services = Services::start(&ledgers, Worked::Order.services()).await.unwrap();
    let definition = definition(reached, folder.path());
    let observing = folder.path().join("observing");
    let observe = || {
        let more = [reached.option(), &broker.url];
        Server::start_in(reached.env(), &observing, &definition, &more)
    };
    let mut observer = observe();
    let start = |service: Service| {
        let handler = format!("http://{}", services.address(service).unwrap());
        Sidecar::start(reached, &broker.url, folder.path(), (service, handler))
    };
    let mut sidecars: Vec<Sidecar> = Worked::Order.services().iter().map(|s| start(*s)).collect();

    let mut sagas = Vec::new();
    for (n, (faults, completes)) in orders().into_iter().enumerate() {
        let mut data = Worked::Order.sample(n as u64);
        data["faults"] = faults;
        let data = data.to_string();
        let key = format!("order-{n}");
        let asked = || {
            let path = "/v1/sagas/OrderFulfillment";
            let (status, body) = sidecars[n % 4].ask("POST", path, Some(&key), &data);
            assert_eq!(status, 201, "{body}");
            body["saga_id"].as_str().unwrap().to_owned()
        };
        let saga = asked();
        assert_eq!(asked(), saga, "whoever asks twice has one saga");
        sagas.push((saga, completes));
        // One after the other is killed, and there again.
        if n % 3 == 2 {
            let at = (n / 3) % 4;
            let service = Worked::Order.services()[at];
            if at == 2 {
                drop(observer);
                observer = observe();
            }
            sidecars.remove(at); // its folder is free when it is dead
            sidecars.insert(at, start(service));
        }
    }

    let began = Instant::now();
    for (saga, completes) in &sagas {
        let state = if *completes { "completed" } else { "failed" };
        for (sidecar, service) in sidecars.iter().zip(Worked::Order.services()) {
            loop {
                let (_, view) = sidecar.ask("GET", &format!("/v1/sagas/{saga}"), None, "");
                if view["state"] == state {
                    break;
                }
                let log = || fs::read_to_string(folder.path().join("PaymentService.log"));
                assert!(
                    began.elapsed() < WITHIN,
                    "{service} has {saga} as {view}, not {state}: {}",
                    log().unwrap_or_default()
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    for (saga, completes) in &sagas {
        observed(&observer, saga, if *completes { "completed" } else { "failed" });
    }
    let (_, listed) = observer.json(&["list", "--type", "OrderFulfillment", "--limit", "100"]);
    println!("{listed}");

    let facts: Vec<SagaFacts> = sagas
        .iter()
        .map(|(saga, completes)| {
            let ending = if *completes { Ending::Completed } else { Ending::Failed };
            SagaFacts::sequence(saga, ending, &STEPS)
        })
        .collect();
    let verdict = judge(&facts, &services.evidence().unwrap());
    assert!(verdict.holds(), "{verdict}");

    // What is asked for in vain.
    let (status, body) = sidecars[0].ask("POST", "/v1/sagas/Orders", None, "{}");
    assert_eq!((status, &body["error"]["code"]), (404, &json!("NO_SUCH_TYPE")));
    let (status, body) = sidecars[0].ask("POST", "/v1/sagas/OrderFulfillment", None, "[]");
    assert_eq!((status, &body["error"]["code"]), (422, &json!("BAD_DATA")));
    let (status, body) = sidecars[0].ask("GET", "/v1/sagas/x", None, "");
    assert_eq!((status, &body["error"]["code"]), (400, &json!("BAD_FIELD")));
    let unheard = "/v1/sagas/00000000-0000-7000-8000-000000000000/cancel";
    let (status, body) = sidecars[0].ask("POST", unheard, None, "{}");
    assert_eq!((status, &body["error"]["code"]), (404, &json!("UNHEARD")));
    // A page in a browser on this machine asks for nothing.
    let path = "/v1/sagas/OrderFulfillment";
    let (status, body) = sidecars[0].ask("POST", path, Some("x\r\nOrigin: http://page"), "{}");
    assert_eq!((status, &body["error"]["code"]), (403, &json!("FOREIGN_HOST")));
    let done = &sagas[0].0;
    let (status, body) = sidecars[3].ask("POST", &format!("/v1/sagas/{done}/cancel"), None, "{}");
    assert_eq!((status, &body["error"]["code"]), (409, &json!("TOO_LATE")));
    let other = Worked::Order.sample(1_000).to_string();
    let (status, body) = sidecars[0].ask("POST", path, Some("order-0"), &other);
    assert_eq!((status, &body["error"]["code"]), (409, &json!("KEY_REUSED")), "it is another saga");
    // What ended long ago is forgotten; what has not is not.
    let last = sidecars.remove(3);
    let (_, pending) = sidecars[0].ask("POST", path, None, &other);
    drop(last);
    let database = folder.path().join("NotificationService/sidecar.db");
    let database = sqlx::SqlitePool::connect(&format!("sqlite:{}", database.display())).await;
    let database = database.unwrap();
    let aged = "UPDATE amends_saga SET written_at = '1970-01-01 00:00:00'";
    sqlx::query(aged).execute(&database).await.unwrap();
    database.close().await;
    sidecars.push(start(Worked::Order.services()[3]));
    let began = Instant::now();
    while sidecars[3].ask("GET", &format!("/v1/sagas/{done}"), None, "").0 != 404 {
        assert!(began.elapsed() < WITHIN, "{done} is not forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pending = pending["saga_id"].as_str().unwrap();
    while sidecars[3].ask("GET", &format!("/v1/sagas/{pending}"), None, "").1["state"]
        != "completed"
    {
        assert!(began.elapsed() < WITHIN, "{pending} does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
