"""Locks of results folders lie in the cache: each test gets one of its own. And a bed for the tests of runs."""

from pathlib import Path

import pytest

from lab.experiment import load, realise
from lab.experiment.realise import Bench
from lab.host.cpu_plan import Threads
from lab.host.cpu_plan_choice import plan_nothing
from lab.record import Arm
from tests.unit.experiment.bed import EIGHT, WORKER, Bed
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, loaded_job


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the cache below the test's folder."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """Return a bed on which everything works and nothing is pinned."""
    loaded = loaded_job(tmp_path)
    builds = {Arm.BASELINE: BASELINE, Arm.CANDIDATE: CANDIDATE}
    plan = plan_nothing(EIGHT, Threads(4, tuple(f"iothread{number}" for number in range(6))))
    bench = Bench(loaded, loaded.job.profile["quick"], builds, IMAGE, "tcg", "f00d", plan)
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    made = Bed(bench, evidence)
    monkeypatch.setattr(realise, "booted", made.boot)
    monkeypatch.setattr(realise, "threads_of", lambda pid: frozenset({pid, *made.threads.names, WORKER}))
    monkeypatch.setattr(load, "readings_during", made.read)
    monkeypatch.setattr(load, "read_clocks", made.clocks)
    return made
