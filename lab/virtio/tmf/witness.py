"""QEMU's trace to which thread took which command and which function.

With ``-msg timestamp=on`` the ``log`` trace backend begins each line with the id of the thread (QEMU,
scripts/tracetool/backend/log.py); QMP's query-iothreads says whose it is. Tags are cut to 32 bits there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EVENTS = ("virtio_scsi_*", "scsi_req_cancel")

_LINE = re.compile(r"^(\d+)@(\d+\.\d+):(\w+) (.*)$")
_FIELD = re.compile(r"(\w+)[= ](-?(?:0x[0-9a-f]+|\d+))\b")
_TAG_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class TraceLine:
    """One event.

    :param thread: id of the thread that it happened in.
    :param at_s: time of day.
    :param fields: numbers by name, as the event prints them.
    """

    thread: int
    at_s: float
    event: str
    fields: Mapping[str, int]


def trace_line(text: str) -> TraceLine | None:
    """Read a line of the trace; None for one that is something else, or not whole yet."""
    match = _LINE.match(text)
    if match is None:
        return None
    fields = {name: int(value, 0) for name, value in _FIELD.findall(match[4])}
    return TraceLine(int(match[1]), float(match[2]), match[3], fields)


class Trace:
    """A trace that grows while it is read.

    :param path: the file that QEMU writes; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self.lines: list[TraceLine] = []

    def catch_up(self) -> None:
        """Read what is new; a line that QEMU has only begun is left for the next time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for text in whole.decode(errors="replace").splitlines():
            line = trace_line(text)
            if line is not None:
                self.lines.append(line)

    def forget(self) -> None:
        """Catch up and forget, so that what follows stands alone."""
        self.catch_up()
        self.lines.clear()

    def command_threads(self, lun: int, tag: int) -> tuple[int, ...]:
        """Return the threads that took commands with this LUN number and tag."""
        return self._threads("virtio_scsi_cmd_req", lun, tag)

    def function_threads(self, lun: int, tag: int) -> tuple[int, ...]:
        """Return the threads that took functions with this LUN number and tag."""
        return self._threads("virtio_scsi_tmf_req", lun, tag)

    def cancelled(self, lun: int, tag: int) -> bool:
        """Tell whether QEMU has begun to cancel a command with this LUN number and tag."""
        return bool(self._threads("scsi_req_cancel", lun, tag))

    def _threads(self, event: str, lun: int, tag: int) -> tuple[int, ...]:
        wanted = (lun, tag & _TAG_MASK)
        return tuple(
            line.thread
            for line in self.lines
            if line.event == event and (line.fields.get("lun"), line.fields.get("tag", -1) & _TAG_MASK) == wanted
        )
