"""Serves moto on a port; with `logins`, only to whoever signs as a user that is known here.

Its users are given as NAME KEY SECRET RIGHTS, four arguments each: RIGHTS is the action that the
user may do, `sqs:*` for all.
"""

import json
import select
import socket
import sys
from threading import Lock
from time import monotonic, sleep

from flask import request
from moto import settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.server import main
from moto.sqs.models import SQSBackend

LOOK_EVERY_S = 0.02

look_and_take = SQSBackend.receive_message
one_at_a_time = Lock()


def receive_message(backend, queue, count, wait, *more):
    """Takes one thread after the other to the queue, and waits outside of it.

    Two that ask at once would both be brought the same message, far more often than Amazon's
    service brings one twice: moto looks, and takes a moment later. Whoever waits at a queue that keeps
    order would not see what has become free since it came. And whoever has hung up would still be
    brought what comes.
    """
    until = monotonic() + (wait or 0)
    while True:
        if has_hung_up():
            return []
        with one_at_a_time:
            taken = look_and_take(backend, queue, count, 0, *more)
        if taken or monotonic() >= until:
            return taken
        sleep(LOOK_EVERY_S)


SQSBackend.receive_message = receive_message


def has_hung_up() -> bool:
    client = request.environ["werkzeug.socket"]
    if not select.select([client], [], [], 0)[0]:
        return False
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True


def know(name: str, key: str, secret: str, rights: str) -> None:
    users = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    users.create_user("us-east-1", name)
    rule = {"Effect": "Allow", "Action": rights, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [rule]}
    users.put_user_policy(name, "rights", json.dumps(policy))
    made = users.create_access_key(name)
    made.access_key_id, made.secret_access_key = key, secret


port, users = sys.argv[1], sys.argv[2:]
for at in range(0, len(users), 4):
    know(*users[at : at + 4])
if users:
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
main(["--host", "127.0.0.1", "--port", port])
