//! What is kept for people to look through: orphan replies and the audit.

use std::sync::Arc;

use amends_core::{SagaId, Time};
use amends_store::{AuditEntry, StoredOrphan};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::act::checked_reason;
use crate::app::{App, Json};
use crate::auth::Operator;
use crate::extract::{Names, Params, saga_id};
use crate::json_text::{from_bytes, instant};
use crate::list::limit;
use crate::problem::{Answer, Code, Details, Problem};
use crate::saga_json::hash;

/// The most entries of a page.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// How many it has unless said otherwise.
pub const PAGE_ENTRIES_DEFAULT: usize = 100;

/// From where orphans are read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrphanParams {
    /// Only those after this number.
    after: Option<u64>,
    /// At most so many: 1 to 1000.
    limit: Option<usize>,
}

/// A page of orphan replies.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrphanPage {
    /// The replies.
    orphans: Vec<OrphanJson>,
    /// Give this as `after` to read on.
    next: Option<u64>,
}

/// An authentic reply whose saga is gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Orphan)]
pub struct OrphanJson {
    /// Its place in the list.
    number: u64,
    /// When it came.
    received_at: String,
    /// The saga it names.
    saga_id: String,
    /// Over which way it came.
    source: String,
    /// All of it, as it came.
    #[schema(value_type = serde_json::Value)]
    reply: Box<RawValue>,
}

/// Replies whose saga is gone: each may stand for an effect that nobody undoes.
#[utoipa::path(
    get,
    path = "/v1/orphans",
    tag = "records",
    params(OrphanParams),
    responses(
        (status = 200, description = "A page", body = OrphanPage),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn list_orphans(
    State(app): State<Arc<App>>,
    Operator(_caller): Operator,
    Params(params): Params<OrphanParams>,
) -> Answer<Json<OrphanPage>> {
    let limit = limit(params.limit, PAGE_ENTRIES_MAX, PAGE_ENTRIES_DEFAULT)?;
    let orphans = app.handle.orphans(params.after.unwrap_or(0), limit).await?;
    let next = orphans.last().filter(|_| orphans.len() == limit).map(|last| last.number);
    Ok(Json(OrphanPage { orphans: orphans.iter().map(orphan).collect(), next }))
}

/// Why an orphan is removed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemoveParams {
    /// For the audit: what was done about it.
    reason: String,
}

/// Removes an orphan that was dealt with. The answer is the reply, for the last time; who removed it
/// and why is in the audit.
#[utoipa::path(
    delete,
    path = "/v1/orphans/{number}",
    tag = "records",
    params(("number" = u64, Path, description = "Its place in the list"), RemoveParams),
    responses(
        (status = 200, description = "Removed; what it was", body = OrphanJson),
        (status = 404, description = "`no_such_orphan`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn remove_orphan(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Names(number): Names<String>,
    Params(params): Params<RemoveParams>,
) -> Answer<Json<OrphanJson>> {
    let reason = checked_reason(&params.reason)?;
    // The store counts in signed numbers.
    let place = number.parse().ok().filter(|place: &u64| i64::try_from(*place).is_ok());
    let removed = match place {
        Some(place) => app.handle.remove_orphan(place, &caller.name, reason).await?,
        None => None,
    };
    removed.as_ref().map(orphan).map(Json).ok_or_else(|| {
        const SHOWN_CHARS_MAX: usize = 20;
        let number: String = number.chars().take(SHOWN_CHARS_MAX).collect();
        let detail = format!(
            "there is no orphan reply {number}: it never was, or it was removed; GET /v1/orphans \
             lists those there are"
        );
        Problem::new(Code::NoSuchOrphan, detail)
    })
}

/// Which part of the audit.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// About this saga.
    saga_id: Option<String>,
    /// Only entries after this number.
    after: Option<u64>,
    /// At most so many: 1 to 1000.
    limit: Option<usize>,
}

/// A page of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditPage {
    /// The entries, oldest first.
    entries: Vec<AuditJson>,
    /// Give this as `after` to read on.
    next: Option<u64>,
}

/// Something that a person did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditJson {
    /// Its place, without a gap.
    number: u64,
    /// When.
    at: String,
    /// Who: the name of a token.
    actor: String,
    /// Which verb.
    action: String,
    /// To which saga.
    saga_id: Option<String>,
    /// Reason and circumstances.
    #[schema(value_type = serde_json::Value)]
    detail: Box<RawValue>,
    /// SHA-256 over this entry and the hash before it.
    hash: String,
}

/// What operators did, oldest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "records",
    params(AuditParams),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn list_audit(
    State(app): State<Arc<App>>,
    Operator(_caller): Operator,
    Params(params): Params<AuditParams>,
) -> Answer<Json<AuditPage>> {
    let limit = limit(params.limit, PAGE_ENTRIES_MAX, PAGE_ENTRIES_DEFAULT)?;
    let saga = params.saga_id.as_deref().map(saga_id).transpose()?;
    let entries = app.handle.audits(saga, params.after.unwrap_or(0), limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|last| last.number);
    Ok(Json(AuditPage { entries: entries.iter().map(audit).collect(), next }))
}

fn orphan(stored: &StoredOrphan) -> OrphanJson {
    let orphan = &stored.orphan;
    OrphanJson {
        number: stored.number,
        received_at: instant(Time(orphan.received_at)),
        saga_id: SagaId(orphan.saga).to_string(),
        source: orphan.source.clone(),
        reply: from_bytes(&orphan.reply),
    }
}

fn audit(entry: &AuditEntry) -> AuditJson {
    let audit = &entry.audit;
    AuditJson {
        number: entry.number,
        at: instant(Time(audit.at)),
        actor: audit.actor.clone(),
        action: audit.action.clone(),
        saga_id: audit.saga.map(|saga| SagaId(saga).to_string()),
        detail: from_bytes(&audit.detail),
        hash: hash(&entry.hash),
    }
}
