"""What a candidate changes about a baseline, in words and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """Something that the candidate changes.

    :param sentence: with the candidate as its subject.
    :param cases: ids of the cases that show it.
    :param better: False where the candidate fails what the baseline passes, None where it is neither better nor worse.
    """

    sentence: str
    cases: tuple[str, ...]
    better: bool | None

    def to_json(self) -> dict[str, Any]:
        """Return the change for scripts."""
        return {"sentence": self.sentence, "better": self.better, "cases": list(self.cases)}


def gravest_first(found: Iterable[Change]) -> tuple[Change, ...]:
    """Return changes in the order in which they are shown: what is broken, what is mended, what is neither."""
    return tuple(sorted(found, key=lambda change: (change.better is not False, change.better is not True)))


def text_from_changes(found: Sequence[Change], *, none: str) -> str:
    """Return the changes as lines.

    :param none: what the candidate does where it changes nothing.
    """
    return "\n".join(f"The candidate {sentence}" for sentence in [change.sentence for change in found] or [f"{none}."])
