//! Dead letters: undos whose retries are used up, and sending them again, one or many.

use std::sync::Arc;

use amends_core::saga::{Letter, Reason};
use amends_core::{Direction, SagaId};
use amends_engine::{Ask, SagaVerb, Snapshot, Unavailable};
use amends_store::{AttentionFilter, ListCursor, Query};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::act::checked_reason;
use crate::app::{App, Json, redaction};
use crate::attention::{PAGE_SAGAS_DEFAULT, PAGE_SAGAS_MAX};
use crate::auth::{Operator, Viewer};
use crate::extract::{Form, Params};
use crate::json_text::instant;
use crate::list::{self, cursor, limit};
use crate::problem::{Answer, Details, Problem};
use crate::redaction::Redaction;
use crate::saga_json::{FaultJson, Named};
use crate::tokens::Identity;

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// Of sagas of this type.
    saga_type: Option<String>,
    /// Of this service.
    service: Option<String>,
    /// Of this step: all runs of a `for_each` step.
    step: Option<String>,
    /// Only those the redriver has given up, or only those it has not.
    poison: Option<bool>,
}

/// Which dead letters, and from where on.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLetterParams {
    /// Of sagas of this type.
    saga_type: Option<String>,
    /// Of this service.
    service: Option<String>,
    /// Of this step.
    step: Option<String>,
    /// Only those the redriver has given up, or only those it has not.
    poison: Option<bool>,
    /// At most the dead letters of so many sagas: 1 to 200.
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Waits until what was written at this position is in the list.
    at_least: Option<u64>,
}

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterPage {
    /// The dead letters.
    dead_letters: Vec<DeadLetter>,
    /// Give this as `cursor` to read on; a page may be empty and yet have one.
    next: Option<String>,
    /// Everything up to this position was taken into account.
    as_of: u64,
}

/// An undo whose retries are used up.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetter {
    /// The saga.
    saga_id: String,
    /// Its type.
    saga_type: String,
    /// Its business key.
    business_key: Option<String>,
    /// The step, or `<step>.<i>`.
    step: String,
    /// The service that does not undo it.
    service: String,
    /// The command.
    command: String,
    /// The redriver gave up, too.
    poison: bool,
    /// How often it was sent.
    attempts: u32,
    /// How often the redriver has sent it.
    redrives: Option<u32>,
    /// When it is sent next.
    next_attempt_at: Option<String>,
    /// Its last error.
    error: Option<FaultJson>,
    /// Since when a person is needed.
    since: Option<String>,
}

/// Undos whose retries are used up.
#[utoipa::path(
    get,
    path = "/v1/dead-letters",
    tag = "dead letters",
    params(DeadLetterParams),
    responses(
        (status = 200, description = "A page", body = DeadLetterPage),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn list_dead_letters(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Params(params): Params<DeadLetterParams>,
) -> Answer<Json<DeadLetterPage>> {
    let DeadLetterParams { saga_type, service, step, poison, limit, cursor, at_least } = params;
    let filter = Filter { saga_type, service, step, poison };
    let found = find(&app, &caller, &filter, limit, cursor.as_deref(), at_least).await?;
    let dead_letters = found.letters.into_iter().map(|(_, letter)| letter).collect();
    Ok(Json(DeadLetterPage { dead_letters, next: found.next, as_of: found.as_of }))
}

/// Dead letters to send again now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// Which; all when not said.
    #[serde(default)]
    filter: Filter,
    /// Only say what would be sent.
    #[serde(default)]
    dry_run: bool,
    /// At most those of so many sagas: 1 to 200.
    #[serde(default)]
    limit: Option<usize>,
    /// `next` of the call before.
    #[serde(default)]
    cursor: Option<String>,
    /// For the histories and the audit.
    reason: String,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Redriven {
    /// Nothing was sent.
    dry_run: bool,
    /// How many are sent again, or would be.
    retried: usize,
    /// How many could not.
    refused: usize,
    /// One result a dead letter.
    results: Vec<RedriveResult>,
    /// There may be more: give this as `cursor`.
    next: Option<String>,
}

/// What became of one dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedriveResult {
    #[serde(flatten)]
    dead_letter: DeadLetter,
    /// Why it was not sent again.
    #[schema(value_type = Option<Details>)]
    problem: Option<Problem>,
}

/// Sends dead letters again now, as many as fit a filter. Say `dry_run` first to see them.
#[utoipa::path(
    post,
    path = "/v1/dead-letters/retry",
    tag = "dead letters",
    request_body = Redrive,
    responses(
        (status = 200, description = "What became of each", body = Redriven),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn retry_dead_letters(
    State(app): State<Arc<App>>,
    Operator(caller): Operator,
    Form(redrive): Form<Redrive>,
) -> Answer<Json<Redriven>> {
    let reason: Arc<str> = checked_reason(&redrive.reason)?.into();
    let cursor = redrive.cursor.as_deref();
    let found = find(&app, &caller, &redrive.filter, redrive.limit, cursor, None).await?;
    let mut results = Vec::with_capacity(found.letters.len());
    for (saga, dead_letter) in found.letters {
        let verb = SagaVerb::Retry { step: dead_letter.step.clone() };
        let (by, reason) = (Arc::clone(&caller.name), Arc::clone(&reason));
        let asked = match redrive.dry_run {
            true => Ok(()),
            false => app.handle.ask(saga, Ask::Verb { verb, by, reason }, None).await.map(drop),
        };
        let problem = asked.err().map(Problem::from);
        results.push(RedriveResult { dead_letter, problem });
    }
    let refused = results.iter().filter(|result| result.problem.is_some()).count();
    let retried = results.len() - refused;
    Ok(Json(Redriven { dry_run: redrive.dry_run, retried, refused, results, next: found.next }))
}

struct Found {
    letters: Vec<(SagaId, DeadLetter)>,
    next: Option<String>,
    as_of: u64,
}

async fn find(
    app: &App,
    caller: &Identity,
    filter: &Filter,
    said_limit: Option<usize>,
    after: Option<&str>,
    at_least: Option<u64>,
) -> Answer<Found> {
    let dead = list::mask(&[Reason::CompensationFailed, Reason::Poison]);
    let query = Query {
        saga_type: filter.saga_type.as_deref().map(Into::into),
        attention: Some(AttentionFilter::AnyOf(dead)),
        limit: limit(said_limit, PAGE_SAGAS_MAX, PAGE_SAGAS_DEFAULT)?,
        after: after.map(cursor).transpose()?,
        ..Query::default()
    };
    let page = list::page(app, query, at_least).await?;
    let mut letters = Vec::new();
    for row in page.rows.iter().filter(|row| row.quarantined.is_none()) {
        let saga = SagaId(row.saga);
        let snapshot = match app.handle.get(saga).await {
            Err(Unavailable::Unreadable(_)) => continue, // it is quarantined from now on
            got => got?,
        };
        if let Some(snapshot) = snapshot {
            let of_saga = dead_letters(&snapshot, &redaction(&snapshot, caller));
            let fits = of_saga.into_iter().filter(|letter| filter.fits(letter));
            letters.extend(fits.map(|letter| (saga, letter)));
        }
    }
    Ok(Found { letters, next: page.next.map(ListCursor::to_text), as_of: page.as_of.0 })
}

impl Filter {
    fn fits(&self, letter: &DeadLetter) -> bool {
        let step = letter.step.split_once('.').map_or(&*letter.step, |(step, _)| step);
        self.service.as_ref().is_none_or(|service| *service == letter.service)
            && self.step.as_ref().is_none_or(|said| *said == letter.step || said == step)
            && self.poison.is_none_or(|poison| poison == letter.poison)
    }
}

/// The dead letters of a saga.
fn dead_letters(snapshot: &Snapshot, redaction: &Redaction) -> Vec<DeadLetter> {
    let (definition, saga) = (&*snapshot.deployed.definition, &*snapshot.saga);
    let named = Named { definition, saga };
    let dead = saga.runs().filter_map(|(at, run)| {
        let undo = run.undo.as_ref().filter(|undo| undo.end.is_none())?;
        let redrives = match undo.letter {
            Letter::None => return None,
            Letter::Dead { redrives } => Some(redrives),
            Letter::Poison => None,
        };
        let command = definition.step(at.step).compensation()?;
        let sendings = undo.sendings.as_ref();
        let since = saga.attention.iter().find(|item| {
            let dead = matches!(item.reason, Reason::CompensationFailed | Reason::Poison);
            dead && item.run == Some(at) && item.direction == Direction::Compensation
        });
        Some(DeadLetter {
            saga_id: saga.id.to_string(),
            saga_type: saga.pinned.saga_type.to_string(),
            business_key: redaction.business_key(saga.business_key.as_deref()),
            step: named.run(at),
            service: command.service.to_string(),
            command: format!("{}.{}", command.service, command.name),
            poison: undo.letter == Letter::Poison,
            attempts: sendings.map_or(0, |sendings| sendings.attempts),
            redrives,
            next_attempt_at: sendings
                .filter(|sendings| sendings.open.is_none())
                .map(|sendings| instant(sendings.next_at)),
            error: undo.error.as_ref().map(|why| redaction.fault(why)),
            since: since.map(|item| instant(item.since)),
        })
    });
    dead.collect()
}
