"""The four services before `amends conformance`: the three on the kit, and the one that has none, keep
every rule that can be tried of them.

    cargo build --package amends && python3 -m unittest discover --start-directory examples/order/participants
"""

import json
import pathlib
import subprocess
import tempfile
import unittest

from test_participants import ORDER, SERVICES, Service

AMENDS = pathlib.Path(__file__).resolve().parents[3] / "target" / "debug" / "amends"

# What a service that answers in the exchange, and has no secret, cannot be tried for.
NOT_TRIED = {
    "answers what it has accepted": "it answered everything in the exchange",
    "acknowledges a second round": "no action was done after its undo",
    "refuses what is not signed": "its commands are not signed, since no secret is said",
}


def conformance(service, *more):
    """The exit code and what was said."""
    run = subprocess.run(
        [AMENDS, "conformance", f"http://127.0.0.1:{service.port}",
         "--command", f"{service.name}.{service.action}",
         "--undo", f"{service.name}.{service.compensation}",
         "--data", json.dumps(ORDER), "--vary", "order_id",
         "--refused", json.dumps(service.bad), "--fence", "barrier", *more],
        capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


class Conformance(unittest.TestCase):
    def test_every_rule_that_can_be_tried_is_kept(self):
        self.assertTrue(AMENDS.exists(), f"there is no {AMENDS}: cargo build --package amends")
        for name in SERVICES:
            with self.subTest(service=name), tempfile.TemporaryDirectory() as folder:
                service = Service(name, folder)
                try:
                    code, said, errors = conformance(service)
                finally:
                    service.stop()
                self.assertEqual(code, 0, said + errors)
                self.assertNotIn("BROKEN", said)
                self.assertIn("every rule that was tried was kept", said)
                dots = dict(line[2:].split(": ", 1) for line in said.splitlines()
                            if line.startswith("· "))
                self.assertEqual(dots, NOT_TRIED)


if __name__ == "__main__":
    unittest.main()
