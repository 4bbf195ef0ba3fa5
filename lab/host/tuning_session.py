"""A run's wish to measure on a tuned host to a host that is tuned meanwhile, and put back however the run ends.

A run that ends, fails or is interrupted puts back what it changed. One that is killed cannot: its journal says that it
was a run's, and whoever holds the host next puts it back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.errors import HostError
from lab.host.tuning import PutBack, restore, tune
from lab.host.tuning_controls import Controls
from lab.host.tuning_journal import JournalFile
from lab.host.tuning_knobs import Entry, KnobState, survey


@dataclass(frozen=True)
class Settings:
    """How the host is set while an experiment runs.

    :param knobs: by name; None where this host does not have it.
    :param not_tuned: ``knob=value`` of each that is not what the profile ``bench`` would make it.
    :param tuned_at: when the lab tuned this host, None where it did not or all has been put back.
    :param refused: targets that the kernel kept as they were, interrupts for example.
    """

    knobs: Mapping[str, str | None]
    not_tuned: tuple[str, ...]
    tuned_at: str | None = None
    refused: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return what a user wants to know before hours of measuring."""
        rest = ", ".join(self.not_tuned)
        if self.tuned_at is not None:
            return f"the host was tuned by the lab at {self.tuned_at}" + (f"; not tuned: {rest}" if rest else "")
        if not rest:
            return "the host's settings are those of the profile bench"
        return f"the host is not tuned: {rest} ('lab host show' explains, 'lab run --tune' tunes for a run)"

    def to_json(self) -> dict[str, Any]:
        """Return the settings for host.json."""
        return {
            "tuned_at": self.tuned_at,
            "knobs": dict(self.knobs),
            "not_tuned": list(self.not_tuned),
            "refused": list(self.refused),
        }


def require_root(what: str) -> None:
    """Make sure that settings may be changed before hours are spent on anything else.

    :param what: finishes the sentence "only root may ...".
    :raise HostError: this is not root.
    """
    if os.geteuid() != 0:
        raise HostError(f"only root may {what}", remedy="call it with sudo; 'lab host tune --dry-run' needs no rights")


def put_back_leftovers(controls: Controls, file: JournalFile) -> tuple[PutBack, ...]:
    """Put back what a run that was killed left tuned; what ``lab host tune`` did is left as it is.

    To be called by whoever holds the host: then no run is alive whose settings these could be.

    :raise HostError: a setting could not be put back, or the journal cannot be read.
    """
    journal = file.load()
    return restore(controls, file) if journal is not None and journal.for_run else ()


@contextmanager
def tuned(controls: Controls, file: JournalFile, entries: Sequence[Entry], *, at: str) -> Iterator[tuple[Entry, ...]]:
    """Tune the host for as long as the block is under way and give what the kernel refused.

    :param at: now, ISO 8601.
    :raise HostError: the host is tuned already, or a setting could not be changed or put back.
    """
    refused = tune(controls, file, entries, at=at, for_run=True)
    try:
        yield refused
    finally:
        restore(controls, file)


def read_settings(controls: Controls, file: JournalFile, refused: Sequence[Entry] = ()) -> Settings:
    """Look at every knob. A journal that cannot be read hides nothing: the knobs say how the host is set.

    :param refused: what :func:`tuned` gave.
    """
    states = survey(controls)
    try:
        journal = file.load()
    except HostError:
        journal = None
    return Settings(
        knobs={state.knob.name: state.value for state in states},
        not_tuned=tuple(_as_text(state) for state in states if not state.is_tuned),
        tuned_at=None if journal is None else journal.at,
        refused=tuple(entry.target for entry in refused),
    )


def _as_text(state: KnobState) -> str:
    return f"{state.knob.name}={state.value}"
