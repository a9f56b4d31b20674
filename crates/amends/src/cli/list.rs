//! `amends list`: the sagas there are.

use clap::Args;
use serde::Deserialize;
use time::OffsetDateTime;

use super::client::{query, read};
use super::{Outcome, Session, columns, shown, times};

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
            Ok(table(&rows?, columns::width(), OffsetDateTime::now_utc()))
        })?;
        if rows.is_empty() {
            shown::say("no saga fits; one that was started this second may be missing still");
        } else if more {
            shown::say(format_args!("there are more; -n {} shows them", limit.saturating_mul(10)));
        }
        Ok(())
    }
}

/// On a terminal ids are short and times are counted from now; in a file both are whole.
fn table(rows: &[Row], width: Option<usize>, now: OffsetDateTime) -> String {
    let id_chars = columns::short_ids(rows.iter().map(|row| row.saga_id.as_str()));
    let cells = |row: &Row| match width {
        Some(_) => {
            let id = row.saga_id.get(..id_chars).unwrap_or(&row.saga_id);
            row.cells(id, times::ago(&row.created_at, now))
        }
        None => row.cells(&row.saga_id, row.created_at.clone()),
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    columns::table(&["SAGA", "TYPE", "STATE", "STARTED", "KEY", "WHY"], &rows, width)
}

impl Row {
    fn cells(&self, id: &str, started: String) -> Vec<String> {
        let mut state = self.state.clone().unwrap_or_else(|| "?".to_owned());
        if self.paused {
            state.push_str(" paused");
        }
        if !self.attention.is_empty() || self.unreadable.is_some() {
            state.push_str(" !");
        }
        let mut why = self.attention.join(", ");
        for text in [&self.unreadable, &self.error].into_iter().flatten() {
            if !why.is_empty() {
                why.push_str("; ");
            }
            why.push_str(text);
        }
        let key = self.business_key.clone().unwrap_or_default();
        vec![id.to_owned(), self.saga_type.clone(), state, started, key, why]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_80_characters_and_says_why() {
        let row = |id: &str, state: &str, attention: &[&str], error: Option<&str>| Row {
            saga_id: id.to_owned(),
            saga_type: "OrderFulfillment".to_owned(),
            state: Some(state.to_owned()),
            paused: false,
            attention: attention.iter().map(|&reason| reason.to_owned()).collect(),
            business_key: Some("o-1".to_owned()),
            error: error.map(str::to_owned),
            unreadable: None,
            created_at: "2026-01-31T12:00:00Z".to_owned(),
        };
        let why = "create_shipment: ADDRESS_UNKNOWN: the carrier does not find 1 Nowhere Lane";
        let rows = [
            row("01a219ab-b374-70d1-b06b-f5dfd978e516", "compensating", &["poison"], Some(why)),
            row("01a219aa-b493-77de-8876-9a5893dc272e", "completed", &[], None),
        ];
        let now = OffsetDateTime::from_unix_timestamp(1_769_861_000).unwrap();
        let text = table(&rows, Some(80), now);
        assert_eq!(
            text,
            "SAGA           TYPE              STATE           STARTED    KEY\n\
             01a219ab-b374  OrderFulfillment  compensating !  3 min ago  o-1\n    \
             why: poison; create_shipment: ADDRESS_UNKNOWN: the carrier does not find 1\n    \
             Nowhere Lane\n\
             01a219aa-b493  OrderFulfillment  completed       3 min ago  o-1\n"
        );
        let whole = table(&rows, None, now);
        assert!(whole.contains("01a219aa-b493-77de-8876-9a5893dc272e"), "{whole}");
        assert!(whole.contains("2026-01-31T12:00:00Z"), "{whole}");
    }
}
