//! `amends list`: the sagas there are.

use clap::Args;
use serde::Deserialize;

use super::client::{query, read};
use super::{Outcome, Session, columns};

/// The largest page that the server gives.
const PAGE_ROWS_MAX: usize = 1000;

/// List sagas, the youngest first; at most a second behind
#[derive(Args, Debug)]
pub struct List {
    /// Of this type
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    saga_type: Option<String>,
    /// In this state
    #[arg(short, long, value_parser = ["started", "pending", "compensating", "completed", "failed"])]
    state: Option<String>,
    /// Those that need a person: any, or reasons such as poison,contract
    #[arg(short, long, value_name = "REASONS", num_args = 0..=1, default_missing_value = "any")]
    attention: Option<String>,
    /// Those that are stuck: they need a person, or make no progress
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    stuck: Option<bool>,
    /// Paused, or not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    paused: Option<bool>,
    /// Still owing something, or not; also after the end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    live: Option<bool>,
    /// With this business key
    #[arg(short, long)]
    key: Option<String>,
    /// Created at this instant or later (RFC 3339)
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    /// Created before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    /// The oldest first
    #[arg(long)]
    oldest: bool,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Deserialize)]
struct Row {
    saga_id: String,
    saga_type: String,
    state: Option<String>,
    paused: bool,
    attention: Vec<String>,
    business_key: Option<String>,
    error: Option<String>,
    unreadable: Option<String>,
    created_at: String,
}

impl List {
    pub async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let limit = self.limit as usize;
        let page_rows = limit.min(PAGE_ROWS_MAX).to_string();
        let said = |said: Option<bool>| said.map(|said| said.to_string());
        let [stuck, paused, live] = [self.stuck, self.paused, self.live].map(said);
        let (mut rows, mut cursor) = (Vec::new(), None);
        loop {
            let query = query(&[
                ("saga_type", self.saga_type.as_deref()),
                ("state", self.state.as_deref()),
                ("attention", self.attention.as_deref()),
                ("stuck", stuck.as_deref()),
                ("paused", paused.as_deref()),
                ("live", live.as_deref()),
                ("business_key", self.key.as_deref()),
                ("created_from", self.since.as_deref()),
                ("created_to", self.until.as_deref()),
                ("order", self.oldest.then_some("oldest")),
                ("limit", Some(&page_rows)),
                ("cursor", cursor.as_deref()),
            ]);
            let page = client.page(&format!("/v1/sagas{query}"), "sagas").await?;
            rows.extend(page.rows);
            cursor = page.next;
            if cursor.is_none() || rows.len() >= limit {
                break;
            }
        }
        let more = cursor.is_some() || rows.len() > limit;
        rows.truncate(limit);
        session.output.many(&rows, || {
            let rows: Result<Vec<Row>, _> = rows.iter().map(|row| read(row.get())).collect();
            let rows: Vec<_> = rows?.iter().map(Row::cells).collect();
            let heads = ["SAGA", "TYPE", "STATE", "STARTED", "KEY", "WHY"];
            Ok(columns::table(&heads, &rows, columns::width()))
        })?;
        if rows.is_empty() {
            eprintln!("no sagas fit");
        } else if more {
            eprintln!("there are more; -n {} shows them", limit.saturating_mul(10));
        }
        Ok(())
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let mut state = self.state.clone().unwrap_or_else(|| "?".to_owned());
        if self.paused {
            state.push_str(" paused");
        }
        if !self.attention.is_empty() || self.unreadable.is_some() {
            state.push_str(" !");
        }
        let mut why = self.attention.join(",");
        for text in [&self.unreadable, &self.error].into_iter().flatten() {
            if !why.is_empty() {
                why.push_str("; ");
            }
            why.push_str(text);
        }
        vec![
            self.saga_id.clone(),
            self.saga_type.clone(),
            state,
            minute(&self.created_at),
            self.business_key.clone().unwrap_or_default(),
            why,
        ]
    }
}

/// `01-31 23:59` of RFC 3339: with an id and a type beside it, a line has 80 characters.
fn minute(text: &str) -> String {
    text.get(5..16).unwrap_or(text).replace('T', " ")
}
