"""A participant without any kit, by hand: HTTP in front, a SQLite ledger behind.

A participant executes two kinds of command, an action and the compensation that undoes it. Both
arrive as a POST with a JSON body and both may arrive twice, late, or in the wrong order. The
guard below is what makes that harmless, and it is one transaction:

* the idempotency key was seen before   -> the stored answer again, and nothing is done
* the same key with another body        -> 400: the protocol is broken, which is no refusal
* an action whose undo came first       -> refused: the undo left a tombstone (fence `barrier`)
* an undo of what never ran             -> nothing is done, a tombstone is left, `undone: false`
* anything else                         -> done, and its answer stored, or neither

Only the standard library is used. What the kit does in its place, the other services show.
"""

import argparse
import hashlib
import http.server
import json
import re
import signal
import socket
import sqlite3
import sys
import threading
import time

# A command is a few hundred bytes; the engine sends no input over 256 KiB, twice at most in a body.
BODY_BYTES_MAX = 1024 * 1024

# Connections that wait to be accepted: the engine opens up to 64 at once to a service.
BACKLOG_CONNECTIONS = 128

LEDGER = """
CREATE TABLE IF NOT EXISTS ledger (      -- what was done, and undone: one row each, never changed
    entry INTEGER PRIMARY KEY AUTOINCREMENT,
    saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_step ON ledger (saga_id, step);
CREATE TABLE IF NOT EXISTS answer (      -- the first answer to every idempotency key
    key TEXT PRIMARY KEY, body_sha256 TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tombstone (   -- steps undone before they ran: they never may
    saga_id TEXT NOT NULL, step TEXT NOT NULL, PRIMARY KEY (saga_id, step)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS call (        -- every call and what it was told, for whoever judges
    entry INTEGER PRIMARY KEY AUTOINCREMENT, arrived_ns INTEGER NOT NULL, answered_ns INTEGER,
    saga_id TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL, attempt INTEGER NOT NULL, status INTEGER NOT NULL,
    answer TEXT NOT NULL);
"""


class Refused(Exception):
    """A definite "no" of the business: it has had no effect, and asking again changes nothing."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class NotACommand(Exception):
    """The request breaks the protocol. Nothing is known or done about it."""


class Ledger:
    """The service's own database. One writer at a time: a command is checked, carried out and
    answered in one transaction, so there is no moment at which only half of that is true."""

    def __init__(self, path, schema):
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")  # what we answer has been on the disk
        self.db.executescript(LEDGER + schema)

    def carry_out(self, command, handler, attempt, arrived_ns):
        """Answers a command: (HTTP status, JSON body as text)."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                status, body, word = self._guard(command, handler)
                self.db.execute(
                    "INSERT INTO call (arrived_ns, answered_ns, saga_id, step, direction, key,"
                    " body_sha256, attempt, status, answer) VALUES (?,?,?,?,?,?,?,?,?,?)",
                    (arrived_ns, time.monotonic_ns(), command["saga_id"], command["step_name"],
                     command["direction"], command["idempotency_key"], command["sha256"], attempt,
                     status, word))
                self.db.execute("COMMIT")
                return status, body
            except BaseException:
                self.db.execute("ROLLBACK")
                raise

    def close(self):
        with self.lock:
            self.db.close()

    def _guard(self, command, handler):
        saga_step = (command["saga_id"], command["step_name"])
        seen = self.db.execute("SELECT body_sha256, status, body FROM answer WHERE key = ?",
                               (command["idempotency_key"],)).fetchone()
        if seen:
            sha256, status, body = seen
            if sha256 != command["sha256"]:
                other = failure("KEY_REUSED", "this idempotency key came before with another body")
                return 400, json.dumps(other), "conflict"
            return status, body, word_for(command, status, body)

        done = [row[0] for row in self.db.execute(
            "SELECT detail FROM ledger WHERE saga_id = ? AND step = ? AND direction = 'action'",
            saga_step)]
        undone = self.db.execute(
            "SELECT 1 FROM ledger WHERE saga_id = ? AND step = ? AND direction = 'compensation'",
            saga_step).fetchone()
        if command["direction"] == "action":
            status, answer = self._act(command, handler, saga_step, done)
        else:
            status, answer = self._undo(command, handler, saga_step, done, undone)
        body = json.dumps(answer)
        self.db.execute("INSERT INTO answer VALUES (?, ?, ?, ?)",
                        (command["idempotency_key"], command["sha256"], status, body))
        return status, body, word_for(command, status, body)

    def _act(self, command, handler, saga_step, done):
        if self.db.execute("SELECT 1 FROM tombstone WHERE saga_id = ? AND step = ?",
                           saga_step).fetchone():
            return 409, failure("ALREADY_UNDONE", "this step was undone before it ran")
        if done:  # a later round, with its own key, of what has long been carried out
            return 200, json.loads(done[0])
        self.db.execute("SAVEPOINT business")
        try:
            result = handler(self.db, command)
        except Refused as no:
            self.db.execute("ROLLBACK TO business")
            return 422, failure(no.code, str(no))
        self._record(saga_step, "action", json.dumps(result))
        return 200, result

    def _undo(self, command, handler, saga_step, done, undone):
        if not done:
            self.db.execute("INSERT OR IGNORE INTO tombstone VALUES (?, ?)", saga_step)
            return 200, {"undone": False}
        if not undone:
            # Our own record of the action, not the command's: it may not know the result.
            handler(self.db, command, json.loads(done[0]))
            self._record(saga_step, "compensation", done[0])
        return 200, {"undone": True}

    def _record(self, saga_step, direction, detail):
        self.db.execute("INSERT INTO ledger (saga_id, step, direction, detail) VALUES (?, ?, ?, ?)",
                        (*saga_step, direction, detail))


def failure(code, message):
    return {"error": {"code": code, "message": message}}


def word_for(command, status, body):
    """The call log's word for an answer."""
    if status >= 400:
        return "refused"
    if command["direction"] == "action":
        return "completed"
    return "undone" if json.loads(body)["undone"] else "nothing_to_undo"


def read_command(raw, service, name):
    """The command in a request's body, checked for what the guard relies on."""
    try:
        command = json.loads(raw)
    except ValueError as e:
        raise NotACommand(f"the body is not JSON: {e}") from None
    if not isinstance(command, dict):
        raise NotACommand("the body is not a JSON object")
    for field in ("saga_id", "step_name", "direction", "idempotency_key", "command"):
        if not isinstance(command.get(field), str) or not command[field]:
            raise NotACommand(f"the body has no text field {field!r}")
    if command["direction"] not in ("action", "compensation"):
        raise NotACommand("direction is neither action nor compensation")
    if command["command"] != f"{service}.{name}":
        raise NotACommand(f"the body's command is {command['command']}, not {service}.{name}")
    key = "/".join(command[field] for field in ("saga_id", "step_name", "direction"))
    if not re.fullmatch(re.escape(key) + r"(/([2-9]|[1-9][0-9]+))?", command["idempotency_key"]):
        raise NotACommand("idempotency_key is not that of this saga, step and direction")
    command["sha256"] = hashlib.sha256(raw).hexdigest()
    return command


class Server(http.server.ThreadingHTTPServer):
    """A thread for each connection, and connections stay open between requests."""

    daemon_threads = False  # stopping waits for the commands at work
    request_queue_size = BACKLOG_CONNECTIONS

    def __init__(self, address, name, ledger, actions, compensations):
        super().__init__(address, Handler)
        self.name, self.ledger = name, ledger
        self.handlers = {("action", k): v for k, v in actions.items()}
        self.handlers.update({("compensation", k): v for k, v in compensations.items()})
        self.commands = {command for _, command in self.handlers}
        self.connections, self.connections_lock = set(), threading.Lock()
        self.stopping = False

    def stop(self):
        """Takes no more requests; answers those at work. May be called from any thread but the
        serving one."""
        self.shutdown()
        with self.connections_lock:
            self.stopping = True
            for connection in self.connections:
                hear_no_more(connection)

    def opened(self, connection):
        with self.connections_lock:
            self.connections.add(connection)
            if self.stopping:
                hear_no_more(connection)

    def closed(self, connection):
        with self.connections_lock:
            self.connections.discard(connection)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client that hung up asks again
            super().handle_error(request, client_address)


def hear_no_more(connection):
    """An idle connection wakes up and ends; a busy one still sends its answer."""
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        pass  # it is closed already


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    disable_nagle_algorithm = True  # an answer is small and waited for
    wbufsize = -1  # head and body leave together

    def setup(self):
        super().setup()
        self.server.opened(self.connection)

    def finish(self):
        self.server.closed(self.connection)
        super().finish()

    def do_POST(self):
        arrived_ns = time.monotonic_ns()
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True  # what follows cannot be told from the next request
            return self.answer(413 if length.isdigit() else 411, "a Content-Length is needed\n")
        raw = self.rfile.read(int(length))
        if len(raw) < int(length):
            self.close_connection = True
            return None
        name = self.path.strip("/")
        if name not in self.server.commands:
            return self.answer(404, f"{self.server.name} has no command {name}\n")
        try:
            command = read_command(raw, self.server.name, name)
            handler = self.server.handlers.get((command["direction"], name))
            if handler is None:
                raise NotACommand(f"{name} is not known as {command['direction']}")
            attempt = self.headers.get("Amends-Attempt", "")
            attempt = int(attempt) if attempt.isdigit() else 0
            status, body = self.server.ledger.carry_out(command, handler, attempt, arrived_ns)
        except NotACommand as e:
            return self.answer(400, f"{e}\n")
        except Exception as e:  # nothing was written, and nothing is claimed: the engine asks again
            print(f"{self.server.name}: {name} failed: {e!r}", file=sys.stderr, flush=True)
            return self.answer(500, "the command failed; nothing was changed\n")
        return self.answer(status, body, "application/json")

    def answer(self, status, text, content_type="text/plain; charset=utf-8"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass  # the call log says it, on disk and in order


def serve(name, port, schema, actions, compensations):
    """Runs a service until SIGTERM or Ctrl-C. `actions` and `compensations` map a command's name
    to a function: an action takes (db, command), returns its result or raises Refused; a
    compensation takes (db, command, result of the action). Both run inside the guard's
    transaction, so all they do is done with the answer or not at all."""
    options = argparse.ArgumentParser(description=f"{name}, an example participant")
    options.add_argument("--port", type=int, default=port, help=f"0 for any free one ({port})")
    options.add_argument("--db", default=f"{name}.db", help=f"the ledger ({name}.db)")
    options = options.parse_args()

    ledger = Ledger(options.db, schema)
    server = Server(("127.0.0.1", options.port), name, ledger, actions, compensations)

    def stop(*_):
        # Not in this very thread: it is the one that serves, and stop waits for it.
        threading.Thread(target=server.stop).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"{name} listens on http://127.0.0.1:{server.server_port}, its ledger is {options.db}",
          flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()  # waits for the threads at work
    ledger.close()
