"""What of a topic's settings is weaker than the promise that a confirmed message is not lost."""

from __future__ import annotations

from collections.abc import Mapping

Settings = Mapping[str, "str | None"]


def number(settings: Settings, name: str) -> int | None:
    """None also where it is -1: no limit."""
    text = settings.get(name) or ""
    return int(text) if text.isdigit() else None


def weaknesses(stay_ms: int | None, copies: int, settings: Settings) -> list[str]:
    """What is too weak, each with what to set, for a topic with this many copies, whose messages
    have to stay this long, or for ever."""
    weak = []
    # Kafka syncs the disk when it pleases: what a confirmed message rests on is its copies.
    if copies < 2 and number(settings, "flush.messages") != 1:
        weak.append(
            "it has one copy, and its broker syncs the disk when it pleases: give it three, or,"
            " where there is one broker, set flush.messages to 1"
        )
    if copies > 1 and (number(settings, "min.insync.replicas") or 0) < 2:
        weak.append("a message is confirmed when one broker has it: set min.insync.replicas to 2")
    if settings.get("unclean.leader.election.enable") == "true":
        weak.append(
            "a broker that lacks messages may come to lead: set unclean.leader.election.enable to"
            " false"
        )
    if "compact" in (settings.get("cleanup.policy") or ""):
        weak.append("of each saga it keeps the last message alone: set cleanup.policy to delete")
    stays_ms = number(settings, "retention.ms")
    if stays_ms is not None and stay_ms is None:
        weak.append(
            f"dead letters go after {stays_ms // 3_600_000} h whether anyone has looked at them or"
            " not: set retention.ms to -1"
        )
    elif stays_ms is not None and stay_ms is not None and stays_ms < stay_ms:
        weak.append(
            f"messages go after {stays_ms // 3_600_000} h whether they were taken or not: set"
            f" retention.ms to {stay_ms} or more, or to -1"
        )
    if number(settings, "retention.bytes") is not None:
        weak.append(
            "when it is full the oldest messages go, taken or not: set retention.bytes to -1"
        )
    return weak
