import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import DeadlineError, MonitorError
from lab.virtio.race.plain_monitor import Monitor


class Qemu:
    """The other end of a QMP session: says what it is told to say after each command.

    :param after: messages after each command in turn; None ends the session.
    """

    def __init__(self, *after: list[dict[str, Any]] | None, greets: bool = True) -> None:
        self._after = deque(after)
        self._said = threading.Condition()
        self._lines: deque[bytes | None] = deque([b'{"QMP": {}}\n'] if greets else [])

    def sendall(self, data: bytes) -> None:
        """Take a command."""
        request = json.loads(data)
        answers: list[dict[str, Any]] | None = [{"return": {}}]
        if request["execute"] != "qmp_capabilities":
            answers = self._after.popleft()
        with self._said:
            for answer in answers or []:
                message = answer if "event" in answer else answer | {"id": request["id"]}
                self._lines.append(json.dumps(message).encode() + b"\n")
            if answers is None:
                self._lines.append(None)
            self._said.notify_all()

    def makefile(self, mode: str) -> "Qemu":
        """Return the stream of what is said."""
        assert mode == "rb"
        return self

    def __enter__(self) -> Iterator[bytes]:
        return self._stream()

    def _stream(self) -> Iterator[bytes]:
        while True:
            with self._said:
                self._said.wait_for(lambda: bool(self._lines))
                line = self._lines.popleft()
            if line is None:
                return
            yield line

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """End the session."""
        with self._said:
            self._lines.append(None)
            self._said.notify_all()


def monitor(tmp_path: Path, qemu: Qemu, timeout_s: float = 5.0) -> Monitor:
    """Return a session with it."""
    return Monitor(cast("Any", qemu), log=tmp_path / "qmp.log", timeout_s=timeout_s)


def test_commands_are_answered(tmp_path: Path) -> None:
    """Events in between are kept and handed out once; everything is in the log."""
    event = {"event": "RESET", "data": {"guest": False}}
    session = monitor(tmp_path, Qemu([event, {"return": 7}]))
    assert session.execute("query-status") == 7
    assert session.wait_event("RESET", timeout_s=5.0) == {"guest": False}
    with pytest.raises(DeadlineError, match="event RESET"):
        session.wait_event("RESET", timeout_s=0.0)
    session.close()
    assert '"query-status"' in (tmp_path / "qmp.log").read_text()


def test_a_refusal_has_the_words_of_qemu(tmp_path: Path) -> None:
    """It is an error of the monitor."""
    session = monitor(tmp_path, Qemu([{"error": {"desc": "no such device"}}]))
    with pytest.raises(MonitorError, match="no such device"):
        session.execute("device_del", {"id": "x"})
    session.close()


def test_silence_and_an_end_are_told_apart(tmp_path: Path) -> None:
    """One may be late, the other is never."""
    session = monitor(tmp_path, Qemu([], None))
    with pytest.raises(DeadlineError, match="the answer to stop"):
        session.execute("stop", timeout_s=0.0)
    with pytest.raises(MonitorError, match="ended while waiting"):
        session.execute("cont", timeout_s=5.0)


def test_a_qemu_that_does_not_greet(tmp_path: Path) -> None:
    """It is not waited for without end."""
    with pytest.raises(DeadlineError, match="greeting"):
        monitor(tmp_path, Qemu(greets=False), timeout_s=0.0)
