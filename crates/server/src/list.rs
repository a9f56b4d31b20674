//! Lists of sagas, page by page.

use std::ops::Range;
use std::sync::Arc;

use amends_core::saga;
use amends_engine::{REASON_BITS, UNREADABLE_BIT, state_in, state_out};
use amends_store::{
    AttentionFilter, ListCursor, Order, PAGE_ROWS_MAX, Page, Position, Query, SagaRow, StuckFilter,
};
use axum::extract::State;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, Json, now};
use crate::auth::Viewer;
use crate::extract::Params;
use crate::json_text::instant;
use crate::problem::{Answer, Code, Details, Problem};
use crate::saga_json::hash;
use crate::words::{Reason, State as SagaState};

/// How many rows a page has unless said otherwise.
pub const PAGE_ROWS_DEFAULT: usize = 100;

/// What is listed, and from where on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Of this type.
    pub saga_type: Option<String>,
    /// In this state.
    #[param(value_type = Option<SagaState>)]
    pub state: Option<String>,
    /// Still owing something (also after the end), or not.
    pub live: Option<bool>,
    /// Paused, or not.
    pub paused: Option<bool>,
    /// `any`, `none`, or reasons separated by commas.
    pub attention: Option<String>,
    /// Stuck, or not: it needs a person, or has made no progress for far longer than it may take. The
    /// metric `saga_stuck_count` counts the same.
    pub stuck: Option<bool>,
    /// With exactly this business key.
    pub business_key: Option<String>,
    /// Created at this time or later (RFC 3339).
    pub created_from: Option<String>,
    /// Created before this time.
    pub created_to: Option<String>,
    /// Last moved at this time or later.
    pub updated_from: Option<String>,
    /// Last moved before this time.
    pub updated_to: Option<String>,
    /// The beginning of an id, or a business key.
    pub q: Option<String>,
    /// `newest` (the default) or `oldest` first.
    pub order: Option<String>,
    /// At most so many rows: 1 to 1000.
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Waits until what was written at this position is in the list.
    pub at_least: Option<u64>,
}

/// A page of sagas.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaPage {
    /// The rows.
    sagas: Vec<RowJson>,
    /// Give this as `cursor` to read on; a short page may have one, the last has none.
    next: Option<String>,
    /// Everything up to this position was taken into account.
    as_of: u64,
}

/// A saga in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SagaRow)]
pub struct RowJson {
    /// Its identity.
    pub saga_id: String,
    /// Its type.
    pub saga_type: String,
    /// The version it is pinned to.
    pub version: u32,
    /// SHA-256 of that version's pinned form.
    pub definition_hash: String,
    /// Its state; none where this server is too old to know it.
    pub state: Option<SagaState>,
    /// Nothing is sent and no timer fires.
    pub paused: bool,
    /// It still owes something, whatever its state.
    pub live: bool,
    /// What a person is needed for.
    pub attention: Vec<Reason>,
    /// Since when it is stuck, if it is.
    pub stuck_since: Option<String>,
    /// Its business key.
    pub business_key: Option<String>,
    /// Why it failed, in a line.
    pub error: Option<String>,
    /// Why it cannot be read, if it is quarantined (attention `unreadable`).
    pub unreadable: Option<String>,
    /// When it started.
    pub created_at: String,
    /// When its last event happened.
    pub updated_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// How many events it has had.
    pub seq: u64,
}

/// Sagas, a page at a time; at most a second behind.
#[utoipa::path(
    get,
    path = "/v1/sagas",
    tag = "lists",
    params(ListParams),
    responses(
        (status = 200, description = "A page", body = SagaPage),
        (status = 400, description = "`bad_query`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn list_sagas(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Params(params): Params<ListParams>,
) -> Answer<Json<SagaPage>> {
    let page = page(&app, query(&params)?, params.at_least).await?;
    Ok(Json(SagaPage {
        sagas: page.rows.iter().map(|of| row(of, app.business_key(of, &caller))).collect(),
        next: page.next.map(ListCursor::to_text),
        as_of: page.as_of.0,
    }))
}

/// How many sagas of each type are in each state.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counts {
    /// One entry for each type and state that has any.
    counts: Vec<CountJson>,
}

/// How many sagas of a type are in a state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Count)]
pub struct CountJson {
    saga_type: String,
    state: Option<SagaState>,
    sagas: u64,
}

/// How many sagas there are, by type and state.
#[utoipa::path(
    get,
    path = "/v1/counts",
    tag = "lists",
    responses(
        (status = 200, description = "The counts; at most a second behind", body = Counts),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn count_sagas(
    State(app): State<Arc<App>>,
    Viewer(_caller): Viewer,
) -> Answer<Json<Counts>> {
    let counts = app.handle.counts().await?;
    let counts = counts.into_iter().map(|count| CountJson {
        saga_type: count.saga_type.to_string(),
        state: state_in(count.state).map(SagaState::from),
        sagas: count.sagas,
    });
    Ok(Json(Counts { counts: counts.collect() }))
}

/// A page of the catalog.
pub async fn page(app: &App, query: Query, at_least: Option<u64>) -> Answer<Page> {
    Ok(app.handle.list(query, at_least.map(Position)).await?)
}

/// A row as the API shows it, with the business key that the caller may see.
pub fn row(row: &SagaRow, business_key: Option<String>) -> RowJson {
    let stuck_at = row.stuck_at.map(amends_core::Time).filter(|at| *at <= now());
    RowJson {
        saga_id: amends_core::SagaId(row.saga).to_string(),
        saga_type: row.saga_type.to_string(),
        version: row.definition_version,
        definition_hash: hash(&row.definition_hash),
        state: state_in(row.state).map(SagaState::from),
        paused: row.paused,
        live: row.live,
        attention: reasons(row.attention),
        stuck_since: stuck_at.map(instant),
        business_key,
        error: row.error.clone(),
        unreadable: row.quarantined.clone(),
        created_at: instant(amends_core::Time(row.created_at)),
        updated_at: instant(amends_core::Time(row.updated_at)),
        ended_at: row.ended_at.map(|at| instant(amends_core::Time(at))),
        seq: row.seq,
    }
}

/// The reasons of a row's mask.
pub fn reasons(mask: u32) -> Vec<Reason> {
    let set = REASON_BITS.iter().filter(|(_, bit)| mask & bit != 0);
    let unreadable = (mask & UNREADABLE_BIT != 0).then_some(Reason::Unreadable);
    set.map(|(reason, _)| (*reason).into()).chain(unreadable).collect()
}

/// The mask of these reasons.
pub fn mask(reasons: &[saga::Reason]) -> u32 {
    let bits = REASON_BITS.iter().filter(|(reason, _)| reasons.contains(reason));
    bits.fold(0, |mask, (_, bit)| mask | bit)
}

/// Where a list goes on.
pub fn cursor(text: &str) -> Answer<ListCursor> {
    let wrong = "cursor is none of this server's: give the `next` of the page before, unchanged";
    ListCursor::from_text(text).ok_or_else(|| Problem::new(Code::BadQuery, wrong))
}

/// How many rows a page has.
pub fn limit(said: Option<usize>, max: usize, default: usize) -> Answer<usize> {
    match said {
        None => Ok(default),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(limit) => {
            let detail = format!("limit is {limit}; give 1 to {max}");
            Err(Problem::new(Code::BadQuery, detail))
        }
    }
}

/// A word of the API out of a query.
pub fn word<T: DeserializeOwned>(name: &str, text: &str) -> Answer<T> {
    let text: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
    T::deserialize(text).map_err(|error| Problem::new(Code::BadQuery, format!("{name}: {error}")))
}

fn query(params: &ListParams) -> Answer<Query> {
    let state: Option<SagaState> =
        params.state.as_deref().map(|state| word("state", state)).transpose()?;
    Ok(Query {
        saga_type: params.saga_type.as_deref().map(Into::into),
        state: state.map(|state| state_out(state.into())),
        live: params.live,
        paused: params.paused,
        attention: params.attention.as_deref().map(attention).transpose()?,
        stuck: params.stuck.map(|stuck| match (stuck, now().0) {
            (true, now) => StuckFilter::By(now),
            (false, now) => StuckFilter::NotBy(now),
        }),
        business_key: params.business_key.as_deref().map(Into::into),
        created: range("created", &params.created_from, &params.created_to)?,
        updated: range("updated", &params.updated_from, &params.updated_to)?,
        text: params.q.clone().filter(|text| !text.is_empty()),
        order: match params.order.as_deref() {
            None | Some("newest") => Order::NewestFirst,
            Some("oldest") => Order::OldestFirst,
            Some(other) => {
                let detail = format!("order is {other:?}; give newest or oldest");
                return Err(Problem::new(Code::BadQuery, detail));
            }
        },
        limit: limit(params.limit, PAGE_ROWS_MAX, PAGE_ROWS_DEFAULT)?,
        after: params.cursor.as_deref().map(cursor).transpose()?,
    })
}

/// `any`, `none`, or reasons.
pub fn attention(text: &str) -> Answer<AttentionFilter> {
    match text {
        "any" => Ok(AttentionFilter::AnyOf(u32::MAX)),
        "none" => Ok(AttentionFilter::None),
        reasons => {
            let bit = |reason: Reason| match reason.machine() {
                Some(reason) => mask(&[reason]),
                None => UNREADABLE_BIT,
            };
            let mut mask = 0;
            for reason in reasons.split(',') {
                mask |= bit(word("attention", reason)?);
            }
            Ok(AttentionFilter::AnyOf(mask))
        }
    }
}

fn range(name: &str, from: &Option<String>, to: &Option<String>) -> Answer<Option<Range<u64>>> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let ms = |text: &Option<String>, end: u64| match text {
        None => Ok(end),
        Some(text) => {
            let at = OffsetDateTime::parse(text, &Rfc3339).ok();
            let ms = at.and_then(|at| u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
            ms.ok_or_else(|| {
                let detail = format!("{name}: {text:?} is no instant; write 2030-01-31T12:00:00Z");
                Problem::new(Code::BadQuery, detail)
            })
        }
    };
    // The store keeps instants as signed numbers.
    let (from, to) = (ms(from, 0)?, ms(to, i64::MAX as u64)?);
    if from > to {
        let detail = format!("{name}_from is later than {name}_to");
        return Err(Problem::new(Code::BadQuery, detail));
    }
    Ok(Some(from..to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Query, &'static str> {
        let params = serde_urlencoded::from_str(text).map_err(|_| "unread")?;
        query(&params).map_err(|problem| problem.code())
    }

    #[test]
    fn filters_are_read() {
        let query = asked(
            "saga_type=Order&state=compensating&attention=poison,contract&paused=false&limit=5\
             &created_from=1970-01-01T00:00:01Z&order=oldest&q=0192",
        )
        .unwrap();
        let expected = Query {
            saga_type: Some("Order".into()),
            state: Some(state_out(saga::State::Compensating)),
            attention: Some(AttentionFilter::AnyOf(mask(&[
                saga::Reason::Poison,
                saga::Reason::Contract,
            ]))),
            paused: Some(false),
            limit: 5,
            created: Some(1_000..i64::MAX as u64),
            order: Order::OldestFirst,
            text: Some("0192".to_owned()),
            ..Query::default()
        };
        assert_eq!(query, expected);
    }

    #[test]
    fn what_no_list_understands_is_refused() {
        for text in [
            "state=running",
            "attention=sad",
            "limit=0",
            "limit=1001",
            "cursor=zz",
            "order=random",
            "created_from=yesterday",
            "created_from=2030-01-01T00:00:00Z&created_to=2029-01-01T00:00:00Z",
        ] {
            assert_eq!(asked(text).unwrap_err(), "bad_query", "{text}");
        }
        assert_eq!(asked("stat=failed").unwrap_err(), "unread");
        assert_eq!(asked("paused=yes").unwrap_err(), "unread");
    }
}
