"""Characters that SQS does not take, and how JSON says them without them.

A body may hold what XML 1.0 calls a character. JSON has none of the others outside of its strings,
and inside of them two that XML does not know: U+FFFE and U+FFFF. They are escaped, in a spelling
that nobody else has, so that the other end can have the very bytes back: what is signed is those.
"""

from __future__ import annotations

import re

from ..errors import ChannelError

_ESCAPES = {"\ufffe": "\\uFfFe", "\uffff": "\\uFfFf"}
"""Each with its spelling. Hexadecimal digits of both cases mean the same."""

_SPELLED = {spelling: character for character, spelling in _ESCAPES.items()}

_NOT_TAKEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_ESCAPE = re.compile(r"\\(uFfFe|uFfFf|.)", re.S)


def sendable(body: bytes) -> str:
    """The JSON text as it may be sent."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ChannelError("SQS does not take this message: it is no text (UTF-8)") from None
    for character, spelling in _ESCAPES.items():
        text = text.replace(character, spelling)
    if not text:
        raise ChannelError("SQS does not take this message: it is empty")
    if _NOT_TAKEN.search(text):
        why = "it holds a control character, which JSON escapes"
        raise ChannelError(f"SQS does not take this message: {why}")
    return text


def restored(text: str) -> str:
    """The JSON text as it was before. A backslash says something of what follows, which may be a
    backslash."""
    return _ESCAPE.sub(lambda escape: _SPELLED.get(escape[0], escape[0]), text)


def is_taken(text: str) -> bool:
    """Whether XML 1.0 calls all of it characters."""
    return _NOT_TAKEN.search(text) is None


def as_taken(text: str) -> str:
    """The same with what is none replaced."""
    return _NOT_TAKEN.sub("\N{REPLACEMENT CHARACTER}", text)
