//! What people are needed for, over all sagas: one item a reason.

use std::sync::Arc;

use amends_core::SagaId;
use amends_engine::Snapshot;
use amends_store::{AttentionFilter, ListCursor, Query, SagaRow};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, Json};
use crate::auth::Viewer;
use crate::extract::Params;
use crate::list::{self, cursor, limit};
use crate::problem::{Answer, Details};
use crate::saga_json::Named;
use crate::tokens::Identity;
use crate::words::{Direction, State as SagaState};

/// How many sagas one page looks at, at most: each is read from its shard.
pub const PAGE_SAGAS_MAX: usize = 200;

/// How many it looks at unless said otherwise.
pub const PAGE_SAGAS_DEFAULT: usize = 50;

/// Which attention, and from where on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AttentionParams {
    /// Of sagas of this type.
    saga_type: Option<String>,
    /// Reasons separated by commas; any when not said.
    reason: Option<String>,
    /// At most so many sagas: 1 to 200.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Waits until what was written at this position is in the list.
    at_least: Option<u64>,
}

/// A page of what people are needed for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttentionPage {
    /// One item a reason.
    items: Vec<AttentionItem>,
    /// Give this as `cursor` to read on.
    next: Option<String>,
    /// Everything up to this position was taken into account.
    as_of: u64,
}

/// Something that a person is needed for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttentionItem {
    /// The saga.
    saga_id: String,
    /// Its type.
    saga_type: String,
    /// Its state.
    state: Option<SagaState>,
    /// Its business key.
    business_key: Option<String>,
    /// The step, if it is about one.
    step: Option<String>,
    /// Which of its commands.
    direction: Option<Direction>,
    /// A reason for attention, or `unreadable`.
    reason: String,
    /// Since when.
    since: Option<String>,
    /// In words, where there are any.
    note: Option<String>,
}

/// What people are needed for.
#[utoipa::path(
    get,
    path = "/v1/attention",
    tag = "lists",
    params(AttentionParams),
    responses(
        (status = 200, description = "A page", body = AttentionPage),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn list_attention(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Params(params): Params<AttentionParams>,
) -> Answer<Json<AttentionPage>> {
    let filter = params.reason.as_deref().map(list::attention).transpose()?;
    let query = Query {
        saga_type: params.saga_type.as_deref().map(Into::into),
        attention: Some(filter.unwrap_or(AttentionFilter::AnyOf(u32::MAX))),
        limit: limit(params.limit, PAGE_SAGAS_MAX, PAGE_SAGAS_DEFAULT)?,
        after: params.cursor.as_deref().map(cursor).transpose()?,
        ..Query::default()
    };
    let page = list::page(&app, query, params.at_least).await?;
    let mut items = Vec::new();
    for row in &page.rows {
        items.extend(of_saga(&app, &caller, row, filter).await);
    }
    let next = page.next.map(ListCursor::to_text);
    Ok(Json(AttentionPage { items, next, as_of: page.as_of.0 }))
}

async fn of_saga(
    app: &App,
    caller: &Identity,
    row: &SagaRow,
    filter: Option<AttentionFilter>,
) -> Vec<AttentionItem> {
    // A saga that cannot be read is shown as far as its row goes.
    let business_key = app.business_key(row, caller);
    match app.handle.get(SagaId(row.saga)).await {
        Ok(Some(snapshot)) if row.quarantined.is_none() => {
            of_snapshot(&snapshot, business_key, filter)
        }
        _ => of_row(row, business_key, filter),
    }
}

fn wanted(filter: Option<AttentionFilter>, bit: u32) -> bool {
    match filter {
        Some(AttentionFilter::AnyOf(mask)) => bit & mask != 0,
        _ => true,
    }
}

fn of_snapshot(
    snapshot: &Snapshot,
    business_key: Option<String>,
    filter: Option<AttentionFilter>,
) -> Vec<AttentionItem> {
    let saga = &snapshot.saga;
    let named = Named { definition: &snapshot.deployed.definition, saga };
    let fits = |item: &&amends_core::saga::Attention| wanted(filter, list::mask(&[item.reason]));
    let items = saga.attention.iter().filter(fits).map(|item| {
        let shown = named.attention(item);
        AttentionItem {
            saga_id: saga.id.to_string(),
            saga_type: saga.pinned.saga_type.to_string(),
            state: Some(saga.state.into()),
            business_key: business_key.clone(),
            direction: shown.step.is_some().then_some(shown.direction),
            step: shown.step,
            reason: amends_engine::words::reason(item.reason).to_owned(),
            since: Some(shown.since),
            note: None,
        }
    });
    items.collect()
}

fn of_row(
    row: &SagaRow,
    business_key: Option<String>,
    filter: Option<AttentionFilter>,
) -> Vec<AttentionItem> {
    let shown = list::row(row, business_key);
    let mask = match filter {
        Some(AttentionFilter::AnyOf(mask)) => row.attention & mask,
        _ => row.attention,
    };
    let items = list::reasons(mask).into_iter().map(|reason| {
        let named = reason.machine().map(amends_engine::words::reason);
        let note = named.is_none().then(|| row.quarantined.clone()).flatten();
        AttentionItem {
            saga_id: shown.saga_id.clone(),
            saga_type: shown.saga_type.clone(),
            state: shown.state,
            business_key: shown.business_key.clone(),
            step: None,
            direction: None,
            reason: named.unwrap_or(amends_engine::words::UNREADABLE).to_owned(),
            since: None,
            note,
        }
    });
    items.collect()
}
