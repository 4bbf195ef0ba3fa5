"""A scenario on a guest, as far as test_perform.py does not show it: what is timed, watched and looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import CrashError, DeadlineError, WorkloadError
from lab.machine.guest import CONSOLE_LOG
from lab.scenario import play as module
from lab.scenario.catalogue import Scenario
from lab.scenario.load import LoadResult
from lab.scenario.play import play
from lab.scenario.service import Reading
from lab.scenario.stage import ScenarioError, Stage
from lab.scenario.verdict import Seen
from tests.unit.scenario.staged import staged

MAPPED = [{"iothread": "iothread0"}, {"iothread": "iothread1"}]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A guest whose load does as it is told."""
    staged_one = staged(tmp_path, qmp={"qom-get": MAPPED})
    monkeypatch.setattr(staged_one.load, "prepare", lambda: None)
    monkeypatch.setattr(staged_one.load, "start", lambda: None)
    monkeypatch.setattr(staged_one.load, "stop", lambda: LoadResult(7, (Reading(1001.0, 5.0),)))
    return staged_one


def test_the_time_of_a_scenario_leaves_out_what_the_load_was_left_alone(stage: Stage) -> None:
    """Two seconds pass in it, of which 1.3 are the settling before a mark."""
    seen, now = Seen(), iter([10.0, 12.0])
    play(Scenario("s", lambda s, _n: s.disturb("x")), stage, seen, times=1, ramp_s=5, clock=lambda: next(now))
    assert seen.seconds == pytest.approx(0.7) and seen.completed == 7
    assert stage.rested_s == pytest.approx(5 + 1.3 + 1.5) and seen.clock is not None


def test_service_is_watched_as_long_as_asked(stage: Stage) -> None:
    """And never less than recovery needs to be seen."""
    play(Scenario("s", lambda _s, _n: None), stage, Seen(), times=1, watch_s=4)
    assert stage.rested_s == 4


def test_a_guest_that_was_ended_is_asked_nothing(stage: Stage) -> None:
    """As the scenario meant to."""

    def end(on: Stage, _number: int) -> None:
        on.guest_ended = True
        on.guest.process.exited = 0  # type: ignore[attr-defined]

    seen = Seen()
    play(Scenario("s", end), stage, seen, times=1)
    assert seen.completed == 0


def test_a_crash_outweighs_what_was_noticed_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the scenario has told of the end itself."""
    monkeypatch.setattr(module, "fault_of", lambda *_words, **_more: None)

    def notice(on: Stage, _number: int) -> None:
        on.guest.process.exited = -6  # type: ignore[attr-defined]
        raise DeadlineError("silent")

    def tell(on: Stage, number: int) -> None:
        on.guest_ended = True
        try:
            notice(on, number)
        except DeadlineError as err:
            raise ScenarioError("QEMU aborted") from err

    with pytest.raises(CrashError):
        play(Scenario("s", notice), stage, Seen(), times=1)
    stage.guest.process.exited = None  # type: ignore[attr-defined]
    with pytest.raises(ScenarioError, match="aborted"):
        play(Scenario("s", tell), stage, Seen(), times=1)


def test_what_the_kernel_complained_of_goes_with_what_went_wrong(stage: Stage) -> None:
    """fio says that a request failed; the console says which."""

    def lose(on: Stage, _number: int) -> None:
        (on.guest.evidence / CONSOLE_LOG).write_text("I/O error, dev sda, sector 40784\n")
        raise WorkloadError("a request failed")

    seen = Seen()
    with pytest.raises(WorkloadError):
        play(Scenario("s", lose), stage, seen, times=1)
    assert seen.complaint == "I/O error, dev sda, sector 40784"
