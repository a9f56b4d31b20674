"""What is said in a saga, as it travels: one event, for all of its services to read."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from ..messages.channel import Outgoing
from . import raw
from .rules import Word

EVENT_BYTES_MAX = 1024 * 1024
"""The largest event that is read: a saga's data and a step's result have at most 256 KiB each, and
may be escaped by a broker on their way."""

EVENT_FORMAT = 1
"""The form of the body. A higher one is of a later version."""

AMENDS_SAID = "amends-said"
"""The header that marks an event as one of these, whatever became of its body. Other events may
share the place."""

CODE_CHARS_MAX, MESSAGE_CHARS_MAX = 64, 1024
"""Of a reason. What is longer than any log wants is cut."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?[Zz]")


@dataclass(frozen=True)
class Reason:
    """Why a saga is to be undone, or a step was not done."""

    code: str
    """For programs: a refusal's own code, or `DEADLINE`, `CANCELLED`, `EXPRESSION`."""
    message: str

    @classmethod
    def of(cls, code: str, message: str) -> Reason:
        """A reason, cut where it is too long."""
        return cls(code[:CODE_CHARS_MAX], message[:MESSAGE_CHARS_MAX])

    def to_json(self) -> str:
        """As it stands in an event and in a record."""
        return raw.plain({"code": self.code, "message": self.message})


@dataclass(frozen=True)
class Context:
    """What all events of a saga carry. It informs; no service decides by it."""

    saga_id: str
    step: int
    """The place of the event's step in the definition, from 1; 0 where it is about the saga."""
    data: str = field(repr=False)
    """What the saga was started with, JSON."""
    completed_steps: tuple[str, ...]
    """Done and not undone, as far as whoever says this has heard, in that order."""


class Unreadable(Exception):
    """A message is not taken as an event of a saga."""


class NotOurs(Unreadable):
    """It is about something else, and whoever shares the place publishes it."""


class Newer(Unreadable):
    """It is of a later version. Who knows that one can read it."""

    def __init__(self, form: int) -> None:
        super().__init__(
            f"it is of format {form}, and this version reads up to {EVENT_FORMAT}: update this"
            " service before those that say it"
        )


class Damaged(Unreadable):
    """It is one of these, and damaged."""


@dataclass(frozen=True)
class SagaEvent:
    """One event of a saga."""

    saga_id: str
    saga_type: str
    version: int
    """Of the definition, for people."""
    definition_hash: str
    said: Word
    context: Context = field(repr=False)
    by: str
    """Who says it: a service, or whoever started or cancelled the saga."""
    at: int
    """When it was said, in Unix milliseconds, by the clock of whoever says it."""
    step_name: str | None = None
    """Of which step. A failure names the one that it began with, where it was a step."""
    result: str | None = field(default=None, repr=False)
    """Of a completed step: its result, JSON."""
    reason: Reason | None = field(default=None, repr=False)
    """Of a failure, and of a step that never ran."""
    cause: str | None = None
    """The id of the event that it follows from."""
    traceparent: str | None = None

    @property
    def name(self) -> str:
        """For people and for filters: `OrderFulfillmentStarted`, `ReserveInventoryCompleted`,
        `SagaFailed`. A reader goes by `said` and `step_name`."""
        if self.said is Word.STARTED:
            return f"{self.saga_type}Started"
        if self.said is Word.FAILED:
            return "SagaFailed"
        return _pascal(self.step_name or "") + _pascal(self.said.value)

    @property
    def id(self) -> str:
        """The same whoever publishes it how often, since it says the same."""
        if self.step_name is not None and self.said is not Word.FAILED:
            return f"{self.saga_id}/{self.step_name}/{self.said.value}"
        return f"{self.saga_id}/{self.said.value}/{self.by}"

    def message(self) -> Outgoing:
        """The message that carries it."""
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/services/{self.by}",
            "type": self.name,
            "time": rfc3339(self.at),
            "correlationid": self.saga_id,
            "datacontenttype": "application/json",
            AMENDS_SAID: self.said.value,
        }
        if self.cause is not None:
            attributes["causationid"] = self.cause
        if self.traceparent is not None:
            attributes["traceparent"] = self.traceparent
        body = self._body().encode()
        return Outgoing(self.id, self.saga_id, "event", self.name, attributes, body)

    def _body(self) -> str:
        said: dict[str, Any] = {
            "type": self.name,
            "format": EVENT_FORMAT,
            "saga_id": self.saga_id,
            "saga_type": self.saga_type,
            "version": self.version,
            "definition_hash": self.definition_hash,
            "said": self.said.value,
        }
        if self.step_name is not None:
            said["step_name"] = self.step_name
        texts = {name: raw.plain(value) for name, value in said.items()}
        if self.result is not None:
            texts["result"] = self.result
        if self.reason is not None:
            texts["reason"] = self.reason.to_json()
        texts["by"], texts["at"] = raw.plain(self.by), raw.plain(rfc3339(self.at))
        texts["context"] = raw.object_of(
            {
                "saga_id": raw.plain(self.context.saga_id),
                "step": raw.plain(self.context.step),
                "data": self.context.data,
                "completed_steps": raw.plain(list(self.context.completed_steps)),
            }
        )
        return raw.object_of(texts)

    @classmethod
    def read(cls, attributes: Mapping[str, str], body: bytes) -> SagaEvent:
        """Reads a message that came from a place of events; raises `Unreadable`. Attributes are
        known by lower-case names, the CloudEvents ones by their bare names."""
        is_marked = AMENDS_SAID in attributes
        damaged = Damaged if is_marked else NotOurs
        if len(body) > EVENT_BYTES_MAX:
            raise damaged(f"it has over {EVENT_BYTES_MAX} bytes")
        try:
            fields = raw.members(body.decode())
        except UnicodeDecodeError:
            raise damaged("its body is no JSON: it is no UTF-8") from None
        except raw.NotJson as e:
            raise damaged(f"its body is no event: {e}") from None
        if not is_marked and not {"said", "saga_type"} <= fields.keys():
            raise NotOurs("it is no event of a choreographed saga")
        form = raw.value_of(fields.get("format", "null"))
        if isinstance(form, int) and form > EVENT_FORMAT:
            raise Newer(form)
        try:
            return cls._of(fields, attributes)
        except raw.NotJson as e:
            raise Damaged(f"it is no whole event: {e}") from None

    @classmethod
    def _of(cls, fields: Mapping[str, str], attributes: Mapping[str, str]) -> SagaEvent:
        read = Reader(fields)
        read.number("format")
        saga_id, said, step_name = read.text("saga_id"), read.word(), read.text_or_none("step_name")
        inner = Reader(raw.members(read.text_of("context")))
        context = Context(
            saga_id=inner.text("saga_id"),
            step=inner.number("step"),
            data=inner.text_of("data"),
            completed_steps=tuple(inner.texts("completed_steps")),
        )
        result = None if read.is_null("result") else read.text_of("result")
        try:
            known = str(uuid.UUID(saga_id))
        except ValueError:
            known = ""
        if known != saga_id.lower():
            raise Damaged("its `saga_id` is no UUID")
        if context.saga_id != saga_id:
            raise Damaged("its context is of another saga than itself")
        if step_name is None and said.of_a_step:
            raise Damaged(f"it says `{said.value}` of no step")
        if result is None and said is Word.COMPLETED:
            raise Damaged("a step is completed, and it has no `result`")
        if not context.data.startswith("{"):
            raise Damaged("the `data` of its context is no JSON object")
        return cls(
            saga_id=known,
            saga_type=read.text("saga_type"),
            version=read.number("version"),
            definition_hash=read.text("definition_hash"),
            said=said,
            step_name=step_name,
            result=result,
            reason=read.reason("reason"),
            context=context,
            by=read.text("by"),
            at=_unix_ms(read.text("at")),
            cause=attributes.get("causationid"),
            traceparent=attributes.get("traceparent"),
        )


class Reader:
    """Fields of an object, each of the type that is asked for. Else it raises `raw.NotJson`, which
    names the field and never what stands in it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text_of(self, name: str) -> str:
        """As it is written."""
        if name not in self._fields:
            raise raw.NotJson(f"missing field `{name}`")
        return self._fields[name]

    def is_null(self, name: str) -> bool:
        """Is it null, or not there?"""
        return self._fields.get(name, "null") == "null"

    def text(self, name: str) -> str:
        """A text, of whole characters."""
        value: str = self._typed(name, str)
        if not raw.is_whole(value):
            raise raw.NotJson(f"the field `{name}` has half a character in it")
        return value

    def text_or_none(self, name: str) -> str | None:
        """The same, where it is one."""
        return None if self.is_null(name) else self.text(name)

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value: list[Any] = self._typed(name, list)
        if not all(isinstance(each, str) and raw.is_whole(each) for each in value):
            raise _of_another_type(name)
        return value

    def number(self, name: str) -> int:
        """A whole number from 0 on."""
        value: int = self._typed(name, int)
        if isinstance(value, bool) or value < 0:
            raise _of_another_type(name)
        return value

    def number_or_none(self, name: str) -> int | None:
        """The same, where it is one."""
        return None if self.is_null(name) else self.number(name)

    def truth(self, name: str) -> bool:
        """True or false."""
        value: bool = self._typed(name, bool)
        return value

    def word(self) -> Word:
        """What is said."""
        said = self.text("said")
        if said not in {word.value for word in Word}:
            raise _of_another_type("said")
        return Word(said)

    def reason(self, name: str) -> Reason | None:
        """A reason, where there is one."""
        if self.is_null(name):
            return None
        inner = Reader(raw.members(self.text_of(name)))
        return Reason.of(inner.text("code"), inner.text("message"))

    def _typed(self, name: str, kind: type) -> Any:
        value = json.loads(self.text_of(name))
        if not isinstance(value, kind):
            raise _of_another_type(name)
        return value


def _of_another_type(name: str) -> raw.NotJson:
    return raw.NotJson(f"the field `{name}` is of another type")


def rfc3339(unix_ms: int) -> str:
    """`2026-11-28T01:02:03.004Z`."""
    at = _EPOCH + timedelta(milliseconds=min(unix_ms, _LAST_MS))
    return at.strftime("%Y-%m-%dT%H:%M:%S.").rjust(20, "0") + f"{at.microsecond // 1000:03}Z"


_LAST_MS = (datetime(9999, 12, 31, 23, 59, 59, 999000, timezone.utc) - _EPOCH) // timedelta(
    milliseconds=1
)


def _unix_ms(text: str) -> int:
    try:
        if _RFC3339.fullmatch(text):
            whole, _, part = text[:-1].partition(".")
            at = datetime.fromisoformat(whole.replace("t", "T") + "+00:00")
            since = (at - _EPOCH) // timedelta(milliseconds=1)
            if since >= 0:
                return since + int(part.ljust(3, "0")[:3] or 0)
    except ValueError:
        pass
    raise Damaged("its `at` is no RFC 3339 time since 1970")


def _pascal(name: str) -> str:
    """`reserve_inventory` as `ReserveInventory`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split("[_ -]", name))
