"""A socket to QMP commands and events: a synchronous face over qemu.qmp. The only module that meets qemu.qmp."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

from qemu.qmp import ExecuteError, QMPClient, QMPError, Runstate

from lab.errors import DeadlineError, MonitorError, RefusedError

_COMMAND_TIMEOUT_S = 15.0
_WIND_UP_S = 5.0
_EVENTS_KEPT = 1000


class Monitor:
    """One QMP session. Every command has a deadline; everything said is logged.

    :param connection: a connected stream socket whose other end QEMU has.
    :param log: gets one JSON line per command, answer and event.
    :param timeout_s: how long to wait for QEMU's greeting.
    :raise MonitorError: QEMU went away, or did not greet in time.
    """

    def __init__(self, connection: socket.socket, *, log: Path, timeout_s: float = 30.0) -> None:
        self._log = log
        self._log_lock = threading.Lock()
        self._call_lock = threading.Lock()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        self._client = QMPClient("lab")
        self._events: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._watchers: tuple[asyncio.Task[None], ...] = ()
        try:
            self._call(lambda: self._open(connection), timeout_s, "QEMU's QMP greeting")
        except BaseException:
            connection.close()
            self._stop_loop()
            raise

    def execute(
        self, command: str, arguments: Mapping[str, object] | None = None, *, timeout_s: float = _COMMAND_TIMEOUT_S
    ) -> Any:
        """Run a QMP command and return what it returned.

        :raise RefusedError: QEMU refused it; the message holds its own words.
        :raise MonitorError: the connection was lost.
        :raise DeadlineError: no answer in time; QEMU's main loop hangs.
        """
        self._write_log("execute", command=command, arguments=arguments)
        try:
            answer = self._call(lambda: self._client.execute(command, arguments), timeout_s, f"the answer to {command}")
        except (MonitorError, DeadlineError) as err:
            self._write_log("error", command=command, message=err.message)
            raise
        self._write_log("return", command=command, value=answer)
        return answer

    def wait_event(self, name: str, *, timeout_s: float, match: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the data of the first event called ``name`` that matches, including those that came before.

        An event is handed out once; all others are kept for whoever waits for them later.

        :raise DeadlineError: no such event in time.
        :raise MonitorError: the connection was lost.
        """

        async def next_event() -> Any:
            while True:
                self._news.clear()
                for event in self._events:
                    if event.get("event") == name and match(event.get("data", {})):
                        self._events.remove(event)
                        return event.get("data", {})
                if self._client.runstate is not Runstate.RUNNING:
                    raise MonitorError(f"the QMP connection ended before event {name}")
                await self._news.wait()

        return self._call(next_event, timeout_s, f"event {name}")

    def close(self) -> None:
        """End the session; a QEMU that is gone already is fine."""
        if self._loop.is_closed():
            return
        try:
            self._call(self._close, 5.0, "QMP to disconnect")
        except (MonitorError, DeadlineError):
            pass  # QEMU closed its end first, as after quit
        finally:
            self._stop_loop()

    async def _open(self, connection: socket.socket) -> None:
        await self._client.connect(connection)
        self._watchers = (asyncio.create_task(self._collect_events()), asyncio.create_task(self._watch_connection()))

    async def _close(self) -> None:
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self._client.disconnect()

    async def _collect_events(self) -> None:
        async for message in self._client.events:
            event = dict(message)
            self._write_log("event", value=event)
            self._events = [*self._events[-_EVENTS_KEPT:], event]
            self._news.set()

    async def _watch_connection(self) -> None:
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()
        self._news.set()

    def _call(self, make: Callable[[], Any], timeout_s: float, what: str) -> Any:
        async def bounded() -> Any:
            # The deadline lies inside the loop, so that a cancelled call is unwound before we go on.
            return await asyncio.wait_for(make(), timeout_s)

        with self._call_lock:  # a loop that is stopped would never answer, and its caller would wait for ever
            if self._closing:
                raise MonitorError(f"the monitor was closed before it could be asked for {what}")
            answer = asyncio.run_coroutine_threadsafe(bounded(), self._loop)
        try:
            return answer.result()
        except CancelledError:
            raise MonitorError(f"the monitor was closed while waiting for {what}") from None
        except TimeoutError:
            raise DeadlineError(f"waited {timeout_s:g} s for {what}, and it did not come") from None
        except ExecuteError as err:
            raise RefusedError(f"QEMU refused a command: {err}") from err
        except (QMPError, OSError, EOFError) as err:
            raise MonitorError(f"the QMP connection failed while waiting for {what}: {err}") from err

    def _stop_loop(self) -> None:
        with self._call_lock:
            self._closing = True
            asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop)
        self._thread.join(2 * _WIND_UP_S)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_up(self) -> None:
        """End what an interruption left under way: what is thrown away half done complains on stderr."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_WIND_UP_S)
        self._loop.stop()

    def _write_log(self, kind: str, **fields: Any) -> None:
        line = json.dumps({"at": round(time.time(), 6), "kind": kind, **fields}, default=str)
        with self._log_lock, self._log.open("a", encoding="utf-8") as sink:
            sink.write(line + "\n")
