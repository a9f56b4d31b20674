//! What a server stands on: the data folder, the disk, the port, the clock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Verdict::{self, Bad, Doubtful, Good};

/// How many syncs are measured.
const SYNCS: usize = 20;

/// A disk slower than this makes every saga slow: each waits for a few syncs.
const SYNC_SLOW: Duration = Duration::from_millis(20);

/// With less room the journal and the catalog may soon not be written.
const FREE_BYTES_LOW: u64 = 1 << 30;

/// A clock that says an earlier time than this source was written is wrong: 2025-01-01.
const EARLIEST_UNIX_SECS: u64 = 1_735_689_600;

pub(super) fn sqlite() -> (Verdict, String) {
    /// Older ones can corrupt a write-ahead file.
    const OLDEST: i32 = 3_051_003;
    let version = rusqlite::version();
    if rusqlite::version_number() < OLDEST {
        return (Bad, format!("{version} is older than 3.51.3 and can corrupt its files"));
    }
    (Good, format!("{version}, built in"))
}

/// The folder itself, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let full = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    full.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new(".")).to_owned()
}

/// How long a small write takes until it is on the disk.
pub(super) fn disk(data: &Path) -> (Verdict, String) {
    let folder = nearest(data);
    match syncs(&folder) {
        Err(error) => (Bad, format!("{} cannot be written: {error}", folder.display())),
        Ok(mut took) => {
            took.sort();
            let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
            let ms = |took: Duration| took.as_secs_f64() * 1e3;
            let text = format!(
                "a sync takes {:.2} ms, {:.2} ms at worst of {SYNCS}",
                ms(median),
                ms(worst)
            );
            if median > SYNC_SLOW {
                (Doubtful, format!("{text}: slow; every step waits for one"))
            } else {
                (Good, text)
            }
        }
    }
}

fn syncs(folder: &Path) -> io::Result<Vec<Duration>> {
    let path = folder.join(format!(".amends-doctor-{}", std::process::id()));
    let measured = File::create(&path).and_then(|mut file| {
        let mut took = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let began = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            took.push(began.elapsed());
        }
        Ok(took)
    });
    let _ = fs::remove_file(&path); // it was not made, or the error says so already
    measured
}

pub(super) fn room(data: &Path) -> (Verdict, String) {
    let folder = nearest(data);
    match fs4::available_space(&folder) {
        Err(error) => (Doubtful, format!("not known: {error}")),
        Ok(free) => {
            let text = format!("{:.1} GiB free", free as f64 / f64::from(1 << 30));
            if free < FREE_BYTES_LOW {
                (Doubtful, format!("{text}: little; a full disk stops all work"))
            } else {
                (Good, text)
            }
        }
    }
}

pub(super) fn port(listen: SocketAddr) -> (Verdict, String) {
    match TcpListener::bind(listen) {
        Ok(_) => (Good, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            (Doubtful, format!("{listen} is taken, perhaps by a server that runs already"))
        }
        Err(error) => (Bad, format!("{listen} cannot be listened on: {error}")),
    }
}

pub(super) fn clock() -> (Verdict, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if now < EARLIEST_UNIX_SECS {
        return (Bad, "it stands before 2025: deadlines and ids would be wrong".to_owned());
    }
    let format = time::format_description::well_known::Rfc3339;
    let now =
        i64::try_from(now).ok().and_then(|now| time::OffsetDateTime::from_unix_timestamp(now).ok());
    let text = now.and_then(|now| now.format(&format).ok()).unwrap_or_default();
    (Good, format!("{text}; compare it with another"))
}

/// Opening is not tried: it would recover the journal, and that is the server's to do.
pub(super) fn folder(data: &Path) -> (Verdict, String) {
    let shown = data.display();
    if !data.exists() {
        return (Good, format!("{shown} is not there yet; a server makes it"));
    }
    let format = match fs::read_to_string(data.join("format")) {
        Ok(text) => text.lines().next().unwrap_or_default().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return (Good, format!("{shown} is empty so far"));
        }
        Err(error) => return (Bad, format!("{shown} cannot be read: {error}")),
    };
    let number: Option<u32> = format.rsplit(' ').next().and_then(|number| number.parse().ok());
    match number {
        Some(number) if number > amends_store_sqlite::FORMAT => {
            let ours = amends_store_sqlite::FORMAT;
            return (Bad, format!("{shown} has format {number}, and this version reads {ours}"));
        }
        Some(_) => {}
        None => return (Bad, format!("{shown} is no data folder of amends")),
    }
    let path = data.join("lock");
    let lock = OpenOptions::new().read(true).open(&path);
    match lock.map(|lock| lock.try_lock()) {
        Ok(Err(fs::TryLockError::WouldBlock)) => {
            let holder = fs::read_to_string(&path).unwrap_or_default().replace('\n', ", ");
            let holder = holder.trim_end_matches(", ").to_owned();
            (Doubtful, format!("{shown} is in use by a server ({holder})"))
        }
        _ => (Good, format!("{shown}: {format}, not in use")),
    }
}
