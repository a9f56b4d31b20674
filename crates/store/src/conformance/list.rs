//! Lists find sagas by what their rows say.

use super::Installation;
use super::given::*;
use crate::{AttentionFilter, Order, Query, SagaRow, StuckFilter};

/// Six sagas, created in the order of their ids, which begin with `a` to `f`.
const fn id(letter: u8) -> u128 {
    ((letter as u128) << 124) + letter as u128
}

async fn six(on: &dyn Installation) -> Given<'_> {
    let given = opened(on).await;
    let at = |row: SagaRow| SagaRow { created_at: NOW + (row.saga >> 124) as u64, ..row };
    let rows = vec![
        SagaRow { state: 0, business_key: Some("order-1".into()), ..at(row(id(0xa), 1)) },
        SagaRow { paused: true, attention: 0b100, ..at(row(id(0xb), 9)) },
        SagaRow { state: 2, attention: 0b011, saga_type: "Trip".into(), ..at(row(id(0xc), 2)) },
        SagaRow { business_key: Some("order-1".into()), ..at(over(id(0xd), 3, NOW)) },
        SagaRow { state: 4, live: true, ..at(over(id(0xe), 4, NOW)) },
        SagaRow { saga_type: "Trip".into(), ..at(over(id(0xf), 5, NOW)) },
    ];
    given.archived(rows).await;
    given
}

async fn letters(given: &Given<'_>, query: Query) -> String {
    let ids = given.listed(query).await;
    ids.iter().map(|id| format!("{:x}", id >> 124)).collect()
}

pub(super) async fn the_newest_comes_first(on: &dyn Installation) {
    let given = six(on).await;
    assert_eq!(letters(&given, Query::default()).await, "fedcba");
}

pub(super) async fn the_oldest_comes_first_when_asked(on: &dyn Installation) {
    let given = six(on).await;
    let query = Query { order: Order::OldestFirst, ..Query::default() };
    assert_eq!(letters(&given, query).await, "abcdef");
}

pub(super) async fn by_type_and_state(on: &dyn Installation) {
    let given = six(on).await;
    let of_type = |name: &str| Query { saga_type: Some(name.into()), ..Query::default() };
    assert_eq!(letters(&given, of_type("Order")).await, "edba");
    assert_eq!(letters(&given, of_type("Trip")).await, "fc");
    assert_eq!(letters(&given, of_type("Nothing")).await, "");
    let in_state = |state| Query { state: Some(state), ..Query::default() };
    assert_eq!(letters(&given, in_state(3)).await, "fd");
    assert_eq!(letters(&given, in_state(9)).await, "");
    assert_eq!(letters(&given, Query { state: Some(3), ..of_type("Trip") }).await, "f");
}

pub(super) async fn by_live_and_paused(on: &dyn Installation) {
    let given = six(on).await;
    let live = |live| Query { live: Some(live), ..Query::default() };
    assert_eq!(letters(&given, live(true)).await, "ecba");
    assert_eq!(letters(&given, live(false)).await, "fd");
    let paused = |paused| Query { paused: Some(paused), ..Query::default() };
    assert_eq!(letters(&given, paused(true)).await, "b");
    assert_eq!(letters(&given, paused(false)).await, "fedca");
}

pub(super) async fn by_attention(on: &dyn Installation) {
    let given = six(on).await;
    let attention = |filter| Query { attention: Some(filter), ..Query::default() };
    assert_eq!(letters(&given, attention(AttentionFilter::AnyOf(u32::MAX))).await, "cb");
    assert_eq!(letters(&given, attention(AttentionFilter::AnyOf(0b010))).await, "c");
    assert_eq!(letters(&given, attention(AttentionFilter::None)).await, "feda");
}

pub(super) async fn by_stuck(on: &dyn Installation) {
    let given = six(on).await;
    let later = SagaRow { stuck_at: Some(NOW + 10), created_at: NOW, ..row(id(0x7), 1) };
    let now = SagaRow { stuck_at: Some(NOW), created_at: NOW + 1, ..row(id(0x8), 1) };
    given.archived(vec![later, now]).await;
    let stuck = |filter| Query { stuck: Some(filter), ..Query::default() };
    assert_eq!(given.listed(stuck(StuckFilter::By(NOW - 1))).await, []);
    assert_eq!(given.listed(stuck(StuckFilter::By(NOW))).await, [id(0x8)]);
    assert_eq!(given.listed(stuck(StuckFilter::By(NOW + 10))).await, [id(0x8), id(0x7)]);
    let page = Query { limit: 1, ..stuck(StuckFilter::By(NOW + 10)) };
    assert_eq!(given.listed(page).await, [id(0x8), id(0x7)]);
    assert_eq!(letters(&given, stuck(StuckFilter::NotBy(NOW + 10))).await, "fedcba");
    let of_none = Query { saga_type: Some("Trip".into()), ..stuck(StuckFilter::By(NOW + 10)) };
    assert_eq!(given.listed(of_none).await, []);
}

pub(super) async fn by_business_key_of_running_and_ended_sagas(on: &dyn Installation) {
    let given = six(on).await;
    let with = |key: &str| Query { business_key: Some(key.into()), ..Query::default() };
    assert_eq!(letters(&given, with("order-1")).await, "da");
    assert_eq!(letters(&given, with("order-2")).await, "");
    assert_eq!(letters(&given, Query { live: Some(true), ..with("order-1") }).await, "a");
    let oldest = Query { order: Order::OldestFirst, limit: 1, ..with("order-1") };
    assert_eq!(letters(&given, oldest).await, "ad");
    let of_trip = Query { saga_type: Some("Trip".into()), ..with("order-1") };
    assert_eq!(letters(&given, of_trip).await, "");
}

pub(super) async fn by_created_and_updated(on: &dyn Installation) {
    let given = six(on).await;
    let created = |range| Query { created: Some(range), ..Query::default() };
    assert_eq!(letters(&given, created(NOW + 0xb..NOW + 0xd)).await, "cb");
    let oldest = Query { order: Order::OldestFirst, ..created(NOW + 0xd..u64::MAX) };
    assert_eq!(letters(&given, oldest).await, "def");
    let updated = Query { updated: Some(NOW + 3..NOW + 5), ..Query::default() };
    assert_eq!(letters(&given, updated).await, "ed");
}

pub(super) async fn by_the_beginning_of_an_id(on: &dyn Installation) {
    let given = six(on).await;
    let typed = |text: &str| Query { text: Some(text.into()), ..Query::default() };
    assert_eq!(letters(&given, typed("c")).await, "c");
    assert_eq!(letters(&given, typed("d0000000-0000-0000")).await, "d");
    assert_eq!(letters(&given, typed("d1")).await, "");
    assert_eq!(letters(&given, typed("nothing like it")).await, "");
}

pub(super) async fn by_a_business_key_typed_as_text(on: &dyn Installation) {
    let given = six(on).await;
    let typed = |text: &str| Query { text: Some(text.into()), ..Query::default() };
    assert_eq!(letters(&given, typed("order-1")).await, "da");
    // A key that may as well be the beginning of an id.
    let key = SagaRow { business_key: Some("f".into()), ..row(1, 1) };
    given.archived(vec![SagaRow { created_at: NOW, ..key }]).await;
    assert_eq!(given.listed(typed("f")).await, [id(0xf), 1]);
}

pub(super) async fn filters_add_up(on: &dyn Installation) {
    let given = six(on).await;
    let query = Query {
        saga_type: Some("Order".into()),
        live: Some(true),
        created: Some(NOW + 0xb..NOW + 0xf),
        ..Query::default()
    };
    assert_eq!(letters(&given, query.clone()).await, "eb");
    let paused = Query { paused: Some(true), ..query.clone() };
    assert_eq!(letters(&given, paused).await, "b");
    let typed = Query { text: Some("e".into()), ..query };
    assert_eq!(letters(&given, typed).await, "e");
}

pub(super) async fn a_row_that_changed_is_listed_once_where_it_now_belongs(on: &dyn Installation) {
    let given = six(on).await;
    let position = given.appended(vec![entry(id(0xa), 2, 1)]).await;
    let created_at = NOW + 0xa;
    let ended = SagaRow { created_at, attention: 1, ..over(id(0xa), 2, NOW) };
    given.checkpointed(position, vec![brought(ended, 2)]).await;
    assert_eq!(letters(&given, Query::default()).await, "fedcba");
    assert_eq!(letters(&given, Query { state: Some(0), ..Query::default() }).await, "");
    assert_eq!(letters(&given, Query { state: Some(3), ..Query::default() }).await, "fda");
    assert_eq!(letters(&given, Query { live: Some(true), ..Query::default() }).await, "ecb");
    let attention = Some(AttentionFilter::AnyOf(1));
    assert_eq!(letters(&given, Query { attention, ..Query::default() }).await, "ca");
    // Its business key was left out of the new row.
    let with = Query { business_key: Some("order-1".into()), ..Query::default() };
    assert_eq!(letters(&given, with).await, "d");
}

pub(super) async fn as_of_is_the_catalogs_place(on: &dyn Installation) {
    let given = six(on).await;
    let position = given.appended(vec![entry(1, 1, 1)]).await;
    let page = given.store.catalog.list(Query::default()).await.unwrap();
    assert_eq!(page.as_of, given.store.catalog.position());
    given.checkpointed(position, vec![brought(row(1, 1), 1)]).await;
    let page = given.store.catalog.list(Query::default()).await.unwrap();
    assert_eq!((page.as_of, page.rows.len()), (position, 7));
}
