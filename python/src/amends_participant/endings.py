"""How a handler may end, besides by its value: a refusal, or any other exception."""

from __future__ import annotations


class Refused(Exception):
    """A definite "no" of the business: it has had no effect, and asking again changes nothing.

    Raised by an action's handler. All that the handler has written is rolled back. An undo cannot
    be refused: there it is an error like any other, and is asked again.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code, self.message = code, message or code


class OutcomeUnknown(Exception):
    """Nobody knows whether a command was done."""

    lasts: bool
    """Whether only a person can tell; else the row tells when the command comes again."""
    said: str
    """A sentence for whoever sent the command."""


HANDLER_ENDED_IT = (
    "whether it was done is not known, and no command tells: the handler has ended its transaction."
    " See the service's log"
)
"""As the kit for Rust says it."""


class BadData(Exception):
    """The data of a command is not what the handler's type can hold. The text names places and
    types, never values."""
