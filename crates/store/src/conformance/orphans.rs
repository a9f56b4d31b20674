//! Replies without a saga are kept.

use super::Installation;
use super::given::*;
use crate::{Orphan, StoredOrphan};
use bytes::Bytes;

fn orphan(saga: u128) -> Orphan {
    let reply = Bytes::from(format!("{{\"saga\":{saga}}}\0\u{fffd}"));
    Orphan { received_at: NOW, saga, source: "kafka:payment.replies".into(), reply }
}

pub(super) async fn an_orphan_is_kept_whole(on: &dyn Installation) {
    let given = opened(on).await;
    let number = given.store.catalog.put_orphan(orphan(7)).await.unwrap();
    let given = given.reopened().await;
    let orphans = given.store.catalog.orphans(0, 10).await.unwrap();
    assert_eq!(orphans, [StoredOrphan { number, orphan: orphan(7) }]);
}

pub(super) async fn orphans_are_numbered_and_read_in_pages(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    for saga in 1..=5 {
        // The same reply twice is two orphans: whose it was is no longer known.
        assert_eq!(catalog.put_orphan(orphan(saga / 2)).await, Ok(saga as u64));
    }
    let numbers = |page: Vec<StoredOrphan>| page.iter().map(|o| o.number).collect::<Vec<_>>();
    assert_eq!(numbers(catalog.orphans(0, 3).await.unwrap()), [1, 2, 3]);
    assert_eq!(numbers(catalog.orphans(3, 3).await.unwrap()), [4, 5]);
    assert_eq!(numbers(catalog.orphans(5, 3).await.unwrap()), []);
}

pub(super) async fn a_removed_orphan_is_gone_and_its_number_with_it(on: &dyn Installation) {
    let given = opened(on).await;
    given.store.catalog.put_orphan(orphan(1)).await.unwrap();
    let last = given.store.catalog.put_orphan(orphan(2)).await.unwrap();
    assert_eq!(given.store.catalog.remove_orphan(last).await, Ok(true));
    assert_eq!(given.store.catalog.remove_orphan(last).await, Ok(false));
    let given = given.reopened().await;
    assert_eq!(given.store.catalog.put_orphan(orphan(3)).await, Ok(last + 1));
    let orphans = given.store.catalog.orphans(0, 10).await.unwrap();
    assert_eq!(orphans.iter().map(|o| o.orphan.saga).collect::<Vec<_>>(), [1, 3]);
}
