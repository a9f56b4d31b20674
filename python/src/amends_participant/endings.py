"""How a handler may end, besides by its value: a refusal, or any other exception."""

from __future__ import annotations

from collections.abc import Sequence


class Refused(Exception):
    """A definite "no" of the business: it has had no effect, and asking again changes nothing.

    Raised by an action's handler. All that the handler has written is rolled back. An undo cannot
    be refused: there it is an error like any other, and is asked again.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code, self.message = code, message or code


def grouped(error: BaseException) -> Sequence[BaseException]:
    """The errors of a group, as `asyncio.TaskGroup` raises one. Before Python 3.11 libraries bring
    a class of their own for it, of the same name."""
    if any(cls.__name__ == "BaseExceptionGroup" for cls in type(error).__mro__):
        return tuple(getattr(error, "exceptions", ()))
    return ()


def refusals_alone(group: BaseException) -> Sequence[Refused]:
    """The refusals of a group, and of those within it, in their order; none where it holds anything
    else: what has failed is asked again, whatever was refused beside it."""
    found: list[Refused] = []
    left = [*reversed(grouped(group))]
    while left:
        error = left.pop()
        if isinstance(error, Refused):
            found.append(error)
        elif within := grouped(error):
            left.extend(reversed(within))
        else:
            return ()
    return found


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
