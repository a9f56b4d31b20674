//! Starting a saga: its data is checked and its keys are worked out beside the shards, on the
//! caller's own task.

use std::sync::Arc;
use std::time::Duration;

use amends_core::event::Started as StartedEvent;
use amends_core::{Payload, SagaId};
use amends_store::{Claim, ClaimKey, ClaimKind, Rejection};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use crate::deployed::{Deployed, Found};
use crate::engine::Shared;
use crate::handle::Handle;
use crate::mutant::{Mutant, mutated};
use crate::options::DATA_BYTES_MAX;
use crate::request::{Start, StartError, Started, Unavailable};
use crate::shard::Waiter;
use crate::shard::message::{NewSaga, StartFailure};

/// How long a start waits for its shard before the journal is looked at.
const TROUBLE_NOTICED_AFTER: Duration = Duration::from_secs(2);

/// The longest key, business or idempotency, in bytes: keys are indexed and compared.
pub const KEY_BYTES_MAX: usize = 256;

/// See [`Handle::start`].
pub async fn start(shared: &Arc<Shared>, start: Start) -> Result<Started, StartError> {
    let Some(timeout) = start.wait else { return begin(shared, start, None).await };
    let (waiter, end) = oneshot::channel();
    let Started { snapshot, existing } = begin(shared, start, Some(waiter)).await?;
    let saga_id = snapshot.saga.id;
    // A snapshot that is held makes the saga's next decision copy it.
    drop(snapshot);
    let handle = Handle { shared: Arc::clone(shared) };
    let ended = match existing {
        true => handle.wait(saga_id, timeout).await?,
        false => match tokio::time::timeout(timeout, end).await {
            Ok(ended) => ended.map_err(|_| shared.stopped())??,
            Err(_) => handle.get(saga_id).await?,
        },
    };
    let gone = || Unavailable::CatalogFailed(format!("saga {saga_id} is not there"));
    Ok(Started { snapshot: ended.ok_or_else(gone)?, existing })
}

async fn begin(
    shared: &Arc<Shared>,
    start: Start,
    waiter: Option<Waiter>,
) -> Result<Started, StartError> {
    let fit = find(shared, &start).and_then(|deployed| {
        let business_key = check_data(&deployed, &start)?;
        Ok((deployed, business_key))
    });
    let (deployed, business_key) = match fit {
        Ok(fit) => fit,
        Err(error) => return before(shared, &start).await?.ok_or(error),
    };
    let saga_id = shared.outside.saga_id();
    let claims = claims(&deployed, &start, business_key.as_ref())?;
    let now = shared.clock.now();
    let started = StartedEvent {
        saga_id,
        pinned: deployed.pinned(),
        steps: deployed.definition.steps().len() as u8,
        data: Payload::from(&*start.data),
        business_key,
        deadline: deployed.definition.deadline().map(|deadline| now + deadline),
        choreographed: false,
    };
    let (reply, answer) = oneshot::channel();
    let new = NewSaga { started: Box::new(started), deployed, claims, waiter, reply };
    shared.shard_of(saga_id).starts.try_send(new).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded { retry_after_secs: 1 },
        mpsc::error::TrySendError::Closed(_) => shared.stopped(),
    })?;
    match answered(shared, answer).await? {
        Ok(snapshot) => Ok(Started { snapshot, existing: false }),
        Err(StartFailure::Unavailable(why)) => Err(why.into()),
        Err(StartFailure::Claimed(claimed)) => taken(shared, &start, claimed).await,
    }
}

/// The shard's answer; while the journal cannot be written, that there is none.
async fn answered<T>(shared: &Shared, mut answer: oneshot::Receiver<T>) -> Result<T, Unavailable> {
    let unknown = |why: String| {
        Unavailable::JournalFailed(format!(
            "{why}; whether this start is taken is not known yet: repeat it with its idempotency key"
        ))
    };
    loop {
        match tokio::time::timeout(TROUBLE_NOTICED_AFTER, &mut answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            // The shard is gone with it, and what it had handed over may be durable all the same.
            Ok(Err(_)) => {
                return Err(shared.journal_trouble().map_or(Unavailable::Stopped, unknown));
            }
            Err(_) => {
                if let Some(why) = shared.journal_trouble() {
                    return Err(unknown(why));
                }
            }
        }
    }
}

/// The same start was taken already, when the definition was another: it stays taken.
async fn before(shared: &Arc<Shared>, start: &Start) -> Result<Option<Started>, Unavailable> {
    let Some(key) = &start.idempotency_key else { return Ok(None) };
    let (kind, scope) = (ClaimKind::Idempotency, Arc::clone(&start.saga_type));
    let key = ClaimKey { kind, scope, key: Arc::clone(key) };
    let holder = shared.store.journal.claim_holder(key).await;
    let holder = holder.map_err(|error| Unavailable::JournalFailed(error.to_string()))?;
    match holder.filter(|holder| holder.payload_hash == hash(start)) {
        Some(holder) => existing(shared, SagaId(holder.saga)).await.map(Some),
        None => Ok(None),
    }
}

async fn existing(shared: &Arc<Shared>, saga_id: SagaId) -> Result<Started, Unavailable> {
    let handle = Handle { shared: Arc::clone(shared) };
    let gone = || Unavailable::CatalogFailed(format!("saga {saga_id} is not there"));
    Ok(Started { snapshot: handle.get(saga_id).await?.ok_or_else(gone)?, existing: true })
}

fn find(shared: &Shared, start: &Start) -> Result<Arc<Deployed>, StartError> {
    let saga_type = Arc::clone(&start.saga_type);
    match shared.registry.find(&saga_type, start.version) {
        Found::Here(deployed) if deployed.choreographed.is_some() => {
            Err(StartError::Choreographed(saga_type))
        }
        Found::Here(deployed) => Ok(deployed),
        Found::UnknownType(known) => Err(StartError::UnknownType { saga_type, known }),
        Found::Retired => Err(StartError::Retired(saga_type)),
        Found::UnknownVersion(versions) => {
            let version = start.version.unwrap_or_default();
            Err(StartError::UnknownVersion { saga_type, version, versions })
        }
    }
}

/// Checks the data and works out the business key. Data that nobody looks into is only checked for
/// being a JSON object.
fn check_data(deployed: &Deployed, start: &Start) -> Result<Option<Arc<str>>, StartError> {
    let bytes = start.data.len();
    if bytes > DATA_BYTES_MAX {
        return Err(StartError::TooLarge { bytes, bytes_max: DATA_BYTES_MAX });
    }
    let bad = StartError::BadData;
    let members = amends_wire::json::members(&start.data).map_err(|e| bad(e.to_string()))?;
    let Some(members) = members else {
        return Err(bad("it is not a JSON object".to_owned()));
    };
    // Of two values under one name each reader would take one, and not all the same.
    let mut names: Vec<_> = members.iter().filter_map(amends_wire::json::Member::name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(bad(format!("it says {:?} twice; say it once", twice[0])));
    }
    let compiled = &deployed.compiled;
    if compiled.data_schema.is_none() && !compiled.has_business_key() && !deployed.has_expressions {
        return Ok(None);
    }
    let data: serde_json::Value =
        serde_json::from_slice(&start.data).map_err(|error| bad(error.to_string()))?;
    if let Some(schema) = &compiled.data_schema {
        let violations = schema.violations(&data);
        if !violations.is_empty() {
            return Err(bad(format!("it does not fit the schema: {}", violations.join("; "))));
        }
    }
    let key = compiled.expressions.business_key(&data).map_err(|error| bad(error.to_string()))?;
    key.map(|key| checked_key(&key)).transpose()
}

fn checked_key(key: &str) -> Result<Arc<str>, StartError> {
    if key.len() > KEY_BYTES_MAX {
        let why = format!("a key of {} bytes; the limit is {KEY_BYTES_MAX}", key.len());
        return Err(StartError::BadData(why));
    }
    Ok(key.into())
}

fn claims(
    deployed: &Deployed,
    start: &Start,
    business_key: Option<&Arc<str>>,
) -> Result<Vec<Claim>, StartError> {
    if (start.idempotency_key.is_none() && business_key.is_none()) || mutated(Mutant::ForgetClaims)
    {
        return Ok(Vec::new());
    }
    let payload_hash = hash(start);
    let scope = deployed.definition.saga_type();
    let claim = |kind, key: &Arc<str>| Claim {
        key: ClaimKey { kind, scope: Arc::clone(scope), key: Arc::clone(key) },
        payload_hash,
    };
    let mut claims = Vec::new();
    if let Some(key) = &start.idempotency_key {
        claims.push(claim(ClaimKind::Idempotency, &checked_key(key)?));
    }
    claims.extend(business_key.map(|key| claim(ClaimKind::Business, key)));
    Ok(claims)
}

/// What the caller said, so that the same key with other bytes is seen.
fn hash(start: &Start) -> [u8; 32] {
    let mut hash = Sha256::new();
    // A version that was not said is none: the current one may change between two tries.
    hash.update(start.version.unwrap_or_default().to_be_bytes());
    hash.update(&start.data);
    hash.finalize().into()
}

/// Another saga holds a key: it is the same start again, or a conflict.
async fn taken(
    shared: &Arc<Shared>,
    start: &Start,
    claimed: Rejection,
) -> Result<Started, StartError> {
    let Rejection::Claimed { kind, saga, payload_hash } = claimed;
    let saga_id = SagaId(saga);
    match kind {
        ClaimKind::Business => Err(StartError::KeyInUse { saga_id }),
        ClaimKind::Idempotency if payload_hash != hash(start) => {
            Err(StartError::IdempotencyConflict { saga_id })
        }
        ClaimKind::Idempotency => Ok(existing(shared, saga_id).await?),
    }
}
