"""Migration, as far as it needs no second QEMU; the real one is in tests/real/test_scenario.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import BootError, CrashError, DeadlineError, RefusedError, StageError
from lab.scenario import migrate as module
from lab.scenario.migrate import _destination, _port, _wait_for_end, _why, _with_other_mapping
from lab.scenario.stage import ScenarioError
from lab.testing import FakeClock, FakeMonitor
from tests.unit.scenario.staged import staged


def test_the_destination_serves_the_queues_with_other_iothreads(tmp_path: Path) -> None:
    """What was the first IOThread's is the last one's."""
    spec = _with_other_mapping(staged(tmp_path).guest.spec)
    mapping = spec.controllers[0].mapping
    assert mapping is not None and [item.iothread for item in mapping.items] == ["iothread1", "iothread0"]


def test_the_port_is_the_one_the_destination_listens_on() -> None:
    """Zero was asked for, so only QEMU knows."""
    answer = {"socket-address": [{"type": "unix"}, {"type": "inet", "port": "43210"}]}
    assert _port(FakeMonitor({"query-migrate": answer})) == 43210
    with pytest.raises(ScenarioError, match="does not say where"):
        _port(FakeMonitor({"query-migrate": {}}))


def test_a_migration_that_fails_is_a_finding() -> None:
    """With QEMU's reason."""
    failed = {"status": "failed", "error-desc": "load of migration failed: Invalid argument"}
    with pytest.raises(ScenarioError, match="failed: load of migration failed"):
        _wait_for_end(FakeMonitor({"query-migrate": failed}), FakeClock().deadline)
    completed = {"status": "completed", "total-time": 3000, "downtime": 250}
    assert _wait_for_end(FakeMonitor({"query-migrate": completed}), FakeClock().deadline) == (3.0, 0.25)


def test_a_destination_that_ended_is_a_crash(tmp_path: Path) -> None:
    """Its end outweighs what was noticed first; while it runs, that is told."""
    noticed = DeadlineError("waited 60 s")
    stage = staged(tmp_path)
    assert _why(stage.guest.process, noticed) is noticed
    assert isinstance(_why(staged(tmp_path, exited=-11).guest.process, noticed), CrashError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BootError("while booting: QEMU ended by itself with signal SIGABRT"), CrashError),
        (BootError("the guest did not come up: no answer"), BootError),
    ],
)
def test_a_destination_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BootError, kind: type[StageError]
) -> None:
    """One that crashed is a finding; one that was slow is not."""

    @contextmanager
    def started(*_words: object, **_more: object) -> Iterator[None]:
        if str(error):
            raise error
        yield

    monkeypatch.setattr(module, "started", started)
    stage = staged(tmp_path)
    with pytest.raises(kind):
        _destination(stage, stage.guest.spec, tmp_path)


def test_a_destination_that_refuses_to_listen_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With QEMU's words."""
    stage = staged(tmp_path, qmp={"migrate-incoming": RefusedError("QEMU refused a command: no such device")})

    @contextmanager
    def started(*_words: object, **_more: object) -> Iterator[tuple[object, object]]:
        yield stage.guest.process, stage.guest.monitor

    monkeypatch.setattr(module, "started", started)
    with pytest.raises(ScenarioError, match="no such device"):
        _destination(stage, stage.guest.spec, tmp_path)
