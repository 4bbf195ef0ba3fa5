"""What the host's settings were before they were tuned, on disk before the first of them changes.

The journal stands in /var/lib, not in the cache: the cache is one user's, may be thrown away at any time, and moves
with ``LAB_CACHE`` and ``sudo``; settings belong to the host and have to be found again by whoever calls next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import HostError
from lab.files import sync, write_atomically
from lab.host.tuning_knobs import Entry, owner_of

JOURNAL = Path("var/lib/qemu-patch-lab/tuning.json")
_FORMAT = 1


@dataclass(frozen=True)
class Journal:
    """What was changed, or was about to be.

    :param boot_id: of the boot in which it was; another one means that the host was rebooted since.
    :param at: when, ISO 8601.
    :param for_run: a run did it for itself. Found while nobody holds the host, the run was killed.
    """

    boot_id: str
    at: str
    entries: tuple[Entry, ...]
    for_run: bool = False


class JournalFile:
    """The journal of a host; as long as the file is there, the host is tuned, or may be."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.path = root / JOURNAL

    def load(self) -> Journal | None:
        """Return the journal, None where the host is not tuned.

        :raise HostError: it cannot be read, or it is not one that the lab wrote.
        """
        try:
            return _journal(json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise HostError(
                f"the journal of the host's tuning cannot be read: {err}",
                remedy="look at it, set what it names by hand, then: lab host restore --forget",
                evidence=self.path,
            ) from err

    def save(self, journal: Journal) -> None:
        """Write the journal; it is on the disk when this returns.

        :raise HostError: it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps({"format": _FORMAT, **asdict(journal)}, indent=1) + "\n")
            sync(self.path.parent.parent)  # the folder may be new itself
        except OSError as err:
            raise HostError(
                f"the journal {self.path} cannot be written: {err.strerror}; nothing was changed",
                remedy="call as root, with room on the disk of /var/lib",
            ) from err

    def remove(self) -> None:
        """Take the journal away: everything is as it was.

        :raise HostError: it cannot be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
            if self.path.parent.is_dir():
                sync(self.path.parent)
        except OSError as err:
            raise HostError(
                f"the journal {self.path} cannot be removed: {err.strerror}", remedy="remove it as root"
            ) from err


def _journal(value: Mapping[str, Any]) -> Journal:
    """Check a journal: root writes what stands in it to the files that it names."""
    if value["format"] != _FORMAT:
        raise ValueError(f"it has format {value['format']}, and this lab knows {_FORMAT}")
    entries = tuple(Entry(**entry) for entry in value["entries"])
    for entry in entries:
        if owner_of(entry.target) != entry.knob:
            raise ValueError(f"'{entry.target}' is not a setting of {entry.knob}")
    return Journal(str(value["boot_id"]), str(value["at"]), entries, value.get("for_run") is True)
