//! `amends definitions`: the saga types a server has, and bringing one in.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;

use super::client::{With, escaped, read};
use super::exit::Exit;
use super::{Outcome, Session, columns, definition_file, shown};

/// List the saga types of a server, show one, or bring one in
#[derive(Args, Debug)]
pub struct Definitions {
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show a saga type
    Get {
        /// The type
        saga_type: String,
        /// The version; the newest when not said
        version: Option<u32>,
    },
    /// Bring a definition file in; it can use no environment and no other file
    Deploy {
        /// The file
        file: PathBuf,
    },
}

#[derive(Deserialize)]
struct Summary {
    saga_type: String,
    version: u32,
    steps: Vec<String>,
    services: Vec<String>,
}

#[derive(Deserialize)]
struct Definition {
    saga_type: String,
    version: u32,
    hash: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    name: String,
    kind: String,
    action: Option<String>,
    compensation: Option<String>,
    signal: Option<String>,
}

impl Definitions {
    pub async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let answer = match self.act {
            None => {
                let page = client.page("/v1/definitions", "definitions").await?;
                if page.rows.is_empty() {
                    shown::say("the server has no definitions; amends definitions deploy FILE");
                }
                return session.output.many(&page.rows, || {
                    let read: Result<Vec<Summary>, _> =
                        page.rows.iter().map(|row| read(row.get())).collect();
                    let rows: Vec<_> = read?.iter().map(Summary::cells).collect();
                    let heads = ["TYPE", "VERSION", "STEPS", "SERVICES"];
                    Ok(columns::table(&heads, &rows, columns::width()))
                });
            }
            Some(Act::Get { saga_type, version }) => {
                let version = version.map(|version| format!("/{version}")).unwrap_or_default();
                let path = format!("/v1/definitions/{}{version}", escaped(&saga_type));
                client.ask(Method::GET, &path, With::default()).await?
            }
            Some(Act::Deploy { file }) => {
                let text = definition_file::bytes(&file)?;
                let body = Some(("application/yaml", text.into()));
                let with = With { body, ..With::default() };
                let asked = client.ask(Method::POST, "/v1/definitions", with).await;
                asked.map_err(|failure| {
                    if failure.is(Exit::Usage) {
                        failure.hint(format_args!("amends check {} shows why", file.display()))
                    } else {
                        failure
                    }
                })?
            }
        };
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        session.output.one(text, || Ok(answer.read::<Definition>()?.shown()))
    }
}

impl Summary {
    fn cells(&self) -> Vec<String> {
        vec![
            self.saga_type.clone(),
            self.version.to_string(),
            self.steps.len().to_string(),
            self.services.join(", "),
        ]
    }
}

impl Definition {
    fn shown(&self) -> String {
        const HASH_CHARS: usize = 12;
        let hash = self.hash.get(..HASH_CHARS).unwrap_or(&self.hash);
        let rows: Vec<_> = self.steps.iter().map(Step::cells).collect();
        let heads = ["STEP", "KIND", "ACTION", "UNDONE BY"];
        let table = columns::table(&heads, &rows, columns::width());
        format!("{} v{}  {hash}\n{table}", self.saga_type, self.version)
    }
}

impl Step {
    fn cells(&self) -> Vec<String> {
        let signal = self.signal.as_ref().map(|signal| format!("signal {signal}"));
        vec![
            self.name.clone(),
            self.kind.clone(),
            self.action.clone().or(signal).unwrap_or_default(),
            self.compensation.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}
