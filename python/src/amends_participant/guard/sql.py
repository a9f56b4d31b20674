"""The guard's statements, in the words of each database.

Parameters are written `:name`; an adapter rewrites them where its driver wants something else.
"""

from __future__ import annotations

from dataclasses import dataclass

_KEY = "saga_id = :saga_id AND step = :step"
_COLUMNS = "saga_id, step, direction, round, body_sha256, state, reply, written_at"
_READ = "direction, round, body_sha256, state, reply"
_CLAIMED = f"{_KEY} AND direction = :direction AND state = 'claimed' AND reply = :claim"


@dataclass(frozen=True)
class Dialect:
    """What one kind of database is asked. Where there are several statements they go at once, and
    what is asked for is what the last one gives."""

    name: str
    create: tuple[str, ...]
    """The tables of the kit, where they are not there yet."""
    claim_action: tuple[str, ...]
    """Inserts the row as claimed, or waits for and locks the one that is there, and reads it. One
    over which a later round runs is claimed as one that is new: what is committed under it, or
    rolled back, by mistake is seen then. It keeps its round, and so tells what it was."""
    claim_compensation: tuple[str, ...]
    """The same of both rows, always in the same order, so that no two compensations wait for each
    other."""
    digests_as_hex: bool
    """Whether a hash is given as hexadecimal text."""
    read: str
    held: str
    """Fails, in a way of its own, unless the claim is there. Empty where nothing is gained by it:
    `read` tells as well."""
    start_over: tuple[str, ...]
    """Rolls back, and goes on in a new transaction."""
    look: str
    """Gives a row if the claim is there."""
    answer_action: str
    answer_compensation: str
    """The action's row becomes a tombstone where it was new, and where it is a refusal, which it
    then keeps. Whatever it is, it is as young as its undo from now on: whoever prunes may see the
    one row without the other, but never an old one beside a young one."""
    store_refusal: tuple[str, ...]
    """Stores it where there is no answer yet, or an earlier round's refusal. It has changed one row
    then, or it gives the row as it stands."""
    prune: str
    """Deletes the rows of some old steps; whoever is at work on one has its turn first."""


def _dialect(
    name: str,
    *,
    create: tuple[str, ...],
    now: str,
    older: str,
    on_conflict: str,
    returning: bool,
    held: str,
    start_over: tuple[str, ...],
    prune: str,
    digest: str = ":body_sha256",
) -> Dialect:
    read = f"SELECT {_READ} FROM amends_guard WHERE {_KEY}"
    look = f"SELECT 1 FROM amends_guard WHERE {_CLAIMED}"

    def claim(runs_over: str, *directions: str) -> tuple[str, ...]:
        values = ", ".join(
            f"(:saga_id, :step, '{direction}', :round, {digest}, 'claimed', :claim, {now})"
            for direction in directions
        )
        later = f"amends_guard.state = '{runs_over}' AND amends_guard.round < :round"
        # MySQL sets one column after the other: `state`, which others read, is the last.
        sql = (
            f"INSERT INTO amends_guard ({_COLUMNS}) VALUES {values} {on_conflict}"
            f" reply = CASE WHEN {later} THEN :claim ELSE amends_guard.reply END,"
            f" state = CASE WHEN {later} THEN 'claimed' ELSE amends_guard.state END"
        )
        if returning:
            return (f"{sql} RETURNING {_READ}",)
        # The whole key is said: what is between the rows is locked where it is not, and then the
        # commands of other sagas wait.
        among = ", ".join(f"'{direction}'" for direction in directions)
        return sql, f"{read} AND direction IN ({among}) FOR UPDATE"

    refusal = (
        f"INSERT INTO amends_guard ({_COLUMNS})"
        f" VALUES (:saga_id, :step, 'action', :round, {digest}, 'refused', :reply, {now})"
        f" {on_conflict} "
    )
    wrote = {"reply": ":reply", "body_sha256": digest, "written_at": now, "round": ":round"}
    earlier = "amends_guard.state = 'refused' AND amends_guard.round < :round"
    store_refusal: tuple[str, ...]
    if returning:
        refusal += ", ".join(f"{column} = {value}" for column, value in wrote.items())
        store_refusal = (f"{refusal} WHERE {earlier}",)
    else:
        # `round`, which the condition reads, is the last.
        refusal += ", ".join(
            f"{column} = CASE WHEN {earlier} THEN {value} ELSE amends_guard.{column} END"
            for column, value in wrote.items()
        )
        store_refusal = (refusal, read)
    return Dialect(
        name=name,
        create=create,
        claim_action=claim("refused", "action"),
        claim_compensation=claim("nothing", "compensation", "action"),
        digests_as_hex=digest != ":body_sha256",
        read=read,
        held=held.format(look=look),
        start_over=start_over,
        look=look,
        answer_action=(
            "UPDATE amends_guard SET state = :state, reply = :reply, round = :round,"
            f" body_sha256 = {digest}, written_at = {now}"
            # Where the claim is not there, nothing is answered over what is.
            f" WHERE {_KEY} AND direction = 'action'"
            " AND state = 'claimed' AND reply = :claim"
        ),
        # MySQL sets one column after the other: `state`, which others read, is the last.
        answer_compensation=(
            "UPDATE amends_guard SET"
            " reply = CASE WHEN direction = 'compensation' THEN :reply"
            " WHEN state = 'claimed' THEN NULL ELSE reply END,"
            " round = CASE WHEN direction = 'compensation' THEN :round ELSE round END,"
            f" body_sha256 = CASE WHEN direction = 'compensation' THEN {digest}"
            f" ELSE body_sha256 END, written_at = {now},"
            " state = CASE WHEN direction = 'compensation' THEN :state"
            " WHEN state = 'completed' THEN state ELSE 'tombstone' END"
            f" WHERE {_KEY} AND (direction = 'action' OR :state = 'nothing'"
            " OR state = 'claimed' AND reply = :claim)"
        ),
        store_refusal=store_refusal,
        prune=prune.format(old_steps=_OLD_STEPS.format(older=older), older=older),
    )


# Steps with an old row and no younger one: both rows of a step go together.
_OLD_STEPS = (
    "SELECT old.saga_id, old.step FROM amends_guard AS old WHERE old.written_at < {older}"
    " AND NOT EXISTS (SELECT 1 FROM amends_guard AS young WHERE young.saga_id = old.saga_id"
    " AND young.step = old.step AND young.written_at >= {older}) LIMIT :steps"
)

_POSTGRES_CREATE = (
    # Two services that start at once do not both create: IF NOT EXISTS alone is not enough.
    "SELECT pg_advisory_xact_lock(4702394921427289928)",
    "CREATE TABLE IF NOT EXISTS amends_guard ("
    ' saga_id text COLLATE "C" NOT NULL, step text COLLATE "C" NOT NULL,'
    ' direction text COLLATE "C" NOT NULL, round integer NOT NULL, body_sha256 bytea NOT NULL,'
    ' state text COLLATE "C" NOT NULL, reply text, written_at timestamptz NOT NULL,'
    " PRIMARY KEY (saga_id, step, direction))",
    "CREATE INDEX IF NOT EXISTS amends_guard_written_at ON amends_guard (written_at)",
)

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_MYSQL_CREATE = (
    "CREATE TABLE IF NOT EXISTS amends_guard ("
    f" saga_id char(36) {_ASCII} NOT NULL, step varchar(80) {_TEXT} NOT NULL,"
    f" direction varchar(12) {_ASCII} NOT NULL, round int NOT NULL,"
    f" body_sha256 binary(32) NOT NULL, state varchar(9) {_ASCII} NOT NULL,"
    f" reply longtext {_TEXT}, written_at datetime(6) NOT NULL,"
    " PRIMARY KEY (saga_id, step, direction),"
    " INDEX amends_guard_written_at (written_at)) ENGINE = InnoDB",
)

_SQLITE_CREATE = (
    "CREATE TABLE IF NOT EXISTS amends_guard ("
    " saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL,"
    " round INTEGER NOT NULL, body_sha256 BLOB NOT NULL, state TEXT NOT NULL, reply TEXT,"
    " written_at TEXT NOT NULL,"
    " PRIMARY KEY (saga_id, step, direction)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS amends_guard_written_at ON amends_guard (written_at)",
)

POSTGRES = _dialect(
    "postgresql",
    create=_POSTGRES_CREATE,
    now="now()",
    older="now() - :age_s * interval '1 second'",
    on_conflict="ON CONFLICT (saga_id, step, direction) DO UPDATE SET",
    returning=True,
    # A division by zero.
    held="SELECT 1 / count(*) FROM ({look}) AS claimed",
    # As isolated as it was.
    start_over=("ROLLBACK AND CHAIN",),
    prune=(
        "DELETE FROM amends_guard"
        " WHERE (saga_id, step) IN ({old_steps} FOR UPDATE SKIP LOCKED)"
        # Asked again of the other row of a step, of which the one alone may be locked.
        " AND written_at < {older}"
    ),
)

_SQLITE_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now'{})"
SQLITE = _dialect(
    "sqlite",
    create=_SQLITE_CREATE,
    now=_SQLITE_NOW.format(""),
    older=_SQLITE_NOW.format(", '-' || :age_s || ' seconds'"),
    on_conflict="ON CONFLICT (saga_id, step, direction) DO UPDATE SET",
    returning=True,
    held="",
    start_over=("ROLLBACK", "BEGIN IMMEDIATE"),
    prune="DELETE FROM amends_guard WHERE (saga_id, step) IN ({old_steps})",
)


MYSQL = _dialect(
    "mysql",
    create=_MYSQL_CREATE,
    now="utc_timestamp(6)",
    older="utc_timestamp(6) - INTERVAL :age_s SECOND",
    on_conflict="ON DUPLICATE KEY UPDATE",
    # MySQL has none, and MariaDB does as well without.
    returning=False,
    # More than one row, where one may be.
    held=(
        "SET @amends_held = (SELECT 1 FROM (SELECT 1 UNION ALL SELECT 2) AS two"
        " WHERE NOT EXISTS ({look}))"
    ),
    # Its drivers are set to begin by themselves.
    start_over=("ROLLBACK",),
    # Not every driver for asyncio takes bytes: aiomysql does not with PyMySQL 1.2.
    digest="UNHEX(:body_sha256)",
    prune=(
        "DELETE g FROM amends_guard AS g JOIN ({old_steps}) AS o"
        " ON g.saga_id = o.saga_id AND g.step = o.step"
        # Where the server is set to READ COMMITTED nothing holds the steps that were found.
        " WHERE g.written_at < {older}"
    ),
)
"""MariaDB's too."""
