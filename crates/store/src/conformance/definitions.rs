//! A version is one content for ever; a note is the last one kept.

use super::Installation;
use super::given::*;
use crate::{CatalogError, Definition};
use bytes::Bytes;

fn definition(saga_type: &str, version: u32) -> Definition {
    Definition {
        saga_type: saga_type.into(),
        version,
        hash: hash(version.into()),
        source: Bytes::from(format!("saga: {saga_type}\n")),
        created_at: NOW,
    }
}

pub(super) async fn a_definition_comes_back(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    catalog.put_definition(definition("Order", 2)).await.unwrap();
    assert_eq!(catalog.definition("Order", 2).await, Ok(Some(definition("Order", 2))));
    assert_eq!(catalog.definition("Order", 1).await, Ok(None));
    assert_eq!(catalog.definition("Trip", 2).await, Ok(None));
}

pub(super) async fn the_same_definition_twice_changes_nothing(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    catalog.put_definition(definition("Order", 1)).await.unwrap();
    let later = Definition { created_at: NOW + 5, ..definition("Order", 1) };
    catalog.put_definition(later).await.unwrap();
    assert_eq!(catalog.definitions().await, Ok(vec![definition("Order", 1)]));
}

pub(super) async fn a_version_with_other_content_is_refused(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    catalog.put_definition(definition("Order", 1)).await.unwrap();
    let other = Definition { hash: hash(77), ..definition("Order", 1) };
    let expected =
        CatalogError::DefinitionConflict { saga_type: "Order".into(), version: 1, held: hash(1) };
    assert_eq!(catalog.put_definition(other).await, Err(expected));
    assert_eq!(catalog.definitions().await, Ok(vec![definition("Order", 1)]));
}

pub(super) async fn definitions_are_listed_by_type_and_version(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    for (saga_type, version) in [("Trip", 1), ("Order", 10), ("Order", 9)] {
        catalog.put_definition(definition(saga_type, version)).await.unwrap();
    }
    let expected = vec![definition("Order", 9), definition("Order", 10), definition("Trip", 1)];
    assert_eq!(catalog.definitions().await, Ok(expected));
}

pub(super) async fn a_definition_outlives_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    given.store.catalog.put_definition(definition("Order", 1)).await.unwrap();
    // Rows of a version whose source was never put are none of its business.
    given.archived(vec![row(1, 1)]).await;
    let given = given.reopened().await;
    assert_eq!(given.store.catalog.definitions().await, Ok(vec![definition("Order", 1)]));
}

pub(super) async fn a_note_is_the_last_one_kept_and_outlives_reopening(on: &dyn Installation) {
    let given = opened(on).await;
    let catalog = &given.store.catalog;
    assert_eq!(catalog.note("alive").await, Ok(None));
    catalog.put_note("alive", Bytes::from_static(b"1")).await.unwrap();
    catalog.put_note("alive", Bytes::from_static(b"2")).await.unwrap();
    catalog.put_note("other", Bytes::from_static(b"3")).await.unwrap();
    let given = given.reopened().await;
    let noted = given.store.catalog.note("alive").await;
    assert_eq!(noted, Ok(Some(Bytes::from_static(b"2"))));
}
