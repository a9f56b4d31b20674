"""How far each partition is settled: the mark that is told to the cluster stands before the first
message that is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class _Open:
    assignment: int
    """A partition that went and came back is another: what was held of it before is somebody
    else's."""
    offsets: set[int] = field(default_factory=set)
    """Of what came and is not settled: no more than may be held."""
    next: int = 0
    """Behind the last message that came."""
    told: int = 0


class Marks:
    """The partitions that a service has, each with what is open there."""

    def __init__(self) -> None:
        self.assignments = 0
        """How many partitions were ever ours."""
        self._partitions: dict[int, _Open] = {}

    def assigned(self, partitions: Iterable[int]) -> None:
        """These are ours."""
        for partition in partitions:
            self.assignments += 1
            self._partitions[partition] = _Open(self.assignments)

    def revoked(self, partitions: Iterable[int]) -> None:
        """These are ours no more."""
        for partition in partitions:
            self._partitions.pop(partition, None)

    @property
    def partitions(self) -> list[int]:
        """Which are ours."""
        return list(self._partitions)

    def came(self, partition: int, offset: int) -> int | None:
        """A message came: in which assignment, `None` where the partition is not ours."""
        of = self._partitions.get(partition)
        if of is None:
            return None
        of.offsets.add(offset)
        of.next = max(of.next, offset + 1)
        return of.assignment

    def settled(self, partition: int, assignment: int, offset: int) -> int | None:
        """A message of this assignment is settled: the mark, where it moved."""
        of = self._partitions.get(partition)
        if of is None or of.assignment != assignment or offset not in of.offsets:
            return None
        of.offsets.remove(offset)
        mark = min(of.offsets, default=of.next)
        moved = mark > of.told
        of.told = max(of.told, mark)
        return mark if moved else None
