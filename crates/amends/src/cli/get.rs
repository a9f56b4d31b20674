//! `amends get`: one saga, or its history.

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::client::{With, read};
use super::saga_view::Fault;
use super::times::seconds;
use super::{Outcome, Session, columns, start};

/// Show a saga with all its steps, those still to come included
#[derive(Args, Debug)]
pub struct Get {
    /// Its id, the beginning of it, or its business key
    saga: String,
    /// Everything that happened to it instead, event by event
    #[arg(long)]
    history: bool,
}

#[derive(Deserialize)]
struct Event {
    seq: u64,
    at: String,
    #[serde(alias = "type")]
    event: Option<String>,
    step: Option<String>,
    direction: Option<String>,
    round: Option<u32>,
    attempt: Option<u32>,
    error: Option<Fault>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Get {
    pub async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let id = client.saga_id(&self.saga).await?;
        if !self.history {
            let answer =
                client.ask(Method::GET, &format!("/v1/sagas/{id}"), With::default()).await?;
            return start::show(&client, session.output, &answer).await;
        }
        let page = client.page(&format!("/v1/sagas/{id}/history"), "events").await?;
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
