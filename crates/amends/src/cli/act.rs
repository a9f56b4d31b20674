//! What all verbs share: who is asked, why, and what is shown afterwards.

use clap::Args;
use http::Method;
use serde_json::value::RawValue;

use super::client::With;
use super::exit::Failure;
use super::input::{Reason, Sure};
use super::saga_view::SagaView;
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
        start::show(&client, session.output, &answer).await
    }
}

/// Asks before something that cannot be taken back, by the saga's own names, and gives its whole
/// id: what was said may soon mean another.
pub async fn sure(
    session: &Session,
    saga: &str,
    sure: &Sure,
    question: impl FnOnce(&SagaView) -> String,
) -> Result<String, Failure> {
    let client = session.client()?;
    let id = client.saga_id(saga).await?;
    if !sure.yes {
        let view: SagaView = client.get(&format!("/v1/sagas/{id}")).await?;
        sure.ask_about(&view.named(), &question(&view))?;
    }
    Ok(id)
}

/// A field of plain words or numbers.
pub fn field(name: &'static str, value: impl serde::Serialize) -> (&'static str, Box<RawValue>) {
    // Plain values: writing them cannot fail.
    (name, serde_json::value::to_raw_value(&value).unwrap_or_default())
}
