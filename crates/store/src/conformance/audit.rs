//! The audit is a chain.

use super::Installation;
use super::given::*;
use crate::{Audit, check_audit};
use bytes::Bytes;

fn audit(action: &str, saga: Option<u128>) -> Audit {
    let detail = Bytes::from_static(b"{\"reason\":\"asked by phone\"}");
    Audit { at: NOW, actor: "ada".into(), action: action.into(), saga, detail }
}

pub(super) async fn entries_are_numbered_and_chained(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    let mut written = Vec::new();
    for action in ["retry", "skip", "cancel"] {
        written.push(catalog.append_audit(audit(action, Some(1))).await.unwrap());
    }
    assert_eq!(written.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(written[1].audit, audit("skip", Some(1)));
    check_audit(None, &written).unwrap();
    assert_eq!(catalog.audits(None, 0, 10).await, Ok(written));
}

pub(super) async fn the_chain_goes_on_after_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    given.store.catalog.append_audit(audit("retry", None)).await.unwrap();
    let given = given.reopened().await;
    given.store.catalog.append_audit(audit("skip", None)).await.unwrap();
    let all = given.store.catalog.audits(None, 0, 10).await.unwrap();
    assert_eq!(all.len(), 2);
    check_audit(None, &all).unwrap();
}

pub(super) async fn entries_of_one_saga(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    for saga in [Some(1), Some(2), None, Some(1)] {
        catalog.append_audit(audit("retry", saga)).await.unwrap();
    }
    let numbers = |entries: Vec<crate::AuditEntry>| -> Vec<u64> {
        entries.iter().map(|entry| entry.number).collect()
    };
    assert_eq!(numbers(catalog.audits(Some(1), 0, 10).await.unwrap()), [1, 4]);
    assert_eq!(numbers(catalog.audits(Some(1), 1, 10).await.unwrap()), [4]);
    assert_eq!(numbers(catalog.audits(Some(9), 0, 10).await.unwrap()), []);
}

pub(super) async fn entries_are_read_in_pages(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    for _ in 0..7 {
        catalog.append_audit(audit("retry", None)).await.unwrap();
    }
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |entry: &crate::AuditEntry| entry.number);
        let page = catalog.audits(None, after, 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    assert_eq!(all.len(), 7);
    check_audit(None, &all).unwrap();
}
