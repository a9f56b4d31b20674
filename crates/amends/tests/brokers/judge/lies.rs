//! The judge, shown what is as it should be, and then each lie.

use libtest_mimic::{Failed, Trial};

use super::served::Served;
use super::{Evidence, judge};
use crate::order::STEPS;
use crate::service::deliveries_are_counted;
use crate::service::ledger::{Entry, Ledger};

/// Enough that one order is refused at each step.
const ORDERS: u64 = 40;

/// One that completes, and one that fails after its payment.
const COMPLETED: usize = 4;
const FAILED: usize = 19;

type Lie = (&'static str, fn(&mut Evidence), &'static str);

const LIES: [Lie; 21] = [
    ("a_lost_saga", lose_a_saga, "was acknowledged as saga-5, which is lost"),
    ("an_order_never_acknowledged", |it| drop(it.heard.remove(&5)), "order-5 was never"),
    ("a_key_with_two_sagas", |it| hear(it, 5, "saga-x"), "order-5 was acknowledged as [\"saga-5\""),
    ("an_order_twice", start_twice, "there is [\"saga-5\", \"saga-x\"]"),
    ("a_saga_that_nobody_started", start_another, "order-99 was started by nobody"),
    ("a_saga_that_does_not_end", |it| it.served[COMPLETED].state = "pending".into(), "is pending"),
    ("a_saga_that_failed_for_nothing", fail_one, "is failed, and should be completed"),
    ("a_saga_that_completed_all_the_same", complete_one, "is completed, and should be failed"),
    ("a_saga_that_owes", |it| it.served[FAILED].is_live = true, "still owes something"),
    ("a_saga_with_attention", |it| it.served[FAILED].trouble.push("attention".into()), "has att"),
    ("an_effect_that_is_missing", |it| forget(it, COMPLETED, false), "has done [] and"),
    ("an_undo_that_is_missing", |it| forget(it, FAILED, true), "and undone [] for order-20"),
    ("an_effect_twice", |it| repeat(it, COMPLETED, false), "PaymentService has done [1005, 1005]"),
    ("an_undo_twice", |it| repeat(it, FAILED, true), "and undone [1020, 1020] for order-20"),
    ("an_undo_of_what_stands", |it| enter(it, "saga-5", true, 1005), "undone [1005] for order-5"),
    ("an_effect_of_a_refused_step", |it| enter(it, "saga-10", false, 1), "[1] and undone []"),
    ("an_effect_of_no_saga", |it| enter(it, "saga-x", false, 7), "saga-x, which nobody started"),
    ("a_total_that_is_not_the_sum", |it| it.ledgers[1].holding += 1, "PaymentService holds"),
    ("an_unpublished_reply", |it| it.ledgers[2].unpublished = 1, "has 1 messages unpublished"),
    ("an_orphan", |it| it.orphans.push("{}".into()), "a reply found no saga"),
    ("a_dead_letter", |it| it.dead_letters[0].1 = 1, "payment.replies has 1 dead letters"),
];

pub fn tests() -> Vec<Trial> {
    let found = |(name, lie, words): Lie| {
        Trial::test(format!("judge::{name}_is_found"), move || is_found(lie, words))
    };
    let mut tests: Vec<Trial> = LIES.into_iter().map(found).collect();
    tests.push(Trial::test("judge::what_is_as_it_should_be_is_not_blamed", nothing_is_blamed));
    tests.push(Trial::test("deliveries_are_counted", deliveries_are_counted));
    tests
}

fn nothing_is_blamed() -> Result<(), Failed> {
    match judge(&truth()).as_slice() {
        [] => Ok(()),
        blamed => Err(format!("{blamed:?}").into()),
    }
}

fn is_found(lie: fn(&mut Evidence), words: &str) -> Result<(), Failed> {
    let mut evidence = truth();
    lie(&mut evidence);
    let found = judge(&evidence);
    if found.iter().any(|what| what.contains(words)) {
        return Ok(());
    }
    Err(format!("{words:?} is not in {found:?}").into())
}

/// Orders that came to what they should.
fn truth() -> Evidence {
    let saga_id = |n: u64| format!("saga-{n}");
    let served: Vec<Served> =
        (1..=ORDERS).map(|n| Served::as_it_should_be(n, &saga_id(n))).collect();
    let ledger = |place: usize| {
        let mut ledger = Ledger::default();
        for saga in &served {
            let ran = saga.refused_at.is_none_or(|refused| place < refused);
            let entry = |is_undo| Entry {
                saga_id: saga.saga_id.clone(),
                is_undo,
                amount: saga.amounts[place],
            };
            if ran {
                ledger.entries.push(entry(false));
            }
            match saga.refused_at {
                Some(_) if ran => ledger.entries.push(entry(true)),
                None => ledger.holding += saga.amounts[place],
                Some(_) => {}
            }
        }
        ledger
    };
    Evidence {
        sagas: ORDERS,
        heard: (1..=ORDERS).map(|n| (n, [saga_id(n)].into())).collect(),
        ledgers: (0..STEPS.len()).map(ledger).collect(),
        served,
        orphans: Vec::new(),
        dead_letters: vec![("payment.replies".to_owned(), 0)],
    }
}

fn lose_a_saga(it: &mut Evidence) {
    it.served.remove(COMPLETED);
}

fn hear(it: &mut Evidence, n: u64, saga_id: &str) {
    it.heard.entry(n).or_default().insert(saga_id.to_owned());
}

fn start_twice(it: &mut Evidence) {
    it.served.push(Served::as_it_should_be(5, "saga-x"));
}

fn start_another(it: &mut Evidence) {
    it.served.push(Served::as_it_should_be(99, "saga-99"));
}

fn fail_one(it: &mut Evidence) {
    it.served[COMPLETED].state = "failed".to_owned();
}

fn complete_one(it: &mut Evidence) {
    it.served[FAILED].state = "completed".to_owned();
}

/// The payment of this saga, or its undo, is not in the ledger.
fn forget(it: &mut Evidence, saga: usize, is_undo: bool) {
    let saga_id = it.served[saga].saga_id.clone();
    it.ledgers[1].entries.retain(|entry| entry.saga_id != saga_id || entry.is_undo != is_undo);
}

/// It is there twice.
fn repeat(it: &mut Evidence, saga: usize, is_undo: bool) {
    let Served { saga_id, amounts, .. } = it.served[saga].clone();
    enter(it, &saga_id, is_undo, amounts[1]);
}

/// Something more in the ledger of payments.
fn enter(it: &mut Evidence, saga_id: &str, is_undo: bool, amount: i64) {
    it.ledgers[1].entries.push(Entry { saga_id: saga_id.to_owned(), is_undo, amount });
}
