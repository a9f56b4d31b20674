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


class BadData(Exception):
    """The data of a command is not what the handler's type can hold. The text names places and
    types, never values."""
