"""QMP with nothing but the standard library, in place of lab.machine.monitor where a race is run without the lab.

The same calls and the same errors, as far as races need them. The lab itself speaks QMP through qemu.qmp.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.errors import DeadlineError, MonitorError


class Monitor:
    """One QMP session.

    :param connection: a connected stream socket whose other end QEMU has.
    :param log: gets one line for each message.
    :param timeout_s: how long to wait for QEMU's greeting.
    :raise MonitorError: QEMU went away.
    :raise DeadlineError: QEMU did not greet in time.
    """

    def __init__(self, connection: socket.socket, *, log: Path, timeout_s: float = 10.0) -> None:
        self._connection = connection
        self._log = log
        self._news = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._greeted = self._closed = False
        self._ids = itertools.count(1)
        threading.Thread(target=self._read, name="qmp", daemon=True).start()
        self._wait(lambda: self._greeted or None, timeout_s, "QEMU's QMP greeting")
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: Mapping[str, object] | None = None, *, timeout_s: float = 15.0) -> Any:
        """Run a QMP command and return what it returned.

        :raise MonitorError: QEMU refused it, or the connection was lost.
        :raise DeadlineError: no answer in time.
        """
        number = next(self._ids)
        request = {"execute": command, "arguments": dict(arguments or {}), "id": number}
        self._note(request)
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as err:
            raise MonitorError(f"the QMP connection failed while sending {command}: {err}") from err
        answer = self._wait(lambda: self._answers.pop(number, None), timeout_s, f"the answer to {command}")
        if "error" in answer:
            raise MonitorError(f"QEMU refused a command: {answer['error'].get('desc')}")
        return answer["return"]

    def wait_event(self, name: str, *, timeout_s: float, match: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the data of the first event of that name that matches; each is handed out once.

        :raise DeadlineError: no such event in time.
        :raise MonitorError: the connection was lost.
        """

        def take() -> Any:
            for event in self._events:
                if event["event"] == name and match(event.get("data", {})):
                    self._events.remove(event)
                    return event.get("data", {})
            return None

        return self._wait(take, timeout_s, f"event {name}")

    def close(self) -> None:
        """End the session; a QEMU that is gone already is fine."""
        self._connection.close()

    def _read(self) -> None:
        try:
            with self._connection.makefile("rb") as lines:
                for line in lines:
                    self._take(json.loads(line))
        except (OSError, ValueError):
            pass  # closed, by us or by a QEMU that ended
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        self._note(message)
        with self._news:
            if "QMP" in message:
                self._greeted = True
            elif "event" in message:
                self._events.append(message)
            else:
                self._answers[message["id"]] = message
            self._news.notify_all()

    def _wait(self, check: Callable[[], Any], timeout_s: float, what: str) -> Any:
        end = time.monotonic() + timeout_s
        with self._news:
            while (found := check()) is None:
                if self._closed:
                    raise MonitorError(f"the QMP connection ended while waiting for {what}")
                left_s = end - time.monotonic()
                if left_s <= 0:
                    raise DeadlineError(f"waited {timeout_s:g} s for {what}, and it did not come")
                self._news.wait(left_s)
            return found

    def _note(self, message: Mapping[str, Any]) -> None:
        with self._news, self._log.open("a", encoding="utf-8") as sink:
            sink.write(json.dumps(message) + "\n")
