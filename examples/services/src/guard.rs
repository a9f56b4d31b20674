//! The guard: what makes a repeated, late or misordered command harmless, inside one transaction.
//!
//! | met | done | told |
//! |---|---|---|
//! | a key seen before | nothing | the stored answer |
//! | a key seen before with other bytes | nothing | 400: that is no command of the protocol |
//! | an action after its undo (fence `barrier`) | nothing | 409 |
//! | an undo of what never ran (`semantics.md` S9) | a tombstone | `undone: false` |
//! | anything else | the work, its ledger entry, its answer | the answer |

use rusqlite::{Connection, OptionalExtension, Result, params};
use serde_json::{Value, json};

use crate::clock::monotonic_ns;
use crate::command::{Command, Direction};
use crate::evidence::Word;
use crate::service::Service;
use crate::trade::{self, Refusal, Work};

/// The same tables as the Python participants have, and the holdings. The ledger has no unique
/// key on purpose: a guard that fails shows as a second entry, not as an error.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ledger (
    entry INTEGER PRIMARY KEY AUTOINCREMENT,
    saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_step ON ledger (saga_id, step);
CREATE TABLE IF NOT EXISTS answer (
    key TEXT PRIMARY KEY, body_sha256 TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tombstone (
    saga_id TEXT NOT NULL, step TEXT NOT NULL, PRIMARY KEY (saga_id, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS call (
    entry INTEGER PRIMARY KEY AUTOINCREMENT, arrived_ns INTEGER NOT NULL, answered_ns INTEGER,
    saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL, attempt INTEGER NOT NULL, status INTEGER NOT NULL,
    answer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS call_by_key ON call (key);
CREATE TABLE IF NOT EXISTS holding (
    name TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
";

/// What a command is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) word: Word,
}

/// Carries a command out unless it was, or must not be. `refuse` refuses a new action, or an undo,
/// whatever the business says.
pub(crate) fn carry_out(
    db: &Connection,
    service: Service,
    command: &Command,
    refuse: bool,
) -> Result<Told> {
    if let Some(told) = told_before(db, command)? {
        return Ok(told);
    }
    let told = match command.direction {
        Direction::Action => act(db, service, command, refuse)?,
        // An undo cannot be refused for good, so this answer is not kept.
        Direction::Compensation if refuse => return Ok(refused(422, &to_order())),
        Direction::Compensation => undo(db, service, command)?,
    };
    db.prepare_cached("INSERT INTO answer VALUES (?, ?, ?, ?)")?.execute(params![
        command.key,
        command.body_sha256,
        told.status,
        told.body
    ])?;
    Ok(told)
}

/// Notes a call and what it was told; an unanswered one has no time of its answer.
pub(crate) fn note(db: &Connection, command: &Command, status: u16, word: Word) -> Result<()> {
    let answered_ns = (!word.is_silence()).then(monotonic_ns);
    db.prepare_cached(
        "INSERT INTO call (arrived_ns, answered_ns, saga_id, step, direction, key, body_sha256,
         attempt, status, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        command.arrived_ns,
        answered_ns,
        command.saga_id,
        command.step,
        command.direction.as_str(),
        command.key,
        command.body_sha256,
        command.attempt,
        status,
        word.as_str(),
    ])?;
    Ok(())
}

/// How many calls of this command were noted.
pub(crate) fn earlier_calls(db: &Connection, command: &Command) -> Result<u32> {
    db.prepare_cached("SELECT count(*) FROM call WHERE key = ?")?
        .query_row([&command.key], |row| row.get(0))
}

fn told_before(db: &Connection, command: &Command) -> Result<Option<Told>> {
    let stored = db
        .prepare_cached("SELECT body_sha256, status, body FROM answer WHERE key = ?")?
        .query_row([&command.key], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u16>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((body_sha256, status, body)) = stored else { return Ok(None) };
    if body_sha256 != command.body_sha256 {
        let body = failure("KEY_REUSED", "this idempotency key came before with another body");
        return Ok(Some(Told { status: 400, body, word: Word::Conflict }));
    }
    let word = match (command.direction, status) {
        (_, 400..) => Word::Refused,
        (Direction::Action, _) => Word::Completed,
        (Direction::Compensation, _) if body.contains("true") => Word::Undone,
        (Direction::Compensation, _) => Word::NothingToUndo,
    };
    Ok(Some(Told { status, body, word }))
}

fn act(db: &Connection, service: Service, command: &Command, refuse: bool) -> Result<Told> {
    let dead = db
        .prepare_cached("SELECT 1 FROM tombstone WHERE saga_id = ? AND step = ?")?
        .exists([&command.saga_id, &command.step])?;
    if dead {
        let message = "this step was undone before it ran".to_owned();
        return Ok(refused(409, &Refusal { code: "ALREADY_UNDONE", message }));
    }
    if let Some(detail) = entry(db, command, Direction::Action)? {
        // A later round, with its own key, of what has long been carried out.
        return Ok(completed(&detail["result"]));
    }
    if refuse {
        return Ok(refused(422, &to_order()));
    }
    let work = match trade::action(command) {
        Ok(work) => work,
        Err(refusal) => return Ok(refused(422, &refusal)),
    };
    if let Some(refusal) = shortage(db, service, &work)? {
        return Ok(refused(422, &refusal));
    }
    for (holding, by) in &work.moves {
        move_holding(db, service, holding, *by)?;
    }
    let Work { result, moves, .. } = work;
    record(db, command, &json!({"result": result, "moves": moves}))?;
    Ok(completed(&result))
}

fn undo(db: &Connection, service: Service, command: &Command) -> Result<Told> {
    // Our own record of the action, not the command's: it may not know the result.
    let Some(done) = entry(db, command, Direction::Action)? else {
        db.prepare_cached("INSERT OR IGNORE INTO tombstone VALUES (?, ?)")?
            .execute([&command.saga_id, &command.step])?;
        let body = json!({"undone": false}).to_string();
        return Ok(Told { status: 200, body, word: Word::NothingToUndo });
    };
    if entry(db, command, Direction::Compensation)?.is_none() {
        for moved in done["moves"].as_array().into_iter().flatten() {
            if let (Some(holding), Some(by)) = (moved[0].as_str(), moved[1].as_i64()) {
                move_holding(db, service, holding, -by)?;
            }
        }
        record(db, command, &done)?;
    }
    let body = json!({"undone": true}).to_string();
    Ok(Told { status: 200, body, word: Word::Undone })
}

/// The refusal for the first holding that has less than all of the work takes from it.
fn shortage(db: &Connection, service: Service, work: &Work) -> Result<Option<Refusal>> {
    for (holding, _) in work.moves.iter().filter(|(_, by)| *by < 0) {
        let same = work.moves.iter().filter(|(name, _)| name == holding);
        let by: i64 = same.map(|(_, by)| by).sum();
        let has = db
            .prepare_cached("SELECT amount FROM holding WHERE name = ?")?
            .query_row([holding], |row| row.get(0))
            .optional()?
            .unwrap_or_else(|| trade::opening(service, holding));
        if has + by < 0 {
            let message = format!("{holding} has {has}, {} are asked for", -by);
            return Ok(Some(Refusal { code: work.short, message }));
        }
    }
    Ok(None)
}

fn move_holding(db: &Connection, service: Service, holding: &str, by: i64) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO holding VALUES (?1, ?2 + ?3) ON CONFLICT DO UPDATE SET amount = amount + ?3",
    )?
    .execute(params![holding, trade::opening(service, holding), by])?;
    Ok(())
}

fn entry(db: &Connection, command: &Command, direction: Direction) -> Result<Option<Value>> {
    let sql = "SELECT detail FROM ledger WHERE saga_id = ? AND step = ? AND direction = ?";
    let detail: Option<String> = db
        .prepare_cached(sql)?
        .query_row([&command.saga_id, &command.step, direction.as_str()], |row| row.get(0))
        .optional()?;
    Ok(detail.map(|text: String| serde_json::from_str(&text).unwrap_or_default()))
}

fn record(db: &Connection, command: &Command, detail: &Value) -> Result<()> {
    db.prepare_cached("INSERT INTO ledger (saga_id, step, direction, detail) VALUES (?, ?, ?, ?)")?
        .execute(params![
            command.saga_id,
            command.step,
            command.direction.as_str(),
            detail.to_string()
        ])?;
    Ok(())
}

fn completed(result: &Value) -> Told {
    Told { status: 200, body: result.to_string(), word: Word::Completed }
}

fn refused(status: u16, refusal: &Refusal) -> Told {
    Told { status, body: failure(refusal.code, &refusal.message), word: Word::Refused }
}

fn to_order() -> Refusal {
    Refusal { code: "REFUSED_TO_ORDER", message: "the data's faults ask for a refusal".to_owned() }
}

fn failure(code: &str, message: &str) -> String {
    json!({"error": {"code": code, "message": message}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::tests::command;
    use crate::service::Worked;

    fn ledger() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLES).unwrap();
        db
    }

    fn reserve(saga: &str) -> Command {
        command(saga, "reserve_inventory", "ReserveItems", false, Worked::Order.sample(1))
    }

    fn release(saga: &str) -> Command {
        command(saga, "reserve_inventory", "ReleaseReservation", true, Worked::Order.sample(1))
    }

    fn tell(db: &Connection, command: &Command) -> Told {
        carry_out(db, Service::Inventory, command, false).unwrap()
    }

    fn effects(db: &Connection) -> (u32, u32) {
        let count = |direction: Direction| {
            let sql = "SELECT count(*) FROM ledger WHERE direction = ?";
            db.query_row(sql, [direction.as_str()], |row| row.get(0)).unwrap()
        };
        (count(Direction::Action), count(Direction::Compensation))
    }

    fn kettles(db: &Connection) -> i64 {
        let sql = "SELECT amount FROM holding WHERE name = 'kettle'";
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn in_round(mut command: Command, round: u32) -> Command {
        command.key = format!("{}/{round}", command.key);
        command
    }

    #[test]
    fn a_repeat_is_told_the_first_answer_also_after_the_undo() {
        let db = ledger();
        let first = tell(&db, &reserve("s"));
        assert_eq!((first.status, first.word), (200, Word::Completed));
        assert_eq!(tell(&db, &reserve("s")), first);
        assert_eq!(tell(&db, &release("s")).word, Word::Undone);
        assert_eq!(tell(&db, &reserve("s")), first);
        assert_eq!(effects(&db), (1, 1));
    }

    #[test]
    fn an_undo_gives_back_what_the_action_took_and_only_once() {
        let db = ledger();
        tell(&db, &reserve("s"));
        let taken = kettles(&db);
        let undone = tell(&db, &release("s"));
        assert_eq!(tell(&db, &release("s")), undone);
        assert_eq!(tell(&db, &in_round(release("s"), 2)).word, Word::Undone);
        assert_eq!(kettles(&db), taken + 1);
        assert_eq!(effects(&db), (1, 1));
    }

    #[test]
    fn an_undo_that_comes_first_leaves_a_tombstone_for_every_round() {
        let db = ledger();
        let undone = tell(&db, &release("s"));
        assert_eq!(
            (undone.body.as_str(), undone.word),
            (r#"{"undone":false}"#, Word::NothingToUndo)
        );
        assert_eq!(tell(&db, &release("s")).word, Word::NothingToUndo);
        assert_eq!(tell(&db, &reserve("s")).status, 409);
        assert_eq!(tell(&db, &in_round(reserve("s"), 2)).status, 409);
        assert_eq!(tell(&db, &reserve("another")).word, Word::Completed);
        assert_eq!(effects(&db), (1, 0));
    }

    #[test]
    fn a_refusal_stays_and_has_no_effect() {
        let db = ledger();
        let mut asked = reserve("s");
        asked.body["items"] = json!([{"sku": "kettle"}, {"sku": "OUT_OF_STOCK"}]);
        let no = tell(&db, &asked);
        assert_eq!((no.status, no.word), (422, Word::Refused));
        assert!(no.body.contains("OUT_OF_STOCK"), "{}", no.body);
        assert_eq!(tell(&db, &asked), no);
        assert_eq!(effects(&db), (0, 0));
        assert_eq!(tell(&db, &release("s")).word, Word::NothingToUndo);
    }

    #[test]
    fn two_takings_from_one_holding_are_one_to_its_limit() {
        let db = ledger();
        let mut asked = reserve("s");
        let item = json!({"sku": "kettle", "quantity": 600_000_000});
        asked.body["items"] = json!([item, item]);
        assert_eq!(tell(&db, &asked).word, Word::Refused);
    }

    #[test]
    fn a_key_with_other_bytes_is_a_conflict() {
        let db = ledger();
        tell(&db, &reserve("s"));
        let mut other = reserve("s");
        other.body_sha256 = "0".repeat(64);
        assert_eq!(tell(&db, &other).word, Word::Conflict);
        assert_eq!(effects(&db), (1, 0));
    }

    #[test]
    fn a_refusal_to_order_is_kept_for_an_action_and_not_for_an_undo() {
        let db = ledger();
        let to_order =
            |command: &Command| carry_out(&db, Service::Inventory, command, true).unwrap().word;
        assert_eq!(to_order(&reserve("s")), Word::Refused);
        assert_eq!(tell(&db, &reserve("s")).word, Word::Refused);
        tell(&db, &reserve("t"));
        assert_eq!(to_order(&release("t")), Word::Refused);
        assert_eq!(tell(&db, &release("t")).word, Word::Undone);
    }
}
