//! The stage: a folder, the participants and the server in processes of their own, and a proxy
//! before each of them.

pub mod clock;
pub mod disk;
pub mod participant;
pub mod process;
pub mod proxy;
pub mod server;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amends_example_services::{Evidence, Service, Worked};

use crate::dice::Dice;
use crate::lacking::Lacking;
use crate::load::api::Api;
use clock::Clock;
use disk::{Disk, NoDisk};
use participant::Participant;
use proxy::Proxy;
use server::Server;

/// The sagas that run: the two that everything began with, and one with a point of no return and a
/// signal.
pub const SAGAS: [Worked; 3] = [Worked::Order, Worked::Bank, Worked::Approval];

/// Short enough that the sagas that wait in vain end with the others; a stop of the engine of this
/// length is met by some.
const TIMES: &str = "\
defaults:
  timeout: 400ms
  deadline: 1500ms
  retry: { backoff: { initial: 50ms, factor: 2, max: 400ms, jitter: full } }
  undo_policy: { timeout: 400ms, retry: { max_attempts: 100, backoff: { initial: 50ms, factor: 2, max: 400ms, jitter: full } } }
";

/// How long a person is waited for here.
const SIGNAL_WITHIN: &str = "deadline: 1500ms";

/// Ports below those that systems hand out to clients: while one of ours is down, nobody else gets
/// its port by chance.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A participant that does not listen by then never will.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// What is not tried without a clock that can be set.
const CLOCK: &str = "clock jumps";

/// What a stage is to have that not every machine can give.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// A wall clock that can be set.
    pub clock: bool,
    /// A disk that can be filled.
    pub disk: bool,
}

/// All that takes part, in the order in which it is to end.
pub struct Stage {
    pub server: Server,
    pub participants: Vec<Participant>,
    /// Before each participant, in their order, and before the server.
    pub proxies: Vec<(&'static str, Proxy)>,
    /// What was wanted and cannot be had here, and why.
    pub lacking: Vec<Lacking>,
    pub disk: Option<Disk>,
    pub folder: PathBuf,
}

impl Stage {
    /// Sets everything up; the server is not started yet.
    pub async fn set(folder: &Path, wanted: Wanted, dice: &Dice) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let (ledgers, definitions) = (folder.join("ledgers"), folder.join("definitions"));
        std::fs::create_dir_all(&ledgers).map_err(failed)?;
        std::fs::create_dir_all(&definitions).map_err(failed)?;
        let mut lacking = Vec::new();
        let clock = wanted.clock.then(|| Clock::new(folder)).and_then(|clock| {
            let lacks = |why| Lacking { name: "clock", what: CLOCK, why, is_excused: false };
            clock.map_err(|why| lacking.push(lacks(why))).ok()
        });
        let disk = wanted.disk.then(|| Disk::mount(folder)).and_then(|disk| {
            let lacks = |NoDisk { why, is_refused }| Lacking {
                name: "disk",
                what: "a full disk",
                why,
                is_excused: is_refused,
            };
            disk.map_err(|no| lacking.push(lacks(no))).ok()
        });

        let mut participants = Vec::new();
        let mut proxies = Vec::new();
        let mut ports = Ports { dice: dice.clone(), given: Vec::new() };
        for (place, service) in (0..).zip(cast()) {
            let participant = Participant::start(service, ports.free(), &ledgers);
            let proxy = Proxy::start(ports.free(), participant.port, dice.split(place));
            proxies.push((service.name(), proxy));
            participants.push(participant);
        }
        for worked in SAGAS {
            let mut text = hurried(worked.definition());
            for (participant, (_, proxy)) in participants.iter().zip(&proxies) {
                let here = format!("http://127.0.0.1:{}", proxy.port);
                text = text.replace(&participant.service.usual_url(), &here);
            }
            let file = definitions.join(format!("{}.yaml", worked.name()));
            std::fs::write(file, text).map_err(failed)?;
        }
        let (port, public) = (ports.free(), ports.free());
        proxies.push(("server", Proxy::start(public, port, dice.split(u64::MAX))));
        let data = disk.as_ref().map_or(folder, Disk::path).join("data");
        let server = Server::new(folder, data, port, public, clock);
        let stage =
            Self { server, participants, proxies, lacking, disk, folder: folder.to_owned() };
        stage.participants_listen().await?;
        Ok(stage)
    }

    /// The door through which clients come, with its proxy.
    pub fn api(&self) -> Api {
        let (_, proxy) = self.proxies.last().expect("the server has a proxy");
        Api::at(proxy.port)
    }

    /// What the ledgers prove.
    pub fn evidence(&self) -> Result<Vec<Evidence>, String> {
        self.participants.iter().map(Participant::evidence).collect()
    }

    /// Can the server's clock be set here?
    pub fn has_clock(&self) -> bool {
        self.lacking.iter().all(|lacking| lacking.what != CLOCK)
    }

    /// The data, for a person to look at: a disk of its own goes with the stage.
    pub fn keep_data(&self) -> Result<(), String> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let kept = self.folder.join("data");
        let copied = std::fs::create_dir_all(&kept).and_then(|()| {
            for entry in std::fs::read_dir(disk.path().join("data"))? {
                let entry = entry?;
                std::fs::copy(entry.path(), kept.join(entry.file_name()))?;
            }
            Ok(())
        });
        copied.map_err(|error| format!("the data cannot be kept in {}: {error}", kept.display()))
    }

    async fn participants_listen(&self) -> Result<(), String> {
        let since = Instant::now();
        for Participant { service, port, .. } in &self.participants {
            while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await.is_err() {
                if since.elapsed() > LISTENS_WITHIN {
                    return Err(format!("{service} does not listen"));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

/// The services of the sagas, each once.
fn cast() -> Vec<Service> {
    let takes_part =
        |service: &Service| SAGAS.iter().any(|worked| worked.services().contains(service));
    Service::ALL.into_iter().filter(takes_part).collect()
}

/// Ports that nobody has, each given once.
struct Ports {
    dice: Dice,
    given: Vec<u16>,
}

impl Ports {
    fn free(&mut self) -> u16 {
        loop {
            let width = u64::from(PORTS.end - PORTS.start);
            let port = PORTS.start + u16::try_from(self.dice.below(width)).unwrap_or(0);
            let is_free = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if !self.given.contains(&port) && is_free() {
                self.given.push(port);
                return port;
            }
        }
    }
}

/// The definition with short times in place of its own.
fn hurried(definition: &str) -> String {
    let mut text = String::new();
    let mut of_a_signal = false;
    for line in definition.lines() {
        let key = line.trim_start();
        of_a_signal = !key.starts_with("- name:") && (of_a_signal || key.starts_with("signal:"));
        if key.starts_with("deadline:") && of_a_signal {
            text.push_str(&line.replace(key, SIGNAL_WITHIN));
        } else if ["defaults:", "timeout:", "deadline:"].iter().any(|old| key.starts_with(old)) {
            continue;
        } else {
            text.push_str(line);
        }
        text.push('\n');
        if line.starts_with("saga: ") {
            text.push_str(TIMES);
        }
    }
    text
}
