//! `amends dead-letters`: undos whose retries are used up, and sending them again.

use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::client::{With, query, read};
use super::input::{Reason, Sure};
use super::saga_view::{Fault, short_time};
use super::{Failure, Outcome, Session, columns};

/// List dead letters (undos whose retries are used up), or send them again
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeadLetters {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Send dead letters again now, all that fit; --dry-run shows which
    Retry {
        #[command(flatten)]
        filter: Filter,
        /// Only show what would be sent
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reason: Reason,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(Args, Debug)]
struct Filter {
    /// Of sagas of this type
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    saga_type: Option<String>,
    /// Of this service
    #[arg(long)]
    service: Option<String>,
    /// Of this step
    #[arg(long)]
    step: Option<String>,
    /// Only those that were given up, or only those that were not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    poison: Option<bool>,
}

#[derive(Deserialize)]
struct Letter {
    saga_id: String,
    step: String,
    command: String,
    poison: bool,
    attempts: u32,
    next_attempt_at: Option<String>,
    error: Option<Fault>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl DeadLetters {
    pub async fn run(self, session: &Session) -> Outcome {
        match self.act {
            None => list(session, &self.filter).await,
            Some(Act::Retry { filter, dry_run, reason, sure }) => {
                let reason = if dry_run { "preview".to_owned() } else { reason.get()? };
                if !dry_run {
                    let (_, count) = retry(session, &filter, true, &reason).await?;
                    sure.ask(&format!("send {count} dead letters again"))?;
                }
                let (letters, count) = retry(session, &filter, dry_run, &reason).await?;
                show(session, &letters)?;
                let refused = letters.len() - count;
                let would = if dry_run { "would be sent" } else { "sent" };
                eprintln!("{count} {would} again, {refused} could not");
                Ok(())
            }
        }
    }
}

async fn list(session: &Session, filter: &Filter) -> Outcome {
    let client = session.client()?;
    let poison = filter.poison.map(|poison| poison.to_string());
    let (mut letters, mut cursor) = (Vec::new(), None);
    loop {
        let query = query(&[
            ("saga_type", filter.saga_type.as_deref()),
            ("service", filter.service.as_deref()),
            ("step", filter.step.as_deref()),
            ("poison", poison.as_deref()),
            ("cursor", cursor.as_deref()),
        ]);
        let page = client.page(&format!("/v1/dead-letters{query}"), "dead_letters").await?;
        letters.extend(page.rows);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    show(session, &letters)?;
    if letters.is_empty() {
        eprintln!("no dead letters");
    }
    Ok(())
}

/// Sends them again, page by page; gives them, and how many were sent.
async fn retry(
    session: &Session,
    filter: &Filter,
    dry_run: bool,
    reason: &str,
) -> Result<(Vec<Box<RawValue>>, usize), Failure> {
    #[derive(Deserialize)]
    struct Redriven {
        retried: usize,
        results: Vec<Box<RawValue>>,
        next: Option<String>,
    }
    let client = session.client()?;
    let (mut letters, mut count, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let body = json!({
            "filter": {
                "saga_type": filter.saga_type,
                "service": filter.service,
                "step": filter.step,
                "poison": filter.poison,
            },
            "dry_run": dry_run,
            "cursor": cursor,
            "reason": reason,
        });
        let with = With::json(body.to_string());
        let answer = client.ask(Method::POST, "/v1/dead-letters/retry", with).await?;
        let page: Redriven = answer.read()?;
        letters.extend(page.results);
        count += page.retried;
        cursor = page.next;
        if cursor.is_none() {
            return Ok((letters, count));
        }
    }
}

fn show(session: &Session, letters: &[Box<RawValue>]) -> Outcome {
    session.output.many(letters, || {
        let read: Result<Vec<Letter>, _> = letters.iter().map(|row| read(row.get())).collect();
        let rows: Vec<_> = read?.iter().map(Letter::cells).collect();
        let heads = ["SAGA", "STEP", "COMMAND", "SENT", "NEXT", "WHY"];
        Ok(columns::table(&heads, &rows, columns::width()))
    })
}

impl Letter {
    fn cells(&self) -> Vec<String> {
        let next = self.next_attempt_at.as_deref().map_or_else(|| "-".to_owned(), short_time);
        let why = match (&self.problem, &self.error) {
            (Some(problem), _) => format!("not sent: {}", problem.detail),
            (None, Some(fault)) => match &fault.code {
                Some(code) => format!("{code}: {}", fault.message),
                None => fault.message.clone(),
            },
            (None, None) => String::new(),
        };
        vec![
            self.saga_id.clone(),
            self.step.clone(),
            self.command.clone(),
            self.attempts.to_string(),
            if self.poison { format!("{next} (poison)") } else { next },
            why,
        ]
    }
}
