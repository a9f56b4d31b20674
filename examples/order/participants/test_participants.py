"""The four services as the engine meets them: as processes, over HTTP, with repeats, undos that
come first, and a stop in the middle of it.

    python3 -m unittest discover --start-directory examples/order/participants
"""

import concurrent.futures
import contextlib
import functools
import http.client
import json
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import uuid

HERE = pathlib.Path(__file__).resolve().parent
ANSWER_SECONDS_MAX = 30

ORDER = {
    "order_id": "order-1",
    "customer_id": "customer-1",
    "items": [{"sku": "kettle", "quantity": 2}, {"sku": "tea", "quantity": 1}],
    "payment_method": "card_visa",
    "total": 4200,
    "shipping_address": "12 Long Street, Cape Town",
}

# service: (file, step, action, compensation, what makes it refuse, the code it refuses with)
SERVICES = {
    "InventoryService": ("inventory.py", "reserve_inventory", "ReserveItems", "ReleaseReservation",
                         {"items": [{"sku": "kettle"}, {"sku": "OUT_OF_STOCK"}]}, "OUT_OF_STOCK"),
    "PaymentService": ("payment.py", "process_payment", "ProcessPayment", "RefundPayment",
                       {"payment_method": "card_declined"}, "CARD_DECLINED"),
    "ShippingService": ("shipping.py", "create_shipment", "CreateShipment", "CancelShipment",
                        {"shipping_address": "1 Nowhere Lane"}, "ADDRESS_UNKNOWN"),
    "NotificationService": ("notification.py", "send_confirmation", "SendOrderConfirmation",
                            "SendCancellationNotice", {"customer_id": "mailbox_full"},
                            "MAILBOX_REFUSED"),
}


class Service:
    """One participant in a process of its own."""

    def __init__(self, name, folder):
        self.name = name
        self.file, self.step, self.action, self.compensation, self.bad, self.code = SERVICES[name]
        self.db = pathlib.Path(folder) / f"{name}.db"
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / self.file), "--port", "0", "--db", str(self.db)],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", line).group(1))

    def connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS_MAX)
        connection.connect()
        return connection

    def body(self, saga_id, direction="action", round_=1, **change):
        data = {**ORDER, **change}
        name = self.action if direction == "action" else self.compensation
        key = f"{saga_id}/{self.step}/{direction}" + (f"/{round_}" if round_ > 1 else "")
        body = {"saga_id": saga_id, "saga_type": "OrderFulfillment", "step_name": self.step,
                "direction": direction, "command": f"{self.name}.{name}",
                "idempotency_key": key, "data": data}
        if direction == "compensation":
            body.update(action_key=f"{saga_id}/{self.step}/action", outcome="unknown",
                        original_result=None)
        return {**data, **body}

    def post(self, body, connection=None, path=None):
        own = connection is None
        connection = connection or self.connect()
        connection.request("POST", path or "/" + body["command"].partition(".")[2],
                           json.dumps(body), {"Content-Type": "application/json",
                                              "Idempotency-Key": body["idempotency_key"],
                                              "Amends-Attempt": "1"})
        response = connection.getresponse()
        text = response.read().decode()
        if own:
            connection.close()
        is_json = response.getheader("Content-Type") == "application/json"
        return response.status, json.loads(text) if is_json else text

    def rows(self, sql, *parameters):
        with contextlib.closing(sqlite3.connect(self.db)) as db:
            return db.execute(sql, parameters).fetchall()

    def effects(self, saga_id):
        """(actions, undos) in the service's own ledger."""
        return self.rows("SELECT coalesce(sum(direction = 'action'), 0),"
                         " coalesce(sum(direction = 'compensation'), 0)"
                         " FROM ledger WHERE saga_id = ?", saga_id)[0]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(ANSWER_SECONDS_MAX)
        self.process.stdout.close()
        return code


def of_each_service(test):
    """Runs a test for every service, each with a saga of its own."""
    @functools.wraps(test)
    def run(self):
        for service in self.services:
            with self.subTest(service=service.name):
                test(self, service, str(uuid.uuid4()))
    return run


class Participants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.services = [Service(name, cls.folder.name) for name in SERVICES]

    @classmethod
    def tearDownClass(cls):
        for service in cls.services:
            service.stop()
        cls.folder.cleanup()

    @of_each_service
    def test_a_repeat_is_told_the_first_answer_and_does_nothing(self, service, saga):
        first = service.post(service.body(saga))
        self.assertEqual(first[0], 200)
        self.assertEqual(service.post(service.body(saga)), first)
        self.assertEqual(service.effects(saga), (1, 0))

    @of_each_service
    def test_an_undo_is_done_once_and_a_repeated_action_afterwards_changes_nothing(self, service, saga):
        first = service.post(service.body(saga))
        undo = service.body(saga, "compensation")
        self.assertEqual(service.post(undo), (200, {"undone": True}))
        self.assertEqual(service.post(undo), (200, {"undone": True}))
        self.assertEqual(service.post(service.body(saga)), first)
        self.assertEqual(service.effects(saga), (1, 1))

    @of_each_service
    def test_a_second_round_of_an_undo_finds_it_undone(self, service, saga):
        service.post(service.body(saga))
        service.post(service.body(saga, "compensation"))
        again = service.body(saga, "compensation", round_=2)
        self.assertEqual(service.post(again), (200, {"undone": True}))
        self.assertEqual(service.effects(saga), (1, 1))

    @of_each_service
    def test_a_second_round_of_an_action_finds_it_done(self, service, saga):
        first = service.post(service.body(saga))
        self.assertEqual(service.post(service.body(saga, round_=2)), first)
        self.assertEqual(service.effects(saga), (1, 0))

    @of_each_service
    def test_an_undo_that_comes_first_leaves_a_tombstone(self, service, saga):
        undo = service.body(saga, "compensation")
        self.assertEqual(service.post(undo), (200, {"undone": False}))
        status, answer = service.post(service.body(saga))
        refused = 409 if service.name == "PaymentService" else 422  # both are a refusal
        self.assertEqual((status, answer["error"]["code"]), (refused, "ALREADY_UNDONE"))
        later_round = service.post(service.body(saga, round_=2))
        self.assertEqual(later_round[0], refused)
        self.assertEqual(service.effects(saga), (0, 0))

    @of_each_service
    def test_a_refusal_has_no_effect_and_stays_a_refusal(self, service, saga):
        refused = service.body(saga, **service.bad)
        for _ in range(2):
            status, answer = service.post(refused)
            self.assertEqual((status, answer["error"]["code"]), (422, service.code))
        self.assertEqual(service.effects(saga), (0, 0))
        undo = service.body(saga, "compensation", **service.bad)
        self.assertEqual(service.post(undo), (200, {"undone": False}))

    def test_a_refusal_half_way_leaves_nothing_behind(self):
        inventory = self.services[0]
        before = inventory.rows("SELECT available FROM stock WHERE sku = 'kettle'")
        count = inventory.rows("SELECT count(*) FROM reservation")
        inventory.post(inventory.body(str(uuid.uuid4()), **inventory.bad))
        self.assertEqual(inventory.rows("SELECT count(*) FROM reservation"), count)
        after = inventory.rows("SELECT available FROM stock WHERE sku = 'kettle'")
        self.assertIn(after, (before, []))

    def test_an_undo_gives_back_the_stock(self):
        inventory, saga = self.services[0], str(uuid.uuid4())
        items = [{"sku": saga, "quantity": 2}, {"sku": saga, "quantity": 3}]
        sql = "SELECT available FROM stock WHERE sku = ?"
        inventory.post(inventory.body(saga, items=items))
        self.assertEqual(inventory.rows(sql, saga), [(999_995,)])
        inventory.post(inventory.body(saga, "compensation", items=items))
        self.assertEqual(inventory.rows(sql, saga), [(1_000_000,)])

    @of_each_service
    def test_one_key_at_the_same_moment_is_carried_out_once(self, service, saga):
        body = service.body(saga)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: service.post(body), range(48)))
        self.assertEqual(answers, [answers[0]] * 48)
        self.assertEqual(answers[0][0], 200)
        self.assertEqual(service.effects(saga), (1, 0))

    @of_each_service
    def test_an_action_and_its_undo_at_the_same_moment_leave_nothing(self, service, _):
        sagas = [str(uuid.uuid4()) for _ in range(16)]
        bodies = [service.body(s, d) for s in sagas for d in ("action", "compensation")]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(service.post, bodies))
        for saga in sagas:
            forward, undone = service.effects(saga)
            self.assertEqual(forward, undone)

    @of_each_service
    def test_a_key_with_other_bytes_is_no_answer(self, service, saga):
        service.post(service.body(saga))
        status, answer = service.post(service.body(saga, order_id="another"))
        self.assertEqual((status, answer["error"]["code"]), (400, "KEY_REUSED"))
        self.assertEqual(service.rows("SELECT answer FROM call WHERE saga_id = ?", saga),
                         [("completed",), ("conflict",)])
        self.assertEqual(service.effects(saga), (1, 0))

    @of_each_service
    def test_what_is_no_command_is_answered_and_changes_nothing(self, service, saga):
        body = service.body(saga)
        self.assertEqual(service.post(body, path="/Nothing")[0], 404)
        self.assertEqual(service.post(body, path="/" + service.compensation)[0], 400)
        self.assertEqual(service.post({**body, "saga_id": 7})[0], 400)
        self.assertEqual(service.post({**body, "direction": "sideways"})[0], 400)
        foreign = body["command"].rpartition(".")[2]
        self.assertEqual(service.post({**body, "command": f"OtherService.{foreign}"})[0], 400)
        for key in (body["idempotency_key"] + "/1", str(uuid.uuid4())):
            self.assertEqual(service.post({**body, "idempotency_key": key})[0], 400)
        wrong_way = {**service.body(saga, "compensation"), "command": body["command"]}
        self.assertEqual(service.post(wrong_way)[0], 400)
        self.assertEqual(service.effects(saga), (0, 0))

    @of_each_service
    def test_a_connection_serves_many_requests(self, service, _):
        with contextlib.closing(service.connect()) as connection:
            port = connection.sock.getsockname()[1]
            for _ in range(3):
                status, _ = service.post(service.body(str(uuid.uuid4())), connection)
                self.assertEqual(status, 200)
                self.assertEqual(connection.sock.getsockname()[1], port)

    @of_each_service
    def test_the_call_log_tells_every_call_in_order(self, service, saga):
        for direction in ("action", "action", "compensation"):
            service.post(service.body(saga, direction))
        calls = service.rows("SELECT direction, attempt, status, answer, length(body_sha256),"
                             " answered_ns >= arrived_ns FROM call WHERE saga_id = ?"
                             " ORDER BY entry", saga)
        self.assertEqual(calls, [("action", 1, 200, "completed", 64, 1),
                                 ("action", 1, 200, "completed", 64, 1),
                                 ("compensation", 1, 200, "undone", 64, 1)])


class Stop(unittest.TestCase):
    def test_sigterm_answers_what_is_at_work_and_lets_idle_connections_go(self):
        for name in SERVICES:
            with self.subTest(service=name), tempfile.TemporaryDirectory() as folder:
                service = Service(name, folder)
                with contextlib.closing(service.connect()) as idle, \
                        contextlib.closing(service.connect()) as busy:
                    saga = str(uuid.uuid4())
                    service.post(service.body(str(uuid.uuid4())))  # so both are accepted by now
                    # The ledger is held by another process: the command is at work until it lets go.
                    with contextlib.closing(sqlite3.connect(service.db, isolation_level=None)) as db:
                        db.execute("BEGIN IMMEDIATE")
                        body = service.body(saga)
                        busy.request("POST", "/" + service.action, json.dumps(body))
                        service.process.send_signal(signal.SIGTERM)
                        self.assertEqual(idle.sock.recv(1), b"")  # the stop has begun
                        db.execute("COMMIT")
                    self.assertEqual(busy.getresponse().status, 200)
                    self.assertEqual(service.stop(), 0)
                self.assertEqual(service.effects(saga), (1, 0))

    def test_what_was_answered_is_there_after_a_kill(self):
        for name in SERVICES:
            with self.subTest(service=name), tempfile.TemporaryDirectory() as folder:
                service, saga = Service(name, folder), str(uuid.uuid4())
                first = service.post(service.body(saga))
                service.process.kill()
                service.stop()
                again = Service(name, folder)
                self.assertEqual(again.post(again.body(saga)), first)
                self.assertEqual(again.effects(saga), (1, 0))
                again.stop()


if __name__ == "__main__":
    unittest.main()
