//! The judge: the business's ledger against what was told. It knows nothing of the guard's table.

use sqlx::Pool;

use crate::bed::{RESULT, Tested};
use crate::saga::{AMOUNT, Answered, Course, Told, What};

/// What a refusal says whose compensation came first.
const ALREADY_UNDONE: &str = "\"ALREADY_UNDONE\"";
const KEY_REUSED: &str = "\"KEY_REUSED\"";

pub(crate) async fn judge<D: Tested>(pool: &Pool<D>, told: &[Told]) -> Vec<String> {
    let mut found = Vec::new();
    for saga in told {
        let id = saga.saga.0.to_string();
        let entered = async |effect| D::amounts(pool, &id, effect).await.unwrap();
        let (done, undone) = (entered("action").await, entered("compensation").await);
        for what in wrong_in(saga, &done, &undone) {
            found.push(format!("{what}. Done {done:?}, undone {undone:?}: {saga:?}"));
        }
    }
    let entries = D::number(pool, "SELECT count(*) FROM ledger").await.unwrap();
    let all: i64 = told.len().try_into().unwrap_or(i64::MAX);
    if entries > 2 * all || entries == 0 {
        found.push(format!("the ledger has {entries} entries of {all} sagas"));
    }
    found
}

/// Every rule that does not hold of a saga, whose entries in the ledger have these amounts.
fn wrong_in(saga: &Told, done: &[i64], undone: &[i64]) -> Vec<&'static str> {
    let Told { course, is_undone, .. } = *saga;
    let is_done = !done.is_empty();
    let last_round = course.last_round();
    let word = answers(saga, What::Act { round: last_round }).next();
    let mut rules = vec![
        (done.len() <= 1 && undone.len() <= done.len(), "at most once, undone no more than done"),
        (done.iter().chain(undone).all(|amount| *amount == AMOUNT), "other bytes do nothing"),
        (!is_undone || done == undone, "what was undone is undone"),
        (is_undone || undone.is_empty(), "what nobody undid is not undone"),
        (course != Course::Refused || !is_done, "a refusal has no effect"),
        (
            is_done || is_undone || course == Course::Refused,
            "what is neither refused nor undone is done",
        ),
        (
            is_done || course != Course::RecordLost,
            "what was done stays done when its record is lost",
        ),
        (word.is_some(), "each action was told something"),
    ];
    let Some(word) = word else { return broken(rules) };
    let came_too_late = word.status == 422 && word.body.contains(ALREADY_UNDONE);
    for answer in &saga.answers {
        let is_the_word = (answer.status, &answer.body) == (word.status, &word.body);
        rules.push(match answer.what {
            What::Act { round } if round == last_round => {
                let is_right = match word.status {
                    200 => is_done && word.body == RESULT,
                    _ if came_too_late => is_undone && !is_done,
                    // A first round that was refused and undone speaks for the second.
                    _ => !is_done && (is_refusal_of(1, word) && (last_round == 1 || is_undone)),
                };
                (is_the_word && is_right, "every copy of an action is told what became of it")
            }
            What::Act { round } => (
                is_the_word || !came_too_late && is_refusal_of(round, answer),
                "an earlier round is told its refusal, or the last word",
            ),
            What::Undo => {
                let body = format!("{{\"undone\":{}}}", !undone.is_empty());
                (answer.status == 200 && answer.body == body, "every undo is told what it came to")
            }
            What::OtherAct if word.status == 200 || is_refusal_of(last_round, word) => {
                (is_key_reused(answer), "other bytes under an action's key are a breach")
            }
            What::OtherAct => (is_the_word, "a round that did not run is told what the others are"),
            What::OtherUndo => {
                (is_key_reused(answer), "other bytes under an undo's key are a breach")
            }
            What::ActUnrecorded => (
                answer.status == 422 && answer.body.contains(ALREADY_UNDONE),
                "what was undone without a record does not run any more",
            ),
        });
    }
    broken(rules)
}

fn broken(rules: Vec<(bool, &'static str)>) -> Vec<&'static str> {
    let mut broken: Vec<_> = rules.into_iter().filter(|rule| !rule.0).map(|rule| rule.1).collect();
    broken.dedup();
    broken
}

fn answers(saga: &Told, what: What) -> impl Iterator<Item = &Answered> {
    saga.answers.iter().filter(move |answer| answer.what == what)
}

fn is_refusal_of(round: u16, answer: &Answered) -> bool {
    let error = format!("{{\"error\":{{\"code\":\"NO\",\"message\":\"round {round}\"}}}}");
    answer.status == 422 && answer.body == error
}

fn is_key_reused(answer: &Answered) -> bool {
    answer.status == 400 && answer.body.contains(KEY_REUSED)
}
