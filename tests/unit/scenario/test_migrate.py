"""Migration, as far as it needs no second QEMU; the real one is in tests/real/test_scenario.py."""

from pathlib import Path

import pytest

from lab.scenario.migrate import _port, _wait_for_end, _with_other_mapping
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
    _wait_for_end(FakeMonitor({"query-migrate": {"status": "completed"}}), FakeClock().deadline)
