//! What the server says when it is up: where, on what, and what it took over.

use std::time::Duration;

use amends_engine::{Handle, state_in, words};
use amends_store::{AttentionFilter, Query};

use super::super::{output, shown};
use super::logs::{LogFormat, Logs};
use super::{Serve, definitions};

/// Prints the address on stdout, and the rest on stderr.
pub async fn print(logs: &Logs, serve: &Serve, handle: &Handle, url: &str, took: Duration) {
    let sagas = sagas(handle).await;
    let served = definitions::served(handle);
    let data = serve.data.display().to_string();
    match serve.log_format {
        LogFormat::Json => {
            let took_ms = took.as_millis() as u64;
            tracing::info!(url, data, sagas, definitions = served, took_ms, "listening");
        }
        LogFormat::Text => {
            let version = env!("CARGO_PKG_VERSION");
            let strong = |text: &str| shown::paint(text, "1", logs.colour());
            shown::say(strong(&format!("amends {version}")));
            shown::say(format_args!("  data         {data}: {sagas} ({} ms)", took.as_millis()));
            shown::say(format_args!("  definitions  {served}"));
            if served == "none" {
                shown::say("               name files with --definitions, or POST /v1/definitions");
            }
            if serve.tokens.is_none() {
                shown::say("  access       everybody on this machine (--tokens limits it)");
            }
            if serve.listen.ip().is_unspecified() && serve.public_url.is_none() {
                shown::say(
                    "  replies      only in the answer itself (--public-url for later ones)",
                );
            }
        }
    }
    // Who does not read it loses nothing: the server runs.
    let _ = output::print(&format!("amends listens on {url}\n"));
}

/// What the data folder held, in words.
async fn sagas(handle: &Handle) -> String {
    let Ok(counts) = handle.counts().await else { return "sagas cannot be counted".to_owned() };
    let (mut running, mut ended) = (0, 0);
    for count in &counts {
        match state_in(count.state).map(words::state) {
            Some("completed" | "failed") => ended += count.sagas,
            _ => running += count.sagas,
        }
    }
    if running + ended == 0 {
        return "no sagas yet".to_owned();
    }
    let s = if running == 1 { "" } else { "s" };
    let mut text = format!("{running} running saga{s} recovered, {ended} ended");
    let attention = Query {
        attention: Some(AttentionFilter::AnyOf(u32::MAX)),
        limit: amends_store::PAGE_ROWS_MAX,
        ..Query::default()
    };
    if let Ok(page) = handle.list(attention, None).await
        && !page.rows.is_empty()
    {
        let more = if page.next.is_some() { " or more" } else { "" };
        let rows = page.rows.len();
        let need = if rows == 1 { "needs" } else { "need" };
        text.push_str(&format!(", {rows}{more} {need} a person"));
    }
    text
}
