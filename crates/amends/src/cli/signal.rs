//! `amends signal`: brings a signal that a step waits for.

use clap::Args;
use http::Method;

use super::client::{With, escaped};
use super::{Outcome, Session, input, start};

/// Bring a signal; its body is the result of the step that waits for it
#[derive(Args, Debug)]
pub struct Signal {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The signal's name
    name: String,
    /// Its body: JSON text, @file, or - for stdin
    #[arg(short, long, value_name = "JSON", default_value = "null")]
    data: String,
}

impl Signal {
    pub async fn run(self, session: &Session) -> Outcome {
        let body = input::json("--data", &self.data)?;
        let client = session.client()?;
        let id = client.saga_id(&self.saga).await?;
        let path = format!("/v1/sagas/{id}/signals/{}", escaped(&self.name));
        let answer = client.ask(Method::POST, &path, With::json(body)).await?;
        start::show(&client, session.output, &answer).await
    }
}
