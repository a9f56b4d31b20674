"""Signatures on requests: Standard Webhooks, version `v1` (HMAC-SHA256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

TOLERANCE_S = 5 * 60
"""How far a signature's time may lie from ours, either way: the tolerance of the standard."""

SIGNATURES_MAX = 16
"""How many signatures of a header are looked at: a rotation has two, an attacker thousands."""


class NotSigned(Exception):
    """Not signed, or wrongly. The text says what to do about it."""


class Secret:
    """A secret shared with the engine: `whsec_` and base64, or any other text as it is. It is never
    shown."""

    def __init__(self, text: str) -> None:
        key = text.encode()
        if text.startswith("whsec_"):
            try:
                key = base64.b64decode(text[6:], validate=True)
            except binascii.Error:
                raise ValueError("what follows whsec_ in the secret is not base64") from None
        if not key:
            raise ValueError("the secret is empty; give one, or leave it out")
        self._key = key

    def __repr__(self) -> str:
        return "Secret"

    def sign(self, message_id: str, timestamp_unix_s: int, body: bytes) -> str:
        """One signature, as it stands in `webhook-signature`."""
        return "v1," + base64.b64encode(self._mac(message_id, timestamp_unix_s, body)).decode()

    def _mac(self, message_id: str, timestamp_unix_s: int, body: bytes) -> bytes:
        signed = f"{message_id}.{timestamp_unix_s}.".encode() + body
        return hmac.digest(self._key, signed, hashlib.sha256)


def verify(
    secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now_unix_s: float | None
) -> None:
    """Raises unless one of the signatures is by one of the secrets, and recent: at any time where
    there is no `now_unix_s`. A signature of another version is passed over. Comparisons take the
    same time wherever the two differ."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature")
    if not message_id or signatures is None or not re.fullmatch("[0-9]{1,15}", timestamp):
        raise NotSigned(
            "webhook-id, webhook-timestamp or webhook-signature is missing or malformed;"
            " sign with Standard Webhooks"
        )
    if now_unix_s is not None and abs(now_unix_s - int(timestamp)) > TOLERANCE_S:
        raise NotSigned(f"webhook-timestamp is more than {TOLERANCE_S} s off; set the clocks")
    expected = [secret.sign(message_id, int(timestamp), body) for secret in secrets]
    valid = False
    for signature in signatures.split(" ")[:SIGNATURES_MAX]:
        for each in expected:
            valid |= hmac.compare_digest(signature.encode(), each.encode())
    if not valid:
        raise NotSigned("no signature is valid; compare the secrets on both sides")
