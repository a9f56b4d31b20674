//! A server in a process of its own, and commands that ask it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary, with nothing of this machine's settings.
pub fn amends() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    let settings = |name: &str| ["AMENDS_", "AWS_"].iter().any(|ours| name.starts_with(ours));
    for name in ours.filter(|name| settings(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command
}

/// A server that ends with the test.
pub struct Server {
    process: Child,
    pub url: String,
    log: PathBuf,
}

/// However busy the machine: what has not come by then never will.
const WITHIN: Duration = Duration::from_secs(60);

impl Server {
    /// Starts one on a free port, and waits until it listens.
    pub fn start(data: &Path, definition: &Path) -> Self {
        Self::start_with(data, definition, &[])
    }

    /// The same with more options.
    pub fn start_with(data: &Path, definition: &Path, more: &[&str]) -> Self {
        Self::start_in(&[], data, definition, more)
    }

    /// The same with more in the environment.
    pub fn start_in(env: &[(&str, &str)], data: &Path, definition: &Path, more: &[&str]) -> Self {
        let log = data.with_extension("log");
        let mut process = amends()
            .envs(env.iter().copied())
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--definitions")
            .arg(definition)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("amends listens on ").map(str::to_owned);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let url = url.unwrap_or_else(|| panic!("the server did not start: {line:?} {}", said()));
        Self { process, url, log }
    }

    /// Waits until its log has this.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let began = Instant::now();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if log.contains(words) {
                return;
            }
            assert!(began.elapsed() < WITHIN, "the server does not say {words:?}: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Runs a command against it.
    pub fn ask(&self, args: &[&str]) -> Output {
        amends().args(args).args(["--server", &self.url]).output().unwrap()
    }

    /// The same, with the exit code and the JSON that was printed.
    pub fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.ask(&[args, &["-o", "json"]].concat());
        let code = output.status.code().unwrap();
        let value = serde_json::from_slice(&output.stdout);
        (code, value.unwrap_or_else(|error| panic!("{error}: {}", words(&output))))
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as an operator would, and gives its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it has ended already
        let _ = self.process.wait();
    }
}

/// All that a command said.
pub fn words(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}
