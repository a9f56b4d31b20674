//! All that can be read of a store, as questions with their answers in words.

use std::fmt::Debug;

use super::op::{KEYS, NAMES, SAGAS, SHARDS};
use super::twins::{key, saga_id};
use crate::{
    AttentionFilter, CatalogError, ClaimKind, DueCursor, JournalError, Order, Position, Query,
    ShardId, Store, StuckFilter,
};

/// A page that comes after so many is of a reading that never ends.
const PAGES_MAX: usize = 100;

/// A question, and what a store answers.
pub(super) type Reading = (String, String);

/// Everything. What only says how much room a store takes is left out: that is its own affair.
pub(super) async fn everything(store: &Store) -> Vec<Reading> {
    let mut all = Vec::new();
    journal(store, &mut all).await;
    sagas(store, &mut all).await;
    lists(store, &mut all).await;
    recovery(store, &mut all).await;
    beside(store, &mut all).await;
    all
}

async fn journal(store: &Store, all: &mut Vec<Reading>) {
    let size = store.journal.size();
    all.push(("size: records, cut, last".into(), words(&(size.records, size.cut, size.last))));
    all.push(("the catalog's place".into(), words(&store.catalog.position())));
    for after in [Position::START, size.cut, Position(size.last.0.saturating_sub(1)), size.last] {
        let mut pages = Vec::new();
        let mut from = after;
        for _ in 0..PAGES_MAX {
            let page = store.journal.replay(from).await;
            let last = page.as_ref().ok().and_then(|page| page.last()).map(|last| last.position);
            // Where a page ends is the store's affair.
            match page {
                Ok(page) => pages.extend(page.into_iter().map(|record| words(&record))),
                Err(error) => pages.push(journal_error(error)),
            }
            let Some(last) = last else { break };
            from = last;
        }
        all.push((format!("replay after {after}"), words(&pages)));
    }
    all.push(("cursors".into(), in_words(store.journal.cursors().await)));
    for kind in [ClaimKind::Idempotency, ClaimKind::Business] {
        for n in 0..KEYS {
            let holder = store.journal.claim_holder(key(kind, n)).await;
            all.push((format!("who holds {kind:?} key {n}"), in_words(holder)));
        }
    }
}

async fn sagas(store: &Store, all: &mut Vec<Reading>) {
    for saga in 0..SAGAS {
        let stored = store.catalog.read(saga_id(saga)).await;
        all.push((format!("read saga {saga}"), in_words(stored)));
    }
}

async fn lists(store: &Store, all: &mut Vec<Reading>) {
    let any = Query::default;
    let mut queries = vec![
        any(),
        Query { order: Order::OldestFirst, ..any() },
        Query { limit: 1, ..any() },
        Query { limit: 2, order: Order::OldestFirst, ..any() },
        Query { saga_type: Some("Order".into()), ..any() },
        Query { state: Some(2), ..any() },
        Query { saga_type: Some("Trip".into()), state: Some(1), limit: 1, ..any() },
        Query { live: Some(true), ..any() },
        Query { live: Some(false), ..any() },
        Query { paused: Some(true), ..any() },
        Query { paused: Some(false), limit: 2, ..any() },
        Query { attention: Some(AttentionFilter::None), ..any() },
        Query { attention: Some(AttentionFilter::AnyOf(u32::MAX)), ..any() },
        Query { attention: Some(AttentionFilter::AnyOf(2)), ..any() },
        Query { stuck: Some(StuckFilter::By(3)), ..any() },
        Query { stuck: Some(StuckFilter::NotBy(3)), ..any() },
        Query { created: Some(1_001..1_002), ..any() },
        Query { updated: Some(2..4), ..any() },
        Query { text: Some("key-1".into()), ..any() },
        Query { text: Some(format!("{:032x}", saga_id(2))), ..any() },
    ];
    for n in 0..KEYS {
        let business_key = Some(key(ClaimKind::Business, n).key);
        queries.push(Query { business_key, ..any() });
    }
    for query in queries {
        let asked = words(&query);
        all.push((format!("list {asked}"), words(&pages(store, query).await)));
    }
}

/// The rows of all pages, and how far they go.
async fn pages(store: &Store, mut query: Query) -> Vec<String> {
    let mut rows = Vec::new();
    for _ in 0..PAGES_MAX {
        match store.catalog.list(query.clone()).await {
            Ok(page) => {
                let fits = page.rows.len() <= query.limit;
                rows.extend(page.rows.iter().map(words));
                // Where a page ends short of its limit is the store's affair.
                rows.extend((!fits).then(|| "more than was asked for".to_owned()));
                rows.extend(
                    (page.as_of != store.catalog.position())
                        .then(|| format!("as of {}", page.as_of)),
                );
                query.after = page.next;
            }
            Err(error) => {
                rows.push(catalog_error(error));
                return rows;
            }
        }
        if query.after.is_none() {
            return rows;
        }
    }
    rows.push("and so on without an end".to_owned());
    rows
}

async fn recovery(store: &Store, all: &mut Vec<Reading>) {
    all.push(("counts".into(), in_words(store.catalog.counts().await)));
    for by in [0, 3, u64::MAX] {
        all.push((format!("stuck by {by}"), in_words(store.catalog.stuck(by).await)));
    }
    for shard in (0..SHARDS).map(|shard| ShardId(shard.into())) {
        let live = store.catalog.live(shard, None, 100).await;
        all.push((format!("live of shard {}", shard.0), in_words(live)));
        for until in [2, u64::MAX] {
            let mut found = Vec::new();
            let mut after = None;
            for _ in 0..PAGES_MAX {
                let page = store.catalog.due(shard, until, after, 1).await;
                let last = page.as_ref().ok().and_then(|page| page.last());
                let next = last.map(|last| DueCursor::after(&last.row));
                if next.is_some() || page.is_err() {
                    found.push(in_words(page));
                }
                if next.is_none() || next == after {
                    break;
                }
                after = next;
            }
            all.push((format!("due of shard {} until {until}", shard.0), words(&found)));
        }
    }
}

async fn beside(store: &Store, all: &mut Vec<Reading>) {
    let catalog = &store.catalog;
    all.push(("definitions".into(), in_words(catalog.definitions().await)));
    for (saga_type, version) in [("Order", 1), ("Order", 2), ("Trip", 1)] {
        let definition = catalog.definition(saga_type, version).await;
        all.push((format!("definition {saga_type} {version}"), in_words(definition)));
    }
    for name in NAMES {
        all.push((format!("note {name}"), in_words(catalog.note(name).await)));
    }
    all.push(("orphans".into(), in_words(catalog.orphans(0, 100).await)));
    all.push(("orphans after 1".into(), in_words(catalog.orphans(1, 1).await)));
    all.push(("audit".into(), in_words(catalog.audits(None, 0, 100).await)));
    all.push(("audit after 1".into(), in_words(catalog.audits(None, 1, 1).await)));
    let of_one = catalog.audits(Some(saga_id(1)), 0, 100).await;
    all.push(("audit of saga 1".into(), in_words(of_one)));
}

fn words(answer: &impl Debug) -> String {
    format!("{answer:?}")
}

/// An answer, or the error without the part that each store words for itself.
pub(super) fn in_words<T: Debug, E: Refusal>(answer: Result<T, E>) -> String {
    match answer {
        Ok(answer) => words(&answer),
        Err(error) => error.in_words(),
    }
}

/// An error of a store.
pub(super) trait Refusal {
    /// The error without what each store words for itself.
    fn in_words(self) -> String;
}

impl Refusal for JournalError {
    fn in_words(self) -> String {
        journal_error(self)
    }
}

impl Refusal for CatalogError {
    fn in_words(self) -> String {
        catalog_error(self)
    }
}

fn journal_error(mut error: JournalError) -> String {
    use JournalError::{Broken, Busy, Damaged, Full, Malformed};
    if let Full { what }
    | Busy { what }
    | Broken { what }
    | Damaged { what, .. }
    | Malformed { what } = &mut error
    {
        what.clear();
    }
    words(&error)
}

fn catalog_error(mut error: CatalogError) -> String {
    use CatalogError::{Ahead, Broken, Busy, Damaged, Full, Malformed};
    if let Full { what }
    | Busy { what }
    | Broken { what }
    | Damaged { what }
    | Malformed { what }
    | Ahead { what, .. } = &mut error
    {
        what.clear();
    }
    words(&error)
}
