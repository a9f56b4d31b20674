//! `amends get`: one saga, or its history.

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::client::{With, read};
use super::saga_view::Fault;
use super::times::seconds;
use super::{Outcome, Session, columns, output, saga_diagram, start};

/// Show a saga with all its steps, those still to come included
#[derive(Args, Debug)]
pub struct Get {
    /// Its id, the beginning of it, or its business key
    saga: String,
    /// Everything that happened to it instead, event by event
    #[arg(long)]
    history: bool,
    /// The same as a Mermaid sequence diagram, for Markdown, with what is expected next
    #[arg(long, conflicts_with = "history")]
    diagram: bool,
}

/// One event of a history.
#[derive(Deserialize)]
pub struct Event {
    seq: u64,
    at: String,
    #[serde(alias = "type")]
    pub event: Option<String>,
    pub step: Option<String>,
    pub direction: Option<String>,
    round: Option<u32>,
    pub attempt: Option<u32>,
    pub error: Option<Fault>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Get {
    pub async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let id = client.saga_id(&self.saga).await?;
        if !self.history && !self.diagram {
            let answer =
                client.ask(Method::GET, &format!("/v1/sagas/{id}"), With::default()).await?;
            return start::show(&client, session.output, &answer).await;
        }
        let page = client.page(&format!("/v1/sagas/{id}/history"), "events").await?;
        if self.diagram {
            let answer =
                client.ask(Method::GET, &format!("/v1/sagas/{id}"), With::default()).await?;
            let events: Result<Vec<Event>, _> =
                page.rows.iter().map(|row| read(row.get())).collect();
            return output::print(&saga_diagram::mermaid(&answer.read()?, &events?));
        }
        session.output.many(&page.rows, || {
            let rows: Result<Vec<Event>, _> = page.rows.iter().map(|row| read(row.get())).collect();
            let rows: Vec<_> = rows?.iter().map(Event::cells).collect();
            Ok(columns::table(
                &["SEQ", "AT (UTC)", "EVENT", "STEP", "DETAIL"],
                &rows,
                columns::width(),
            ))
        })
    }
}

impl Event {
    /// A member that not all events have, where it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.rest.get(name).and_then(Value::as_str)
    }

    fn cells(&self) -> Vec<String> {
        let undo = if self.direction.as_deref() == Some("compensation") { " (undo)" } else { "" };
        let step = self.step.as_ref().map(|step| format!("{step}{undo}"));
        let mut what = Vec::new();
        what.extend(self.error.as_ref().map(Fault::words));
        what.extend(self.attempt.map(|attempt| format!("attempt {attempt}")));
        what.extend(self.round.filter(|round| *round > 1).map(|round| format!("round {round}")));
        // `until` is when an attempt counts as unanswered; it is in the other forms.
        let rest = self.rest.iter().filter(|(name, value)| *name != "until" && !is_empty(value));
        what.extend(rest.map(|(name, value)| match value {
            Value::String(text) if name == "what" || name == "note" => text.clone(),
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        }));
        let event = self.event.clone().unwrap_or_default();
        vec![
            self.seq.to_string(),
            seconds(&self.at),
            event,
            step.unwrap_or_default(),
            what.join(", "),
        ]
    }
}

/// Does it say nothing? A step without an input of its own has a list with a null.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|items| items.iter().all(Value::is_null))
}
