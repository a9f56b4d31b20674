//! Pages add up to the list.

use super::Installation;
use super::given::*;
use crate::{AttentionFilter, CatalogError, Order, PAGE_ROWS_MAX, Query, SagaRow};
use std::ops::Range;

pub(super) async fn pages_give_every_saga_once(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived((1..=25).map(|saga| row(saga, 1)).collect()).await;
    for limit in [1, 7, 25, 26] {
        let newest = Query { limit, ..Query::default() };
        assert_eq!(given.listed(newest.clone()).await, (1..=25).rev().collect::<Vec<_>>());
        let oldest = Query { order: Order::OldestFirst, ..newest };
        assert_eq!(given.listed(oldest).await, (1..=25).collect::<Vec<_>>());
    }
}

pub(super) async fn pages_of_sagas_of_one_moment_give_every_saga_once(on: &dyn Installation) {
    let given = opened(on).await;
    let state = |saga: u128| (saga % 3) as u8;
    // Neither the order of arrival nor that of creation is that of the ids.
    let at = |saga| SagaRow { created_at: NOW, state: state(saga), ..row(saga, 1) };
    given.archived((1..=12).rev().map(at).collect()).await;
    given.archived((13..=24).map(at).collect()).await;
    for limit in [1, 5, 8] {
        let newest = Query { limit, ..Query::default() };
        assert_eq!(given.listed(newest.clone()).await, (1..=24).rev().collect::<Vec<_>>());
        let oldest = Query { order: Order::OldestFirst, ..newest.clone() };
        assert_eq!(given.listed(oldest).await, (1..=24).collect::<Vec<_>>());
        let of_state = Query { state: Some(1), ..newest };
        let expected: Vec<u128> = (1..=24).rev().filter(|saga| state(*saga) == 1).collect();
        assert_eq!(given.listed(of_state).await, expected);
    }
}

pub(super) async fn pages_of_a_filter_give_every_fit_once(on: &dyn Installation) {
    let given = opened(on).await;
    let of = |saga: u128| SagaRow {
        saga_type: if saga.is_multiple_of(2) { "Even".into() } else { "Odd".into() },
        attention: u32::from(saga.is_multiple_of(3)),
        live: !saga.is_multiple_of(5),
        business_key: Some(format!("key-{}", saga % 4).into()),
        ..row(saga, 1)
    };
    given.archived((1..=60).map(of).collect()).await;
    type Fits = fn(u128) -> bool;
    let cases: [(Query, Fits); 6] = [
        (Query { saga_type: Some("Even".into()), ..Query::default() }, |n| n % 2 == 0),
        (Query { attention: Some(AttentionFilter::AnyOf(1)), ..Query::default() }, |n| n % 3 == 0),
        (Query { live: Some(true), ..Query::default() }, |n| n % 5 != 0),
        (Query { business_key: Some("key-3".into()), ..Query::default() }, |n| n % 4 == 3),
        (Query { text: Some("key-1".into()), ..Query::default() }, |n| n % 4 == 1),
        (Query { text: Some("0".into()), ..Query::default() }, |_| true),
    ];
    for (query, fits) in cases {
        for (limit, order) in [(2, Order::NewestFirst), (7, Order::OldestFirst)] {
            let mut expected: Vec<u128> = (1..=60).filter(|saga| fits(*saga)).collect();
            if order == Order::NewestFirst {
                expected.reverse();
            }
            let query = Query { limit, order, ..query.clone() };
            assert_eq!(given.listed(query.clone()).await, expected, "{query:?}");
        }
    }
}

pub(super) async fn a_page_has_at_most_a_thousand_rows(on: &dyn Installation) {
    let given = opened(on).await;
    given.archived((1..=1500).map(|saga| row(saga, 1)).collect()).await;
    let page = given.store.catalog.list(Query { limit: 5000, ..Query::default() }).await.unwrap();
    assert_eq!(page.rows.len(), PAGE_ROWS_MAX);
    assert!(page.next.is_some());
}

async fn malformed(on: &dyn Installation, query: Query) {
    let given = opened(on).await;
    let error = given.store.catalog.list(query).await.unwrap_err();
    assert!(matches!(error, CatalogError::Malformed { .. }), "{error}");
}

pub(super) async fn a_limit_of_nothing_is_malformed(on: &dyn Installation) {
    malformed(on, Query { limit: 0, ..Query::default() }).await;
}

pub(super) async fn a_range_that_ends_before_it_begins_is_malformed(on: &dyn Installation) {
    let created = Some(Range { start: 5, end: 4 });
    malformed(on, Query { created, ..Query::default() }).await;
}
