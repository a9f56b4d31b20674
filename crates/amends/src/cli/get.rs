//! `amends get`: one saga, or its history.

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::client::{With, read};
use super::saga_view::short_time;
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
            return start::show(session.output, &answer);
        }
        let page = client.page(&format!("/v1/sagas/{id}/history"), "events").await?;
        session.output.many(&page.rows, || {
            let mut rows = Vec::new();
            for row in &page.rows {
                let mut event: Event = read(row.get())?;
                let name = event.rest.remove("event").or_else(|| event.rest.remove("type"));
                let mut fields: Vec<_> = event
                    .rest
                    .iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| match value {
                        Value::String(text) => format!("{name}={text}"),
                        other => format!("{name}={other}"),
                    })
                    .collect();
                fields.sort();
                rows.push(vec![
                    event.seq.to_string(),
                    short_time(&event.at),
                    name.as_ref().and_then(Value::as_str).unwrap_or("-").to_owned(),
                    fields.join(" "),
                ]);
            }
            Ok(columns::table(&["SEQ", "AT", "EVENT", "WHAT"], &rows, columns::width()))
        })
    }
}
