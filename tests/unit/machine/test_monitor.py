"""The monitor against a QMP peer in the same process: the real library, the real protocol, no QEMU."""

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.errors import DeadlineError, MonitorError, RefusedError
from lab.machine.monitor import Monitor

GREETING = {"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""}, "capabilities": []}}


class QmpPeer:
    """The other end of a monitor: greets, then answers as told; silent for commands it was not told."""

    def __init__(self, answers: dict[str, dict[str, object]]) -> None:
        self.ours, self._theirs = socket.socketpair()
        self._answers: dict[str, dict[str, object]] = {"qmp_capabilities": {"return": {}}, **answers}
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def join(self) -> None:
        """Wait until the peer has seen the end of the connection."""
        self._server.join(5)

    def _serve(self) -> None:
        with self._theirs:
            self._send(GREETING)
            # qemu.qmp sends one JSON object per write, without a line end.
            while request := self._theirs.recv(65536):
                command = json.loads(request)
                answer = self._answers.get(command["execute"])
                if answer is not None and "close" in answer:
                    break
                if answer is not None:
                    self._send({**answer, "id": command.get("id")})
                    if command["execute"] == "device_del":
                        self._send(event("DEVICE_DELETED", {"device": "other"}))
                        self._send(event("DEVICE_DELETED", {"device": "scsi0"}))

    def _send(self, message: object) -> None:
        self._theirs.sendall(json.dumps(message).encode() + b"\r\n")


def event(name: str, data: dict[str, object]) -> dict[str, object]:
    """A QMP event."""
    return {"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}}


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    """A connected monitor whose peer knows four commands."""
    peer = QmpPeer(
        {
            "query-status": {"return": {"status": "running"}},
            "device_add": {"error": {"class": "GenericError", "desc": 'IOThread "nope" object does not exist'}},
            "device_del": {"return": {}},
            "quit": {"close": True},
        }
    )
    found = Monitor(peer.ours, log=tmp_path / "qmp.log")
    yield found
    found.close()
    peer.join()


def test_a_command_returns_what_qemu_returned(monitor: Monitor) -> None:
    """The value of "return", nothing around it."""
    assert monitor.execute("query-status") == {"status": "running"}


def test_a_refusal_holds_qemus_own_words(monitor: Monitor) -> None:
    """The description is what a reader looks for."""
    with pytest.raises(RefusedError, match='IOThread "nope" object does not exist'):
        monitor.execute("device_add", {"driver": "virtio-scsi-pci"})


def test_a_command_without_an_answer_meets_its_deadline(monitor: Monitor) -> None:
    """A main loop that hangs is seen, and the monitor can still be closed."""
    with pytest.raises(DeadlineError, match="the answer to blockdev-add"):
        monitor.execute("blockdev-add", timeout_s=0.05)


def test_a_connection_that_ends_is_a_monitor_error(monitor: Monitor) -> None:
    """QEMU going away during a command is not a traceback."""
    with pytest.raises(MonitorError, match="connection failed"):
        monitor.execute("quit")


def test_an_event_that_came_earlier_is_found(monitor: Monitor) -> None:
    """Events are kept until somebody waits for them; others of the same name are passed over."""
    monitor.execute("device_del", {"id": "scsi0"})
    data = monitor.wait_event("DEVICE_DELETED", timeout_s=2, match=lambda data: data.get("device") == "scsi0")
    assert data == {"device": "scsi0"}


def test_an_event_that_never_comes_meets_its_deadline(monitor: Monitor) -> None:
    """The deadline is the caller's."""
    with pytest.raises(DeadlineError, match="event JOB_STATUS_CHANGE"):
        monitor.wait_event("JOB_STATUS_CHANGE", timeout_s=0.05)


def test_other_events_wait_for_whoever_wants_them(monitor: Monitor) -> None:
    """Waiting for one event loses no other, whatever the order."""
    monitor.execute("device_del", {"id": "scsi0"})
    for device in ("scsi0", "other"):

        def is_wanted(data: dict[str, object], wanted: str = device) -> bool:
            return data["device"] == wanted

        assert monitor.wait_event("DEVICE_DELETED", timeout_s=2, match=is_wanted) == {"device": device}
    with pytest.raises(DeadlineError):
        monitor.wait_event("DEVICE_DELETED", timeout_s=0.05)


def test_a_wait_ends_with_the_connection(monitor: Monitor) -> None:
    """A QEMU that goes away ends the wait at once, not at its deadline."""
    with pytest.raises(MonitorError):
        monitor.execute("quit")
    with pytest.raises(MonitorError, match="ended before event SHUTDOWN"):
        monitor.wait_event("SHUTDOWN", timeout_s=30)


def test_a_closed_monitor_says_so(monitor: Monitor) -> None:
    """Asking after close is an error of ours, and closing twice is none."""
    monitor.close()
    monitor.close()
    with pytest.raises(MonitorError, match="was closed"):
        monitor.execute("query-status")


def test_a_command_under_way_ends_with_its_monitor(monitor: Monitor) -> None:
    """Whoever waits in another thread is told that no answer will come; it is no traceback."""

    async def cancelled() -> None:
        raise asyncio.CancelledError  # as what is left is when the monitor is closed

    with pytest.raises(MonitorError, match="was closed while waiting for an answer"):
        monitor._call(cancelled, 5, "an answer")


def test_a_command_that_comes_while_the_monitor_closes_is_refused(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is about to stop would never answer it."""
    closing, may_close = threading.Event(), threading.Event()
    wind_up = monitor._wind_up

    async def slowly() -> None:
        closing.set()
        await asyncio.to_thread(may_close.wait, 5)
        await wind_up()

    monkeypatch.setattr(monitor, "_wind_up", slowly)
    thread = threading.Thread(target=monitor.close)
    thread.start()
    assert closing.wait(5)
    with pytest.raises(MonitorError, match="was closed before"):
        monitor.execute("query-status")
    may_close.set()
    thread.join(5)


def test_everything_said_is_logged(monitor: Monitor, tmp_path: Path) -> None:
    """One JSON line per command, answer, refusal and event, waited for or not."""
    monitor.execute("query-status")
    monitor.execute("device_del", {"id": "scsi0"})
    with pytest.raises(MonitorError):
        monitor.execute("device_add", {"driver": "x"})
    lines = [json.loads(line) for line in (tmp_path / "qmp.log").read_text().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert [kind for kind in kinds if kind != "event"] == ["execute", "return"] * 2 + ["execute", "error"]
    assert kinds.count("event") == 2


def test_a_peer_that_does_not_greet_is_an_error(tmp_path: Path) -> None:
    """A QEMU that hangs before its greeting does not hang us."""
    ours, theirs = socket.socketpair()
    with pytest.raises(DeadlineError, match="greeting"):
        Monitor(ours, log=tmp_path / "qmp.log", timeout_s=0.05)
    theirs.close()


def test_an_interruption_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ctrl-C while QEMU has not greeted yet: asyncio has nothing to complain about, and the loop's thread ends."""
    begun = asyncio.run_coroutine_threadsafe

    def interrupted(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Any:
        if coroutine.__name__ != "bounded":
            return begun(coroutine, loop)
        begun(coroutine, loop)
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    threads = threading.active_count()
    ours, silent = socket.socketpair()
    with silent, pytest.raises(KeyboardInterrupt):
        Monitor(ours, log=tmp_path / "qmp.log")
    gc.collect()
    assert threading.active_count() == threads
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_peer_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """A QEMU that ended before its greeting is named as such."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(MonitorError, match="connection failed"):
        Monitor(ours, log=tmp_path / "qmp.log")
