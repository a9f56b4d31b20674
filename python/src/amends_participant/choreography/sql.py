"""The statements of `amends_saga`, a row for each saga of which a service has heard, in the words
of each database. The table is the same as the other kits'."""

from __future__ import annotations

from dataclasses import dataclass

from ..guard.sql import Dialect


@dataclass(frozen=True)
class SagaSql:
    """What one kind of database is asked."""

    create: tuple[str, ...]
    hold: tuple[str, ...]
    """Makes the row where it is not there, locks it until the transaction ends, and gives its
    record: the last one does."""
    keep: str
    look_up: str
    due: str
    """Sagas in which there is something to do by itself, but for those that are at work."""
    put_off: str
    """Leaves one to whoever has asked, for a while."""
    prune: str


def of(dialect: Dialect) -> SagaSql:
    """Of a database."""
    return _BY_NAME[dialect.name]


_OF_ONE = "saga_id = :saga_id AND service = :service"
_COLUMNS = "saga_id, service, saga_type, state, due_at, record, written_at"


def _statements(
    *, create: tuple[str, ...], now: str, hold: tuple[str, ...], locked: str, prune: str
) -> SagaSql:
    insert = (
        f"INSERT INTO amends_saga ({_COLUMNS})"
        f" VALUES (:saga_id, :service, :saga_type, 'running', NULL, '', {now}) "
    )
    return SagaSql(
        create=create,
        hold=(insert + hold[0], *hold[1:]),
        keep=(
            "UPDATE amends_saga SET state = :state, due_at = :due_at, record = :record,"
            f" written_at = {now} WHERE {_OF_ONE}"
        ),
        look_up=f"SELECT record FROM amends_saga WHERE {_OF_ONE}",
        due=(
            "SELECT saga_id FROM amends_saga WHERE service = :service AND due_at <= :by"
            f" ORDER BY due_at LIMIT :sagas{locked}"
        ),
        put_off=f"UPDATE amends_saga SET due_at = :later WHERE {_OF_ONE}",
        prune=prune,
    )


_ON_CONFLICT = (
    "ON CONFLICT (saga_id, service) DO UPDATE SET saga_id = amends_saga.saga_id"
    " RETURNING amends_saga.record"
)
_PRUNE = (
    "DELETE FROM amends_saga WHERE (saga_id, service) IN ("
    "SELECT saga_id, service FROM amends_saga WHERE state IN ('completed', 'failed')"
    " AND due_at IS NULL AND written_at < {older} LIMIT :sagas)"
)

_POSTGRES = _statements(
    create=(
        # Two services that start at once do not both create.
        "SELECT pg_advisory_xact_lock(4702394921427289928)",
        "CREATE TABLE IF NOT EXISTS amends_saga ("
        ' saga_id text COLLATE "C" NOT NULL, service text COLLATE "C" NOT NULL,'
        ' saga_type text COLLATE "C" NOT NULL, state text COLLATE "C" NOT NULL, due_at bigint,'
        " record text NOT NULL, written_at timestamptz NOT NULL, PRIMARY KEY (saga_id, service))",
        "CREATE INDEX IF NOT EXISTS amends_saga_due_at ON amends_saga (service, due_at)",
        "CREATE INDEX IF NOT EXISTS amends_saga_written_at ON amends_saga (written_at)",
    ),
    now="now()",
    hold=(_ON_CONFLICT,),
    locked=" FOR UPDATE SKIP LOCKED",
    prune=_PRUNE.format(older="now() - :age_s * interval '1 second'"),
)

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_MYSQL = _statements(
    create=(
        "CREATE TABLE IF NOT EXISTS amends_saga ("
        f" saga_id char(36) {_ASCII} NOT NULL, service varchar(64) {_TEXT} NOT NULL,"
        f" saga_type varchar(64) {_TEXT} NOT NULL, state varchar(12) {_ASCII} NOT NULL,"
        f" due_at bigint NULL, record longtext {_TEXT} NOT NULL, written_at datetime(6) NOT NULL,"
        " PRIMARY KEY (saga_id, service), INDEX amends_saga_due_at (service, due_at),"
        " INDEX amends_saga_written_at (written_at)) ENGINE = InnoDB",
    ),
    now="utc_timestamp(6)",
    hold=(
        # It takes the row's lock also where it is there already.
        "ON DUPLICATE KEY UPDATE saga_id = saga_id",
        f"SELECT record FROM amends_saga WHERE {_OF_ONE} FOR UPDATE",
    ),
    locked=" FOR UPDATE SKIP LOCKED",
    # It takes no LIMIT within IN.
    prune=(
        "DELETE FROM amends_saga WHERE state IN ('completed', 'failed') AND due_at IS NULL"
        " AND written_at < utc_timestamp(6) - INTERVAL :age_s SECOND LIMIT :sagas"
    ),
)

_NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now'{})"
_SQLITE = _statements(
    create=(
        "CREATE TABLE IF NOT EXISTS amends_saga ("
        " saga_id TEXT NOT NULL, service TEXT NOT NULL, saga_type TEXT NOT NULL,"
        " state TEXT NOT NULL, due_at INTEGER, record TEXT NOT NULL, written_at TEXT NOT NULL,"
        " PRIMARY KEY (saga_id, service)) WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS amends_saga_due_at ON amends_saga (service, due_at)",
        "CREATE INDEX IF NOT EXISTS amends_saga_written_at ON amends_saga (written_at)",
    ),
    now=_NOW.format(""),
    hold=(_ON_CONFLICT.replace("RETURNING amends_saga.record", "RETURNING record"),),
    # A file has one writer at a time.
    locked="",
    prune=_PRUNE.format(older=_NOW.format(", '-' || :age_s || ' seconds'")),
)

_BY_NAME = {"postgresql": _POSTGRES, "mariadb": _MYSQL, "mysql": _MYSQL, "sqlite": _SQLITE}
