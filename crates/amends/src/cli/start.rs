//! `amends start`: starts a saga, and waits for its end where that is wanted.

use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use time::OffsetDateTime;

use super::client::{Answer, Client, With, escaped, query};
use super::output::{Form, Output};
use super::saga_view::SagaView;
use super::{Outcome, Session, columns, input, shown};

/// How long the server is asked to wait at a time. It answers early when the saga ends, but not
/// when the saga needs a person, and who waits wants to know that soon, too.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Start a saga
///
/// With --wait it ends with 0 when the saga completed, 10 when it failed and was rolled back, 11
/// when it needs a person, 12 when the time was up first.
#[derive(Args, Debug)]
pub struct Start {
    /// The saga type
    saga_type: String,
    /// The saga's data: JSON text, @file, or - for stdin
    #[arg(short, long, value_name = "JSON", default_value = "{}")]
    data: String,
    /// The idempotency key: the same key with the same data gives the same saga
    #[arg(short, long)]
    key: Option<String>,
    /// The version; the current one when not said
    #[arg(long)]
    version: Option<u32>,
    /// Wait for the end, at most so long
    #[arg(short, long, value_name = "TIME", value_parser = input::duration)]
    wait: Option<Duration>,
}

impl Start {
    pub async fn run(self, session: &Session) -> Outcome {
        let data = input::json("--data", &self.data)?;
        let client = session.client()?;
        let began = Instant::now();
        let wait = self.wait.map(one_wait);
        let wait_text = wait.map(|wait| format!("{}ms", wait.as_millis()));
        let version = self.version.map(|version| version.to_string());
        let query = query(&[("wait", wait_text.as_deref()), ("version", version.as_deref())]);
        let path = format!("/v1/sagas/{}{query}", escaped(&self.saga_type));
        let with = With {
            idempotency_key: self.key.clone(),
            wait: wait.unwrap_or_default(),
            ..With::json(data)
        };
        let mut answer = client.ask(Method::POST, &path, with).await?;
        let Some(limit) = self.wait else {
            show(&client, session.output, &answer).await?;
            let view: SagaView = answer.read()?;
            if session.output.output == Form::Table && !view.ended() {
                shown::hint(format_args!("amends watch {}", view.saga_id));
            }
            return Ok(());
        };
        let mut view: SagaView = answer.read()?;
        while !view.ended() && view.attention.is_empty() {
            let left = limit.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            answer = wait_for(&client, &view.saga_id, left).await?;
            view = answer.read()?;
        }
        show(&client, session.output, &answer).await?;
        view.outcome()
    }
}

/// Shows the saga that an answer holds, and says what can be done about it.
pub async fn show(client: &Client, output: Output, answer: &Answer) -> Outcome {
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    output.one(text, || {
        let view = answer.read::<SagaView>()?;
        Ok(view.tree(columns::width(), shown::colour_out(), OffsetDateTime::now_utc()))
    })?;
    if output.output == Form::Table {
        let view = answer.read::<SagaView>()?;
        view.next(&client.signals(&view).await).iter().for_each(shown::hint);
    }
    Ok(())
}

/// Waits for a saga's end, as long as one request takes.
async fn wait_for(client: &Client, id: &str, left: Duration) -> Result<Answer, super::Failure> {
    let wait = one_wait(left);
    let path = format!("/v1/sagas/{id}?wait={}ms", wait.as_millis());
    client.ask(Method::GET, &path, With { wait, ..With::default() }).await
}

/// As much of a wait as one request takes. At least a millisecond: zero would ask without end.
fn one_wait(wait: Duration) -> Duration {
    wait.clamp(Duration::from_millis(1), LOOK_EVERY)
}
