//! A handler that ends the guard's transaction by itself. What it did cannot be taken back, so all
//! that is left is to say that nobody knows, and to do nothing twice.

use amends_participant::{Answer, Participant};

use crate::bed::{
    Bed, Gate, SERVICE, Saga, Tested, Work, business, code_of, completed, on_each_database, refused,
};

on_each_database! {
    an_action_that_committed_and_failed_does_not_run_again
    an_undo_that_committed_and_failed_does_not_run_again
    nothing_that_was_committed_is_said_to_be_rolled_back
    a_later_round_that_committed_and_failed_does_not_run_again
    a_later_round_that_rolled_back_is_not_said_to_be_done
    an_answer_that_is_not_stored_is_not_said
    what_rolled_back_and_went_on_is_not_done_again
    an_undo_that_rolled_back_and_went_on_is_not_done_again
    a_connection_is_of_use_after_its_transaction_was_ended
    a_refusal_for_a_statement_that_failed_is_stored
    a_value_after_a_statement_that_failed_is_told_as_that
    a_statement_that_fails_in_a_savepoint_fails_alone
}

fn is_unknown(answer: &Answer) -> bool {
    (answer.status(), code_of(answer).as_str()) == (500, "OUTCOME_UNKNOWN")
}

async fn an_action_that_committed_and_failed_does_not_run_again<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let action = saga.action_that("commit and fail");
    for body in [&action, &action, &saga.undo(), &action, &saga.undo_of(2, None)] {
        let answer = bed.tell(body).await;
        assert!(is_unknown(&answer), "{answer:?}");
    }
    assert_eq!(bed.effects(saga).await, (1, 0));
    // A person has looked.
    let sql = format!(
        "UPDATE amends_guard SET state = 'completed', reply = '{}' WHERE saga_id = '{}'",
        crate::bed::RESULT,
        saga.0
    );
    assert_eq!(D::run(&bed.pool, sql).await.unwrap(), 1);
    assert_eq!(bed.tell(&action).await, completed());
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
    assert_eq!(bed.effects(saga).await, (1, 1));
}

async fn an_undo_that_committed_and_failed_does_not_run_again<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    assert_eq!(bed.tell(&saga.action()).await, completed());
    let undo =
        |round| saga.undo_with(round, None, br#"{"amount":5,"end":"commit and fail to undo"}"#);
    for round in [1, 1, 1, 2] {
        let answer = bed.tell(&undo(round)).await;
        assert!(is_unknown(&answer), "{answer:?}");
    }
    assert_eq!(bed.effects(saga).await, (1, 1));
}

/// However it ends after that.
async fn nothing_that_was_committed_is_said_to_be_rolled_back<D: Tested>(bed: &Bed<D>) {
    for end in ["commit and panic", "commit and refuse"] {
        let saga = Saga::new();
        for _ in 0..2 {
            let answer = bed.tell(&saga.action_that(end)).await;
            assert!(is_unknown(&answer), "{end}: {answer:?}");
        }
        assert_eq!(bed.effects(saga).await, (1, 0), "{end}");
    }
}

/// A row that was there before the round is none the less its own.
async fn a_later_round_that_committed_and_failed_does_not_run_again<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    assert_eq!(bed.tell(&saga.action_that("refuse")).await, refused(1));
    let again = |end: &str| saga.action_of(2, Work { amount: 5, end: end.to_owned() });
    for round in 0..2 {
        let answer = bed.tell(&again("commit and fail")).await;
        assert!(is_unknown(&answer), "{round}: {answer:?}");
    }
    assert_eq!(bed.effects(saga).await, (1, 0));

    let saga = Saga::new();
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(false));
    came_to_light(bed, saga).await;
    for _ in 0..2 {
        let data = br#"{"amount":5,"end":"commit and fail to undo"}"#;
        let answer = bed.tell(&saga.undo_with(2, None, data)).await;
        assert!(is_unknown(&answer), "{answer:?}");
    }
    assert_eq!(bed.effects(saga).await, (0, 1));
}

async fn a_later_round_that_rolled_back_is_not_said_to_be_done<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    assert_eq!(bed.tell(&saga.action_that("refuse")).await, refused(1));
    let rolled_back = Work { amount: 5, end: "roll back".to_owned() };
    let answer = bed.tell(&saga.action_of(2, rolled_back)).await;
    assert!(is_unknown(&answer), "{answer:?}");
    assert_eq!(bed.effects(saga).await, (0, 0));

    let saga = Saga::new();
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(false));
    came_to_light(bed, saga).await;
    let data = br#"{"amount":5,"end":"roll back the undo"}"#;
    let answer = bed.tell(&saga.undo_with(2, None, data)).await;
    assert!(is_unknown(&answer), "{answer:?}");
    assert_eq!(bed.effects(saga).await, (0, 0));
}

/// A person has found the record of an action.
async fn came_to_light<D: Tested>(bed: &Bed<D>, saga: Saga) {
    let sql = format!(
        "UPDATE amends_guard SET state = 'completed', reply = '{}' \
         WHERE saga_id = '{}' AND direction = 'action'",
        crate::bed::RESULT,
        saga.0
    );
    assert_eq!(D::run(&bed.pool, sql).await.unwrap(), 1);
}

async fn an_answer_that_is_not_stored_is_not_said<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let answer = bed.tell(&saga.action_that("roll back")).await;
    assert!(is_unknown(&answer), "{answer:?}");
    nothing_was_done(bed, saga, "action").await;
    assert_eq!(bed.tell(&saga.action()).await, completed());
    let undo = saga.undo_with(1, None, br#"{"amount":5,"end":"roll back the undo"}"#);
    let answer = bed.tell(&undo).await;
    assert!(is_unknown(&answer), "{answer:?}");
    nothing_was_done(bed, saga, "compensation").await;
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
    assert_eq!(bed.effects(saga).await, (1, 1));
}

/// A person has looked, and found nothing.
async fn nothing_was_done<D: Tested>(bed: &Bed<D>, saga: Saga, direction: &str) {
    let sql = format!(
        "DELETE FROM amends_guard WHERE saga_id = '{}' AND direction = '{direction}' \
         AND state = 'claimed'",
        saga.0
    );
    assert_eq!(D::run(&bed.pool, sql).await.unwrap(), 1);
}

/// However it ends, in a first round and in a later one: what it did since its rollback stands.
async fn what_rolled_back_and_went_on_is_not_done_again<D: Tested>(bed: &Bed<D>) {
    for end in ["answer", "fail", "refuse", "panic"] {
        let work = Work { amount: 5, end: format!("roll back, enter and {end}") };
        for round in [1, 2] {
            let saga = Saga::new();
            if round == 2 {
                assert_eq!(bed.tell(&saga.action_that("refuse")).await, refused(1));
            }
            let action = saga.action_of(round, work.clone());
            for body in [&action, &action, &action, &saga.undo()] {
                let answer = bed.tell(body).await;
                assert!(is_unknown(&answer), "{end} in round {round}: {answer:?}");
            }
            assert_eq!(bed.effects(saga).await, (1, 0), "{end} in round {round}");
        }
    }
}

async fn an_undo_that_rolled_back_and_went_on_is_not_done_again<D: Tested>(bed: &Bed<D>) {
    let data = br#"{"amount":5,"end":"roll back, enter and fail to undo"}"#;
    let recorded = Saga::new();
    assert_eq!(bed.tell(&recorded.action()).await, completed());
    let unrecorded = Saga::new();
    for (saga, actions) in [(recorded, 1), (unrecorded, 0)] {
        for round in [1, 1, 2] {
            let result = Some(crate::bed::RESULT.as_bytes());
            let answer = bed.tell(&saga.undo_with(round, result, data)).await;
            assert!(is_unknown(&answer), "{answer:?}");
        }
        assert_eq!(bed.effects(saga).await, (actions, 1));
    }
    // Nor does an action run whose undo nobody knows the outcome of.
    let answer = bed.tell(&unrecorded.action()).await;
    assert!(is_unknown(&answer), "{answer:?}");
    assert_eq!(bed.effects(unrecorded).await, (0, 1));
}

async fn a_connection_is_of_use_after_its_transaction_was_ended<D: Tested>(bed: &Bed<D>) {
    let bed = Bed {
        pool: bed.pool.clone(),
        participant: business(
            Participant::builder(SERVICE, bed.pool.clone()),
            Gate::standing_open(),
        )
        .build(),
    };
    for _ in 0..2 * crate::bed::CONNECTIONS {
        bed.tell(&Saga::new().action_that("roll back")).await;
        bed.tell(&Saga::new().action_that("commit and fail")).await;
    }
    for _ in 0..2 * crate::bed::CONNECTIONS {
        assert_eq!(bed.tell(&Saga::new().action()).await, completed());
    }
}

/// As of a unique key that is there already: it is the most ordinary refusal.
async fn a_refusal_for_a_statement_that_failed_is_stored<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    for _ in 0..2 {
        assert_eq!(bed.tell(&saga.action_that("swallow and refuse")).await, refused(1));
    }
    assert_eq!(bed.effects(saga).await, (0, 0));
}

/// PostgreSQL ends a transaction with the first statement of it that fails; the others go on.
async fn a_value_after_a_statement_that_failed_is_told_as_that<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let action = saga.action_that("swallow and answer");
    let answer = bed.tell(&action).await;
    if D::NAME != "PostgreSQL" {
        assert_eq!(answer, completed());
        return assert_eq!(bed.effects(saga).await, (1, 0));
    }
    assert_eq!((answer.status(), code_of(&answer).as_str()), (503, "TRANSACTION_ABORTED"));
    assert_eq!(bed.tell(&action).await, answer, "nothing is stored of it");
    assert_eq!(bed.effects(saga).await, (0, 0));
}

async fn a_statement_that_fails_in_a_savepoint_fails_alone<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    assert_eq!(bed.tell(&saga.action_that("make a savepoint")).await, completed());
    assert_eq!(bed.effects(saga).await, (1, 0));
}
