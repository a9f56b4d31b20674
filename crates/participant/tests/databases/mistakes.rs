//! Each mistake that can be built into the guard is caught by a case of the suite.
//!
//! A case that cannot fail proves nothing.

use amends_participant::guard::Mistake;
use futures_util::future::BoxFuture;
use sqlx::Pool;

use crate::bed::{self, Bed, Gate, Tested};
use crate::{at_once, rows};

type Case<D> = for<'a> fn(&'a Bed<D>) -> BoxFuture<'a, ()>;

/// The case that must catch a mistake.
fn case_against<D: Tested>(mistake: Mistake) -> Case<D> {
    macro_rules! case {
        ($case:path) => {
            |bed| Box::pin($case(bed))
        };
    }
    match mistake {
        Mistake::NoTombstone | Mistake::UndoOfNothing => {
            case!(rows::a_compensation_that_comes_first_leaves_a_tombstone)
        }
        Mistake::ResultForgotten => case!(rows::a_duplicate_is_told_the_first_answer),
        Mistake::RefusalForgotten => case!(rows::a_later_round_asks_anew_after_a_refusal),
        Mistake::RoundIgnored => case!(rows::a_later_round_asks_anew_after_a_refusal),
        Mistake::BytesIgnored => case!(rows::other_bytes_under_the_same_key_are_no_duplicate),
        Mistake::UndoneAgain => case!(rows::a_second_round_of_a_compensation_undoes_nothing_again),
        Mistake::NothingForEver => case!(rows::a_second_round_undoes_what_came_to_light),
        Mistake::UndoDoesNotWait => case!(at_once::an_undo_waits_for_the_action_at_work),
        Mistake::RefusalIsNoTombstone => {
            case!(rows::a_refused_step_has_nothing_to_undo_and_never_runs_again)
        }
        Mistake::SagaNotBelieved => {
            case!(rows::an_effect_without_a_record_is_undone_by_the_commands_result)
        }
    }
}

async fn is_caught<D: Tested>(pool: Pool<D>, mistake: Option<Mistake>, case: Case<D>) -> bool {
    let held = tokio::spawn(async move {
        let bed = Bed::on(pool, mistake, Gate::standing_open()).await;
        case(&bed).await;
    });
    held.await.is_err_and(|e| e.is_panic())
}

async fn check_mistakes<D: Tested>(pool: Pool<D>, mistakes: &[Mistake]) {
    for mistake in mistakes {
        let case = case_against::<D>(*mistake);
        assert!(!is_caught(pool.clone(), None, case).await, "the case fails without {mistake:?}");
        assert!(is_caught(pool.clone(), Some(*mistake), case).await, "nothing catches {mistake:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_caught_on_postgres() {
    check_mistakes(bed::postgres().await, &Mistake::ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_caught_on_mariadb() {
    check_mistakes(bed::mariadb().await, &Mistake::ALL).await;
}

/// SQLite has one writer at a time, so there every undo waits.
#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_caught_on_sqlite() {
    let waits = |mistake: &Mistake| *mistake != Mistake::UndoDoesNotWait;
    let mistakes: Vec<_> = Mistake::ALL.into_iter().filter(waits).collect();
    check_mistakes(bed::sqlite().await, &mistakes).await;
}
