//! What the server says of its sagas, read to the end of its lists.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::api::{Answer, Api};
use crate::order::{self, STEPS};

/// How many sagas are read side by side.
const READERS: usize = 8;

/// A saga, and what its order is to come to.
#[derive(Clone, Debug)]
pub struct Served {
    pub saga_id: String,
    pub order_id: String,
    pub state: String,
    /// It owes something, whatever its state.
    pub is_live: bool,
    /// What a person is needed for, and what makes its end not clean.
    pub trouble: Vec<String>,
    /// How much each step moves.
    pub amounts: [i64; STEPS.len()],
    pub refused_at: Option<usize>,
}

impl Served {
    /// The `n`th order's saga, as it should be at its end.
    pub fn as_it_should_be(n: u64, saga_id: &str) -> Self {
        let refused_at = order::refused_at(n);
        let order = order::order(n);
        Self {
            saga_id: saga_id.to_owned(),
            order_id: order::name(n),
            state: if refused_at.is_some() { "failed" } else { "completed" }.to_owned(),
            is_live: false,
            trouble: Vec::new(),
            amounts: std::array::from_fn(|place| order.amount(place)),
            refused_at,
        }
    }
}

/// All sagas, and the replies that found none.
pub async fn of_the_server(api: &Api) -> Result<(Vec<Served>, Vec<String>), String> {
    let mut rows = Vec::new();
    let first = format!("/v1/sagas?limit=1000&at_least={}", api.position());
    let mut path = first.clone();
    loop {
        let page = page(api, &path).await?;
        rows.extend(page["sagas"].as_array().cloned().ok_or(format!("{path}: {page}"))?);
        match page["next"].as_str() {
            Some(next) => path = format!("{first}&cursor={next}"),
            None => break,
        }
    }
    let read = stream::iter(&rows).map(|row| one(api, row)).buffer_unordered(READERS);
    let served = read.try_collect().await?;
    let orphans = page(api, "/v1/orphans").await?;
    let orphans = orphans["orphans"].as_array().ok_or(format!("orphans: {orphans}"))?;
    Ok((served, orphans.iter().map(Value::to_string).collect()))
}

async fn one(api: &Api, row: &Value) -> Result<Served, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let saga_id = text(&row["saga_id"]);
    let saga = page(api, &format!("/v1/sagas/{saga_id}")).await?;
    let order_id = text(&saga["data"]["order_id"]);
    let n = order_id.strip_prefix("order-").and_then(|n| n.parse().ok());
    let n = n.ok_or_else(|| format!("{saga_id} is no order: {saga}"))?;
    let places = ["attention", "exceptions"].map(|place| (place, &saga[place]));
    let trouble = places.into_iter().flat_map(|(place, list)| {
        let items = list.as_array().into_iter().flatten();
        items.map(move |item| format!("{place}: {item}"))
    });
    Ok(Served {
        state: text(&saga["state"]),
        is_live: row["live"] != false,
        trouble: trouble.collect(),
        ..Served::as_it_should_be(n, &saga_id)
    })
}

async fn page(api: &Api, path: &str) -> Result<Value, String> {
    match api.get(path).await {
        Answer::Of(200, page) => Ok(page),
        other => Err(format!("{path} was answered {other:?}")),
    }
}
