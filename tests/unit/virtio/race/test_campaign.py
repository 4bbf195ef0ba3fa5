"""Many performances to findings; performed by a pool of threads that has no QEMU."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import BootError
from lab.testing import RecordingProgress
from lab.virtio.backing import Backing
from lab.virtio.race import campaign
from lab.virtio.race.attempt import RaceResult
from lab.virtio.race.campaign import Performers, findings_of, run_schedules
from lab.virtio.race.judge import Fault, FaultKind, RaceJudgement
from lab.virtio.race.schedule import Action, Schedule, Step

CRASH, HANG = Fault(FaultKind.CRASH, "QEMU ended", "assertion"), Fault(FaultKind.HANG, "it hangs")
QEMU = Path("/qemu")


def race(*actions: Action, seed: int = 1) -> Schedule:
    """Return a schedule of these steps."""
    return Schedule(seed, "none", (), {}, 4, Backing.NULL, tuple(Step(action) for action in actions))


NOISE = (Action.READ, Action.KICK, Action.WRITE)
GUILTY = race(*NOISE, Action.STOP, *NOISE, Action.CONT, seed=4)


def by_steps(schedule: Schedule) -> tuple[Fault, ...]:
    """Say what is wrong: a crash where STOP comes before CONT, whatever else is there."""
    actions = [step.action for step in schedule.steps]
    both = Action.STOP in actions and Action.CONT in actions
    return (CRASH,) if both and actions.index(Action.STOP) < actions.index(Action.CONT) else ()


class Attempts:
    """What performances show.

    :param shows: of a schedule.
    """

    def __init__(self) -> None:
        self.shows: Callable[[Schedule], tuple[Fault, ...]] = by_steps
        self.performed: list[Schedule] = []
        self.folders: list[Path | None] = []

    def attempt(self, qemu: Path, schedule: Schedule, *, evidence: Path | None, backtrace: bool) -> RaceResult:
        """Perform a schedule."""
        assert qemu == QEMU and backtrace is bool(evidence)
        self.performed.append(schedule)
        self.folders.append(evidence)
        return RaceResult(schedule, RaceJudgement(self.shows(schedule)), 1, 1, (), "qemu", evidence, 0.1)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    """Let threads perform in place of processes, and without QEMU."""
    fake = Attempts()

    def pool(count: int, **options: Any) -> Executor:
        assert count > 0 and options["initializer"] is campaign._die_with_parent
        assert options["initargs"] == (os.getpid(),)
        return ThreadPoolExecutor(count)

    monkeypatch.setattr(campaign, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(campaign, "attempt", fake.attempt)
    return fake


@pytest.fixture
def performers(attempts: Attempts) -> Iterator[Performers]:
    """Return the pool."""
    assert attempts
    with Performers(QEMU, 2) as made:
        yield made


def test_every_schedule_is_performed_once(attempts: Attempts, performers: Performers, tmp_path: Path) -> None:
    """Results are in the order of the schedules, each with a folder of its own; what went wrong is counted."""
    schedules = [race(Action.STOP, seed=seed) for seed in range(20)] + [GUILTY]
    progress = RecordingProgress()
    results = run_schedules(performers, schedules, evidence=tmp_path, progress=progress)
    assert [result.schedule for result in results] == schedules
    assert results[20].evidence == tmp_path / "00020" and len(set(attempts.folders)) == 21
    assert progress.stages[0].updates[-1].done == 21 and progress.stages[0].updates[-1].note == "1 went wrong"


def test_an_error_ends_the_campaign(attempts: Attempts, performers: Performers, tmp_path: Path) -> None:
    """A QEMU that does not start will not start for the others either."""

    def shows(_: Schedule) -> tuple[Fault, ...]:
        raise BootError("no such device")

    attempts.shows = shows
    with pytest.raises(BootError, match="no such device"):
        run_schedules(performers, [GUILTY] * 50, evidence=tmp_path, progress=RecordingProgress())


def test_a_failure_is_made_as_short_as_it_goes(attempts: Attempts, performers: Performers) -> None:
    """Only the two steps are left that it takes, and they are performed once more to be counted."""
    assert attempts
    results = [result(GUILTY), result(race(Action.READ, seed=2))]
    (finding,) = findings_of(performers, results, reduce=True, progress=RecordingProgress())
    assert [step.action for step in finding.shortest.steps] == [Action.STOP, Action.CONT]
    assert (finding.failed, finding.performed, finding.seeds) == (24, 24, (4,))
    assert finding.shortest.seed == 4 and finding.result.schedule == GUILTY


def test_luck_is_not_made_shorter(attempts: Attempts, performers: Performers) -> None:
    """What fails once and never again stays whole, and is said to fail in none of its performances."""
    attempts.shows = lambda _: ()
    (finding,) = findings_of(performers, [result(GUILTY)], reduce=True, progress=RecordingProgress())
    assert finding.shortest == GUILTY and (finding.failed, finding.performed) == (0, 24)


def test_one_finding_for_each_fault(attempts: Attempts, performers: Performers) -> None:
    """With all seeds, and the shortest schedule that showed it; nothing is performed to find out."""
    longer = replace(GUILTY, seed=9, steps=(*GUILTY.steps, Step(Action.KICK)))
    results = [result(longer, CRASH, HANG), result(GUILTY, CRASH, CRASH)]
    found = findings_of(performers, results, reduce=False, progress=RecordingProgress())
    crash, hang = sorted(found, key=lambda finding: finding.fault != CRASH)
    assert (crash.fault, crash.seeds, crash.shortest) == (CRASH, (9, 4), GUILTY)
    assert (hang.fault, hang.seeds, hang.shortest) == (HANG, (9,), longer)
    assert (crash.failed, crash.performed) == (1, 1) and not attempts.performed


def test_a_replayed_schedule_is_counted_whole(performers: Performers) -> None:
    """3 of 20 performances are 3 of 20."""
    good = RaceResult(GUILTY, RaceJudgement(()), 1, 1, (), "qemu", None, 0.1)
    results = [*[result(GUILTY)] * 3, *[good] * 17]
    (finding,) = findings_of(performers, results, reduce=False, progress=RecordingProgress())
    assert (finding.failed, finding.performed) == (3, 20)


def test_a_fault_is_counted(attempts: Attempts, performers: Performers) -> None:
    """As often as it is asked for; another fault does not count."""
    assert performers.count(GUILTY, CRASH, 5) == (5, 5) and performers.count(GUILTY, HANG) == (0, 24)
    assert len(attempts.performed) == 29 and set(attempts.folders) == {None}


def result(schedule: Schedule, *faults: Fault) -> RaceResult:
    """Return what one performance showed; by default what its steps say."""
    judgement = RaceJudgement(faults or by_steps(schedule))
    return RaceResult(schedule, judgement, 1, 1, (), "qemu", None, 0.1)


@pytest.mark.parametrize(("parent", "killed"), [(os.getppid(), []), (os.getppid() + 1, [signal.SIGKILL])])
def test_a_worker_whose_lab_is_gone_ends(monkeypatch: pytest.MonkeyPatch, parent: int, killed: list[int]) -> None:
    """The kernel tells a worker of a death to come, and not of one that was while the worker was being loaded."""
    seen: list[int] = []
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(signal, "pthread_sigmask", lambda how, signals: None)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(prctl=lambda *words: asked.append(words)))
    monkeypatch.setattr(os, "kill", lambda pid, number: seen.append(number))
    campaign._die_with_parent(parent)
    assert seen == killed and asked == [(1, signal.SIGKILL)]
