//! Definitions: those there are, and bringing one in.

use std::borrow::Cow;
use std::sync::Arc;

use amends_core::StepIx;
use amends_core::definition::{Definition, Work};
use amends_definition::{Severity, Surroundings, check, findings_json};
use amends_engine::{Deployed, Deployment, StartError};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::{App, Json};
use crate::auth::{Admin, Viewer};
use crate::extract::{Names, RawBody};
use crate::json_text::from_bytes;
use crate::problem::{Answer, Code, Details, Problem};
use crate::saga_json::hash;
use crate::tokens::Identity;
use crate::words::Kind;

/// What findings call a file that came over the API.
const FILE_NAME: &str = "definition";

/// The media types of a definition file.
const MEDIA_TYPES: [&str; 5] =
    ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "application/json"];

/// Every version of every type.
#[derive(Debug, Serialize, ToSchema)]
pub struct Definitions {
    /// By type and version.
    definitions: Vec<Summary>,
}

/// A version of a saga type, in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DefinitionSummary)]
pub struct Summary {
    /// The type.
    saga_type: String,
    /// The version.
    version: u32,
    /// SHA-256 of its pinned form.
    hash: String,
    /// The names of its steps, in order.
    steps: Vec<String>,
    /// The services it uses, by name.
    services: Vec<String>,
}

/// A version of a saga type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Definition)]
pub struct DefinitionJson {
    /// The type.
    saga_type: String,
    /// The version.
    version: u32,
    /// All versions there are.
    versions: Vec<u32>,
    /// SHA-256 of its pinned form.
    hash: String,
    /// How long a saga may take, in milliseconds, where that is limited.
    deadline_ms: Option<u64>,
    /// Its steps, in order.
    steps: Vec<StepDefinition>,
    /// The services it uses.
    services: Vec<ServiceJson>,
    /// What a saga is pinned to, in its canonical form.
    #[schema(value_type = Object)]
    pinned: Box<RawValue>,
    /// The file as it came; for operators and above, because it says how services are reached.
    source: Option<String>,
}

/// A step of a definition.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepDefinition {
    /// Its name.
    name: String,
    /// Atomic or eventual.
    kind: Kind,
    /// The steps it waits for directly.
    after: Vec<String>,
    /// What does it.
    action: Option<String>,
    /// What undoes it.
    compensation: Option<String>,
    /// The signal it waits for.
    signal: Option<String>,
    /// How long one attempt is waited for, in milliseconds.
    timeout_ms: u64,
    /// How long it may take over all attempts, in milliseconds.
    deadline_ms: u64,
    /// Whether it has a run for each item of a list.
    for_each: bool,
    /// Whether it may be skipped by its condition.
    conditional: bool,
}

/// A service of a definition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceJson {
    /// Its name.
    name: String,
    /// The team that answers for it.
    owner: Option<String>,
}

/// Every version of every saga type.
#[utoipa::path(
    get,
    path = "/v1/definitions",
    tag = "definitions",
    responses(
        (status = 200, description = "The definitions", body = Definitions),
        (status = "default", description = "Any problem", body = Details),
    ),
)]
pub async fn list_definitions(
    State(app): State<Arc<App>>,
    Viewer(_caller): Viewer,
) -> Json<Definitions> {
    let definitions = app.handle.definitions().iter().map(|deployed| summary(deployed)).collect();
    Json(Definitions { definitions })
}

/// The newest version of a saga type.
#[utoipa::path(
    get,
    path = "/v1/definitions/{saga_type}",
    tag = "definitions",
    params(("saga_type" = String, Path, description = "The saga type")),
    responses(
        (status = 200, description = "The definition", body = DefinitionJson),
        (status = 404, description = "`unknown_saga_type`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn get_definition(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Names(saga_type): Names<String>,
) -> Answer<Json<DefinitionJson>> {
    find(&app, &caller, &saga_type, None).map(Json)
}

/// One version of a saga type.
#[utoipa::path(
    get,
    path = "/v1/definitions/{saga_type}/{version}",
    tag = "definitions",
    params(
        ("saga_type" = String, Path, description = "The saga type"),
        ("version" = u32, Path, description = "The version"),
    ),
    responses(
        (status = 200, description = "The definition", body = DefinitionJson),
        (status = 404, description = "`unknown_saga_type`, `unknown_version`", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn get_definition_version(
    State(app): State<Arc<App>>,
    Viewer(caller): Viewer,
    Names((saga_type, version)): Names<(String, String)>,
) -> Answer<Json<DefinitionJson>> {
    let version = version.parse().map_err(|_| {
        Problem::new(Code::UnknownVersion, format!("{version:?} is no version: it is a number"))
    })?;
    find(&app, &caller, &saga_type, Some(version)).map(Json)
}

/// Brings a definition file in, YAML or JSON. It can use no environment and no other file.
#[utoipa::path(
    post,
    path = "/v1/definitions",
    tag = "definitions",
    request_body(content = String, content_type = "application/yaml", description = "The file"),
    responses(
        (status = 200, description = "In service", body = DefinitionJson),
        (status = 409, description = "`definition_conflict`", body = Details),
        (status = 422, description = "`definition_rejected`, with its findings", body = Details),
        (status = "default", description = "Any other problem", body = Details),
    ),
)]
pub async fn deploy(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    headers: HeaderMap,
    RawBody(file): RawBody,
) -> Answer<Response> {
    let said = headers.get(CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let media = said.split(';').next().unwrap_or_default().trim();
    if !MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media)) {
        let detail = format!("a definition is application/yaml or application/json, not {media:?}");
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let checked = check(&file, FILE_NAME, &Surroundings::none());
    let errors = checked.count(Severity::Error);
    let Some(compiled) = checked.compiled else {
        let s = if errors == 1 { "" } else { "s" };
        let detail = format!(
            "the definition has {errors} error{s}; nothing was changed: correct what the findings say"
        );
        let findings = findings_json(&checked.findings);
        return Err(Problem::new(Code::DefinitionRejected, detail).with_findings(findings));
    };
    let deployed = app.handle.deploy_one(Deployment { compiled }).await?;
    let versions = versions(&app.handle.definitions(), deployed.definition.saga_type());
    let shown = definition(&deployed, versions, &caller);
    Ok((StatusCode::OK, Json(shown)).into_response())
}

fn find(
    app: &App,
    caller: &Identity,
    saga_type: &str,
    version: Option<u32>,
) -> Answer<DefinitionJson> {
    let all = app.handle.definitions();
    let versions = versions(&all, saga_type);
    let Some(newest) = versions.last() else {
        let detail =
            format!("no saga type {saga_type:?} is defined; GET /v1/definitions lists all");
        return Err(Problem::new(Code::UnknownSagaType, detail));
    };
    let wanted = version.unwrap_or(*newest);
    let found = all.iter().find(|deployed| {
        **deployed.definition.saga_type() == *saga_type && deployed.definition.version() == wanted
    });
    let deployed = found.ok_or_else(|| StartError::UnknownVersion {
        saga_type: saga_type.into(),
        version: wanted,
        versions: versions.clone(),
    })?;
    Ok(definition(deployed, versions.clone(), caller))
}

fn versions(all: &[Arc<Deployed>], saga_type: &str) -> Vec<u32> {
    let of_type = all.iter().filter(|deployed| **deployed.definition.saga_type() == *saga_type);
    of_type.map(|deployed| deployed.definition.version()).collect()
}

fn summary(deployed: &Deployed) -> Summary {
    let definition = &deployed.definition;
    Summary {
        saga_type: definition.saga_type().to_string(),
        version: definition.version(),
        hash: hash(&deployed.hash),
        steps: definition.steps().iter().map(|step| step.name.to_string()).collect(),
        services: deployed.compiled.bindings.0.keys().cloned().collect(),
    }
}

fn definition(deployed: &Deployed, versions: Vec<u32>, caller: &Identity) -> DefinitionJson {
    let definition = &deployed.definition;
    let compiled = &deployed.compiled;
    let services = compiled.bindings.0.iter();
    let pinned = match caller.sees_all() {
        true => Cow::Borrowed(&*compiled.pinned),
        false => deployed.redaction.pinned(definition, &compiled.pinned),
    };
    DefinitionJson {
        saga_type: definition.saga_type().to_string(),
        version: definition.version(),
        versions,
        hash: hash(&deployed.hash),
        deadline_ms: definition.deadline().map(|deadline| deadline.0),
        steps: definition.indices().map(|ix| step(definition, ix)).collect(),
        services: services
            .map(|(name, binding)| ServiceJson { name: name.clone(), owner: binding.owner.clone() })
            .collect(),
        pinned: from_bytes(&pinned),
        source: caller.sees_all().then(|| String::from_utf8_lossy(&compiled.source).into_owned()),
    }
}

fn step(definition: &Definition, ix: StepIx) -> StepDefinition {
    let step = definition.step(ix);
    let full = |command: &amends_core::definition::Command| {
        format!("{}.{}", command.service, command.name)
    };
    StepDefinition {
        name: step.name.to_string(),
        kind: step.kind.into(),
        after: step.after.iter().map(|ix| definition.step(ix).name.to_string()).collect(),
        action: step.action().map(full),
        compensation: step.compensation().map(full),
        signal: match &step.work {
            Work::Signal { signal, .. } => Some(signal.to_string()),
            Work::Command { .. } => None,
        },
        timeout_ms: step.timeout.0,
        deadline_ms: step.deadline.0,
        for_each: step.computed.for_each,
        conditional: step.computed.when,
    }
}
