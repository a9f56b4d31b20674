//! What all verbs share: who is asked, why, and what is shown afterwards.

use clap::Args;
use http::Method;
use serde_json::value::RawValue;

use super::client::With;
use super::input::Reason;
use super::{Outcome, Session, start};

/// How something is asked of a saga.
#[derive(Args, Debug)]
pub struct Act {
    #[command(flatten)]
    reason: Reason,
    /// Only if the saga is at this event still (its seq, as get -o json shows it)
    #[arg(long, value_name = "SEQ")]
    if_seq: Option<u64>,
}

/// The fields of a request, in the order in which they are given; raw JSON stays as it came.
pub type Fields = Vec<(&'static str, Box<RawValue>)>;

impl Act {
    /// Posts a verb with its fields and the reason, and shows the saga as it is then.
    pub async fn send(&self, session: &Session, saga: &str, path: &str, fields: Fields) -> Outcome {
        let reason = serde_json::json!(self.reason.get()?).to_string();
        let client = session.client()?;
        let id = client.saga_id(saga).await?;
        let mut body = format!("{{\"reason\":{reason}");
        for (name, value) in fields {
            body.push_str(&format!(",\"{name}\":{}", value.get()));
        }
        body.push('}');
        let with = With { seen: self.if_seq, ..With::json(body) };
        let answer = client.ask(Method::POST, &format!("/v1/sagas/{id}/{path}"), with).await?;
        start::show(session.output, &answer)
    }
}

/// A field of plain words or numbers.
pub fn field(name: &'static str, value: impl serde::Serialize) -> (&'static str, Box<RawValue>) {
    // Plain values: writing them cannot fail.
    (name, serde_json::value::to_raw_value(&value).unwrap_or_default())
}
