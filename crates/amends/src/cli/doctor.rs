//! `amends doctor`: is this installation fit to run?

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use amends_definition::{Severity, Transport};
use clap::Args;
use http::Uri;
use serde_json::value::RawValue;

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::output::{Form, print};
use super::{Outcome, Session, columns, shown};

/// How long a service has to take a connection.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Where a line has its words: after the mark and the name.
const WORDS_COLUMN: usize = 14;

/// How many syncs are measured.
const SYNCS: usize = 20;

/// A disk slower than this makes every saga slow: each waits for a few syncs.
const SYNC_SLOW: Duration = Duration::from_millis(20);

/// With less room the journal and the catalog may soon not be written.
const FREE_BYTES_LOW: u64 = 1 << 30;

/// A clock that says an earlier time than this source was written is wrong: 2025-01-01.
const EARLIEST_UNIX_SECS: u64 = 1_735_689_600;

/// Check this installation: the data folder, the disk, the port, the clock, the services
///
/// Changes nothing but for a small file that is written to measure the disk, and removed. Ends
/// with 1 when something keeps a server from running here.
#[derive(Args, Debug)]
pub struct Doctor {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "amends-data", env = "AMENDS_DATA")]
    data: PathBuf,
    /// Where a server would listen
    #[arg(long, value_name = "ADDR", default_value = super::serve::listen_default(), env = "AMENDS_LISTEN")]
    listen: SocketAddr,
    /// Definition files, or folders of them, whose services are called
    #[arg(long, value_name = "PATH", value_delimiter = ',', env = "AMENDS_DEFINITIONS")]
    definitions: Vec<PathBuf>,
    #[command(flatten)]
    env: AllowedEnv,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Doubtful,
    Bad,
}

use Verdict::{Bad, Doubtful, Good};

struct Report {
    form: Form,
    worst_is_bad: bool,
    /// For programs, at the end.
    rows: Vec<Box<RawValue>>,
}

impl Report {
    /// A line for people at once: a service that is not there takes its time.
    fn say(&mut self, verdict: Verdict, name: &str, text: &str) -> Outcome {
        self.worst_is_bad |= verdict == Bad;
        let (mark, style, word) = match verdict {
            Good => ("✓", "32", "good"),
            Doubtful => ("!", "33", "doubtful"),
            Bad => ("✗", "31", "bad"),
        };
        if self.form == Form::Table {
            let mark = shown::paint(mark, style, shown::colour_out());
            let words = columns::below(text, WORDS_COLUMN, columns::width());
            return print(&format!("{mark} {name:11} {}", words.trim_start()));
        }
        let row = serde_json::json!({"check": name, "verdict": word, "detail": text}).to_string();
        self.rows.push(super::client::read(&row)?);
        Ok(())
    }
}

impl Doctor {
    pub fn run(self, session: &Session) -> Outcome {
        let form = session.output.output;
        let mut report = Report { form, worst_is_bad: false, rows: Vec::new() };
        let (verdict, text) = sqlite();
        report.say(verdict, "sqlite", &text)?;
        let (verdict, text) = self.folder();
        report.say(verdict, "data folder", &text)?;
        let (verdict, text) = disk(&self.data);
        report.say(verdict, "disk", &text)?;
        let (verdict, text) = room(&self.data);
        report.say(verdict, "room", &text)?;
        let (verdict, text) = port(self.listen);
        report.say(verdict, "port", &text)?;
        let (verdict, text) = clock();
        report.say(verdict, "clock", &text)?;
        for path in definition_file::found(&self.definitions)? {
            self.definition(&path, &mut report)?;
        }
        if form != Form::Table {
            session.output.many(&report.rows, || Ok(String::new()))?;
        }
        if report.worst_is_bad { Err(Failure::silent(Exit::Error)) } else { Ok(()) }
    }

    /// Opening is not tried: it would recover the journal, and that is the server's to do.
    fn folder(&self) -> (Verdict, String) {
        let shown = self.data.display();
        if !self.data.exists() {
            return (Good, format!("{shown} is not there yet; a server makes it"));
        }
        let format = match fs::read_to_string(self.data.join("format")) {
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
                return (
                    Bad,
                    format!("{shown} has format {number}, and this version reads {ours}"),
                );
            }
            Some(_) => {}
            None => return (Bad, format!("{shown} is no data folder of amends")),
        }
        let path = self.data.join("lock");
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

    fn definition(&self, path: &Path, report: &mut Report) -> Outcome {
        let checked = definition_file::read(path, &self.env)?;
        let shown = path.display();
        let errors = checked.count(Severity::Error);
        let Some(compiled) = checked.compiled else {
            report.say(
                Bad,
                "definition",
                &format!("{shown}: {errors} errors; amends check {shown} shows them"),
            )?;
            return Ok(());
        };
        report.say(Good, "definition", &format!("{shown}: {}", compiled.definition.saga_type()))?;
        for (name, binding) in &compiled.bindings.0 {
            let (verdict, text) = match &binding.transport {
                Some(Transport::Http { url: Some(url) }) => reach(url),
                Some(Transport::Http { url: None }) => {
                    (Bad, "its url needs an environment variable that is not set".to_owned())
                }
                Some(_) => (Bad, "it is reached by a broker; this server carries HTTP".to_owned()),
                None => (Bad, "it is not said how it is reached".to_owned()),
            };
            report.say(verdict, "service", &format!("{name}: {text}"))?;
            if let Some(variable) = &binding.secret_env
                && std::env::var_os(variable).is_none()
            {
                report.say(Bad, "secret", &format!("{name}: {variable} is not set"))?;
            }
        }
        Ok(())
    }
}

fn sqlite() -> (Verdict, String) {
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
fn disk(data: &Path) -> (Verdict, String) {
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

fn room(data: &Path) -> (Verdict, String) {
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

fn port(listen: SocketAddr) -> (Verdict, String) {
    match TcpListener::bind(listen) {
        Ok(_) => (Good, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            (Doubtful, format!("{listen} is taken, perhaps by a server that runs already"))
        }
        Err(error) => (Bad, format!("{listen} cannot be listened on: {error}")),
    }
}

fn clock() -> (Verdict, String) {
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

/// Does anything take connections at this address?
fn reach(url: &str) -> (Verdict, String) {
    let uri: Option<Uri> = url.parse().ok();
    let Some((host, port)) = uri.as_ref().and_then(|uri| {
        let port = uri.port_u16().or(match uri.scheme_str()? {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        })?;
        Some((uri.host()?.trim_matches(['[', ']']).to_owned(), port))
    }) else {
        return (Bad, "its url cannot be read".to_owned());
    };
    let addresses = match (host.as_str(), port).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return (Bad, format!("{host} is not found: {error}")),
    };
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_MAX) {
            Ok(_) => return (Good, format!("{host}:{port} takes connections")),
            Err(error) => why = format!("{host}:{port} takes no connection: {error}"),
        }
    }
    (Bad, why)
}
