//! `amends resolve`: takes an outcome as given.

use clap::{Args, ValueEnum};
use serde_json::value::RawValue;

use super::act::{self, Act, field};
use super::client::{self, escaped};
use super::input;
use super::input::Sure;
use super::saga_view::SagaView;
use super::{Outcome, Session};

/// Take an outcome as given, because you know it
#[derive(Args, Debug)]
pub struct Resolve {
    /// The saga: its id, the beginning of it, or its business key
    saga: String,
    /// The step, as get shows it (<step>.<i> for one run of many)
    step: String,
    /// What it came to; an undo is always completed
    #[arg(long = "as", value_enum, default_value_t = As::Completed)]
    outcome: As,
    /// The result of a completed action: JSON text, @file, or - for stdin
    #[arg(long, value_name = "JSON")]
    result: Option<String>,
    /// Also while an attempt is in flight and may be answered any moment
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    act: Act,
    #[command(flatten)]
    sure: Sure,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum As {
    Completed,
    Refused,
}

impl As {
    const fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
        }
    }
}

impl Resolve {
    pub async fn run(self, session: &Session) -> Outcome {
        let result = self.result.as_deref().map(|result| input::json("--result", result));
        let result: Option<Box<RawValue>> =
            result.transpose()?.map(|text| client::read(&text)).transpose()?;
        let question = |saga: &SagaView| {
            let (part, outcome) = (saga.part(&self.step), self.outcome.word());
            format!("take {part} as {outcome}")
        };
        let saga = act::sure(session, &self.saga, &self.sure, question).await?;
        let mut fields = vec![field("as", self.outcome.word()), field("force", self.force)];
        fields.extend(result.map(|result| ("result", result)));
        let path = format!("steps/{}/resolve", escaped(&self.step));
        self.act.send(session, &saga, &path, fields).await
    }
}
