//! `amends dead-letters`: undos whose retries are used up, and sending them again.

use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::client::{With, query, read};
use super::input::{Reason, Sure};
use super::output::Form;
use super::saga_view::Fault;
use super::{Failure, Outcome, Session, columns, shown, times};

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
                shown::say(format_args!("{count} {would} again, {refused} could not"));
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
        shown::say("no dead letters");
    } else if session.output.output == Form::Table {
        shown::hint("amends retry SAGA STEP sends one now; resolve, edit or skip settle one");
        shown::hint("amends dead-letters retry sends all that fit");
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
        Ok(table(&read?, columns::width(), OffsetDateTime::now_utc()))
    })
}

/// On a terminal ids are short and times are counted from now; in a file both are whole.
fn table(letters: &[Letter], width: Option<usize>, now: OffsetDateTime) -> String {
    let id_chars = columns::short_ids(letters.iter().map(|letter| letter.saga_id.as_str()));
    let cells = |letter: &Letter| {
        let next = letter.next_attempt_at.as_deref();
        match width {
            Some(_) => {
                let id = letter.saga_id.get(..id_chars).unwrap_or(&letter.saga_id);
                letter.cells(id, next.map(|next| times::until(next, now)))
            }
            None => letter.cells(&letter.saga_id, next.map(str::to_owned)),
        }
    };
    let rows: Vec<_> = letters.iter().map(cells).collect();
    columns::table(&["SAGA", "STEP", "COMMAND", "SENT", "NEXT", "WHY"], &rows, width)
}

impl Letter {
    fn cells(&self, id: &str, next: Option<String>) -> Vec<String> {
        let next = next.unwrap_or_else(|| "-".to_owned());
        let why = match (&self.problem, &self.error) {
            (Some(problem), _) => format!("not sent: {}", problem.detail),
            (None, Some(fault)) => fault.words(),
            (None, None) => String::new(),
        };
        vec![
            id.to_owned(),
            self.step.clone(),
            self.command.clone(),
            self.attempts.to_string(),
            if self.poison { format!("{next}, then hourly") } else { next },
            why,
        ]
    }
}
