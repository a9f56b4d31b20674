"""The statements of outbox and inbox, in the words of each database."""

from __future__ import annotations

from dataclasses import dataclass

from ..guard.sql import Dialect


@dataclass(frozen=True)
class MessageSql:
    """What one kind of database is asked."""

    create: tuple[str, ...]
    put: str
    """Leaves a message in the outbox."""
    lock: str | None
    """Gives 1 to the only relay of this database, until its transaction ends, and where there is an
    `unlock`, until that. `None` where there is a `file`."""
    unlock: str | None
    file: str | None
    """Says which file the database is, where it is one: the relays' lock is beside it."""
    oldest: str
    """Those after a place, but of no saga that has one before it."""
    of_saga: str
    delete: str
    receive: str
    forget: str
    """Changes one row for a message that was not here before."""
    prune_inbox: str
    """Deletes some that are old."""


def of(dialect: Dialect) -> MessageSql:
    """Of a database."""
    return _BY_NAME[dialect.name]


def _statements(
    *,
    create: tuple[str, ...],
    now: str,
    older: str,
    insert_new: str,
    on_conflict: str,
    lock: str | None,
    unlock: str | None,
    prune_inbox: str,
    file: str | None = None,
) -> MessageSql:
    return MessageSql(
        create=create,
        put=(
            "INSERT INTO amends_outbox"
            " (message_id, saga_id, kind, name, attributes, body, written_at)"
            f" VALUES (:message_id, :saga_id, :kind, :name, :attributes, :body, {now})"
        ),
        lock=lock,
        unlock=unlock,
        file=file,
        oldest=(
            "SELECT id, message_id, saga_id, kind, name, attributes, body FROM amends_outbox later"
            " WHERE id > :after AND NOT EXISTS (SELECT 1 FROM amends_outbox earlier"
            " WHERE earlier.saga_id = later.saga_id AND earlier.id <= :after)"
            " ORDER BY id LIMIT :messages"
        ),
        of_saga=(
            "SELECT id, message_id, saga_id, kind, name, attributes, body FROM amends_outbox"
            " WHERE saga_id = :saga_id ORDER BY id LIMIT :messages"
        ),
        delete="DELETE FROM amends_outbox WHERE id = :id",
        receive=(
            f"{insert_new} INTO amends_inbox (source, id, written_at)"
            f" VALUES (:source, :id, {now}){on_conflict}"
        ),
        forget="DELETE FROM amends_inbox WHERE source = :source AND id = :id",
        prune_inbox=prune_inbox.format(older=older),
    )


_PRUNE = (
    "DELETE FROM amends_inbox WHERE (source, id) IN ("
    "SELECT source, id FROM amends_inbox WHERE written_at < {older} LIMIT :messages)"
)

_POSTGRES = _statements(
    create=(
        "CREATE TABLE IF NOT EXISTS amends_outbox ("
        " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message_id text NOT NULL,"
        ' saga_id text COLLATE "C" NOT NULL, kind text NOT NULL, name text NOT NULL,'
        " attributes text NOT NULL, body text NOT NULL, written_at timestamptz NOT NULL)",
        "CREATE INDEX IF NOT EXISTS amends_outbox_saga ON amends_outbox (saga_id, id)",
        "CREATE TABLE IF NOT EXISTS amends_inbox ("
        ' source text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,'
        " written_at timestamptz NOT NULL, PRIMARY KEY (source, id))",
        "CREATE INDEX IF NOT EXISTS amends_inbox_written_at ON amends_inbox (written_at)",
    ),
    now="now()",
    older="now() - :age_s * interval '1 second'",
    insert_new="INSERT",
    on_conflict=" ON CONFLICT (source, id) DO NOTHING",
    lock="SELECT CASE WHEN pg_try_advisory_xact_lock(4702394921427289929) THEN 1 ELSE 0 END",
    unlock=None,
    prune_inbox=_PRUNE,
)

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_MYSQL = _statements(
    create=(
        "CREATE TABLE IF NOT EXISTS amends_outbox ("
        " id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,"
        f" message_id char(36) {_ASCII} NOT NULL, saga_id char(36) {_ASCII} NOT NULL,"
        f" kind varchar(5) {_ASCII} NOT NULL, name varchar(200) {_TEXT} NOT NULL,"
        f" attributes longtext {_TEXT} NOT NULL, body longtext {_TEXT} NOT NULL,"
        " written_at datetime(6) NOT NULL,"
        " INDEX amends_outbox_saga (saga_id, id)) ENGINE = InnoDB",
        "CREATE TABLE IF NOT EXISTS amends_inbox ("
        f" source varchar(200) {_TEXT} NOT NULL, id varchar(200) {_TEXT} NOT NULL,"
        " written_at datetime(6) NOT NULL, PRIMARY KEY (source, id),"
        " INDEX amends_inbox_written_at (written_at)) ENGINE = InnoDB",
    ),
    now="utc_timestamp(6)",
    older="utc_timestamp(6) - INTERVAL :age_s SECOND",
    # It also passes over what does not fit, which is why that is looked at before.
    insert_new="INSERT IGNORE",
    on_conflict="",
    # Not FOR UPDATE: it would also lock the place where the next message is to be put.
    lock="SELECT GET_LOCK(CONCAT(DATABASE(), '.amends_outbox'), 0)",
    unlock="SELECT RELEASE_LOCK(CONCAT(DATABASE(), '.amends_outbox'))",
    # It takes no LIMIT within IN.
    prune_inbox="DELETE FROM amends_inbox WHERE written_at < {older} LIMIT :messages",
)

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now'{})"
_SQLITE = _statements(
    create=(
        "CREATE TABLE IF NOT EXISTS amends_outbox ("
        " id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, saga_id TEXT NOT NULL,"
        " kind TEXT NOT NULL, name TEXT NOT NULL, attributes TEXT NOT NULL, body TEXT NOT NULL,"
        " written_at TEXT NOT NULL)",
        "CREATE INDEX IF NOT EXISTS amends_outbox_saga ON amends_outbox (saga_id, id)",
        "CREATE TABLE IF NOT EXISTS amends_inbox ("
        " source TEXT NOT NULL, id TEXT NOT NULL, written_at TEXT NOT NULL,"
        " PRIMARY KEY (source, id)) WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS amends_inbox_written_at ON amends_inbox (written_at)",
    ),
    now=_NOW.format(""),
    older=_NOW.format(", '-' || :age_s || ' seconds'"),
    insert_new="INSERT",
    on_conflict=" ON CONFLICT (source, id) DO NOTHING",
    lock=None,
    unlock=None,
    prune_inbox=_PRUNE,
    file="SELECT file FROM pragma_database_list WHERE name = 'main'",
)

_BY_NAME = {"postgresql": _POSTGRES, "mariadb": _MYSQL, "mysql": _MYSQL, "sqlite": _SQLITE}
