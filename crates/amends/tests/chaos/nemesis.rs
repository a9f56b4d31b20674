//! The nemesis: it plays a plan on a stage, and counts what has struck.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::load::api::Answer;
use crate::plan::{Act, Kind, Plan, Step};
use crate::stage::Stage;
use crate::stage::disk::Disk;
use crate::stage::participant::Participant;
use crate::stage::proxy::{Fault, Proxy};
use crate::stage::server::Server;

/// A fault that was ordered and has not struck by then never will: the load is not what it should
/// be.
const STRIKES_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How often each kind has struck.
pub type Struck = BTreeMap<Kind, u64>;

/// What is done besides when the server is down: by a test that shows that the judge can see.
pub type WhileDown<'a> = &'a mut (dyn FnMut(&std::path::Path) + Send);

/// Plays the plan, and shows each fault as it comes.
pub async fn play(
    plan: &Plan,
    stage: &mut Stage,
    while_down: WhileDown<'_>,
    shows: bool,
) -> Result<Struck, String> {
    let log = Log { began: Instant::now(), shows, struck: Mutex::default() };
    let (disk, folder) = (stage.disk.as_ref(), stage.folder.clone());
    let server = of_server(&plan.server, &mut stage.server, disk, while_down, &log);
    let participants = of_participants(&plan.participants, &stage.participants, &log);
    let network = of_network(&plan.network, &stage.proxies, &log);
    let ended = tokio::try_join!(server, participants, network);
    for (_, proxy) in &stage.proxies {
        proxy.calm();
    }
    ended.map_err(|what| format!("{what}\nin {}", folder.display()))?;
    let mut struck = log.struck.into_inner().unwrap();
    for fault in Fault::ALL {
        let times = stage.proxies.iter().map(|(_, proxy)| proxy.struck(fault)).sum();
        if times > 0 {
            struck.insert(Kind::Network(fault), times);
        }
    }
    Ok(struck)
}

struct Log {
    began: Instant,
    shows: bool,
    struck: Mutex<Struck>,
}

impl Log {
    async fn next(&self, step: &Step) -> Act {
        tokio::time::sleep(Duration::from_millis(step.after_ms)).await;
        if self.shows {
            println!("{:8.3} s  {}", self.began.elapsed().as_secs_f64(), step.act);
        }
        step.act
    }

    fn struck(&self, kind: Kind) {
        *self.struck.lock().unwrap().entry(kind).or_default() += 1;
    }
}

async fn of_server(
    track: &[Step],
    server: &mut Server,
    disk: Option<&Disk>,
    while_down: WhileDown<'_>,
    log: &Log,
) -> Result<(), String> {
    for step in track {
        let act = log.next(step).await;
        match act {
            Act::Kill { down_ms, again_us } => {
                server.kill()?;
                while_down(server.data());
                pause_ms(down_ms).await;
                server.start();
                if let Some(us) = again_us {
                    tokio::time::sleep(Duration::from_micros(us)).await;
                    server.kill()?;
                    log.struck(Kind::Kill);
                    server.start();
                }
            }
            Act::Restart { down_ms } => {
                server.stop().await?;
                pause_ms(down_ms).await;
                server.start();
            }
            Act::Freeze { for_ms } => {
                server.freeze();
                pause_ms(for_ms).await;
                server.thaw();
            }
            Act::Jump { secs, with_kill } => {
                server.jump(secs)?;
                if with_kill {
                    server.kill()?;
                    server.start();
                }
            }
            Act::FillDisk => fill(server, disk.ok_or("there is no disk to fill")?).await?,
            _ => return Err(format!("{act} is nothing that happens to the server")),
        }
        log.struck(act.kind());
        server.ready().await?;
    }
    Ok(())
}

/// Fills the disk until the server has said that it takes nothing, then frees it.
async fn fill(server: &mut Server, disk: &Disk) -> Result<(), String> {
    let api = server.api();
    disk.fill().map_err(|error| format!("the disk cannot be filled: {error}"))?;
    let since = Instant::now();
    let noticed = loop {
        if let Answer::Of(503, _) = api.get("/readyz").await {
            break true;
        }
        if since.elapsed() > STRIKES_WITHIN {
            break false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    disk.free().map_err(|error| format!("the disk cannot be freed: {error}"))?;
    if noticed { Ok(()) } else { Err("the disk was full, and the server stayed ready".to_owned()) }
}

async fn of_participants(
    track: &[Step],
    participants: &[Participant],
    log: &Log,
) -> Result<(), String> {
    for step in track {
        let act = log.next(step).await;
        match act {
            Act::KillParticipant { place, down_ms } => {
                let participant = &participants[place % participants.len()];
                participant.kill()?;
                pause_ms(down_ms).await;
                participant.revive();
            }
            Act::FreezeParticipant { place, for_ms } => {
                let participant = &participants[place % participants.len()];
                participant.freeze();
                pause_ms(for_ms).await;
                participant.thaw();
            }
            _ => return Err(format!("{act} is nothing that happens to a participant")),
        }
        log.struck(act.kind());
    }
    Ok(())
}

async fn of_network(
    track: &[Step],
    proxies: &[(&'static str, Proxy)],
    log: &Log,
) -> Result<(), String> {
    for step in track {
        let act = log.next(step).await;
        let Act::Storm { place, fault, percent, for_ms } = act else {
            return Err(format!("{act} is nothing that happens to the network"));
        };
        let (name, proxy) = &proxies[place % proxies.len()];
        let (before, since) = (proxy.struck(fault), Instant::now());
        proxy.storm(fault, percent);
        while since.elapsed() < Duration::from_millis(for_ms) || proxy.struck(fault) == before {
            if since.elapsed() > STRIKES_WITHIN {
                return Err(format!("nothing came to the proxy of {name} to be struck: {act}"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        proxy.calm();
    }
    Ok(())
}

async fn pause_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
