"""One scenario to a verdict, whatever happens to its guest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import BootError, CrashError, DeadlineError, GuestError, HostError, MonitorError, StageError
from lab.machine.guest import Guest
from lab.machine.guest_clock import ClockReading
from lab.scenario import perform as module
from lab.scenario import play
from lab.scenario.catalogue import Scenario
from lab.scenario.load import Load
from lab.scenario.perform import Ground, perform
from lab.scenario.stage import ScenarioError, Stage
from lab.testing import FakeShell
from lab.virtio.verdict import Verdict
from tests.unit.experiment.made_up import IMAGE
from tests.unit.scenario.staged import QUIET, staged
from tests.unit.scenario.test_load import ENDED

GROUND = Ground(Path("qemu"), (), IMAGE, "tcg")
BEGINS = {"setsid": "", "/sys/block/sda/stat": ""}


def nothing(stage: Stage, number: int) -> None:
    """Disturb nothing."""


class Machine:
    """A guest that answers from tables in the place of a booted one."""

    def __init__(self, folder: Path) -> None:
        self.stage = staged(
            folder, qmp={"qom-get": [{"iothread": "iothread0"}, {"iothread": "iothread1"}], "query-status": {}}
        )
        self.fails: StageError | None = None
        self.rate = 1.0
        self._asked = 0

    def read_clock(self, _shell: object) -> ClockReading:
        """Ten seconds of the host after the reading before."""
        self._asked += 1
        return ClockReading(1000 + 10 * self.rate * self._asked, 10.0 * self._asked, 0.001)

    @contextmanager
    def booted(self, *_words: object, evidence: Path, **_more: object) -> Iterator[Guest]:
        """Hand the guest over, or fail as told."""
        if self.fails is not None:
            raise self.fails
        guest = replace(
            self.stage.guest, shell=_Ending({**BEGINS, **ENDED, **QUIET, "test ! -e": ""}), evidence=evidence
        )
        (evidence / "console.log").touch()
        (evidence / "qemu.log").touch()
        yield guest


class _Ending(FakeShell):
    """A shell in whose guest fio runs until it is told to end."""

    def run(self, command: str, *, timeout_s: float, check: bool = True) -> Any:
        """Answer; once it was told to, fio has ended."""
        if command == "test ! -e /tmp/lab/load.status":
            ended = any("kill -INT" in earlier for earlier in self.commands)
            self.answers = {command: (1, "", "") if ended else "", **self.answers}
            self.answers[command] = (1, "", "") if ended else ""
        return super().run(command, timeout_s=timeout_s, check=check)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Replace the boot and the clock."""
    fake = Machine(tmp_path)
    monkeypatch.setattr(module, "booted", fake.booted)
    clock = fake.stage.make_deadline
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "Load", lambda *words: _on(clock, REAL_LOAD, *words))
    monkeypatch.setattr(module, "Stage", lambda *words: Stage(*words, make_deadline=clock, read_clock=fake.read_clock))
    return fake


REAL_LOAD = Load


def _on(clock: Callable[[float], Any], kind: Callable[..., Any], *words: object) -> Any:
    return kind(*words, make_deadline=clock)


def evidence(folder: Path) -> Path:
    """Return an empty folder."""
    (folder / "evidence").mkdir()
    return folder / "evidence"


def test_a_guest_that_takes_it_passes(machine: Machine, tmp_path: Path) -> None:
    """As often as asked, the load is fetched, and the images are gone afterwards."""
    turns: list[int] = []
    folder = evidence(tmp_path)
    result = perform(Scenario("s", lambda stage, turn: turns.append(turn)), GROUND, times=3, evidence=folder)
    assert (result.verdict, result.reason, result.completed) == (Verdict.PASSED, "", 111)
    assert turns == [0, 1, 2] and not any((tmp_path / "cache" / "scratch").iterdir())
    assert result.to_json()["verdict"] == "passed"


def test_what_cannot_be_repeated_is_done_once(machine: Machine, tmp_path: Path) -> None:
    """And the result says so."""
    result = perform(Scenario("s", nothing, repeatable=False), GROUND, times=3, evidence=evidence(tmp_path))
    assert result.times == 1


@pytest.mark.parametrize("error", [ScenarioError("no"), CrashError("no")])
def test_what_the_machine_did_wrong_is_a_failure(machine: Machine, tmp_path: Path, error: StageError) -> None:
    """With its sentence."""

    def fail(stage: Stage, turn: int) -> None:
        raise error

    result = perform(Scenario("s", fail), GROUND, times=1, evidence=evidence(tmp_path))
    assert (result.verdict, result.reason) == (Verdict.FAILED, "no")


@pytest.mark.parametrize("error", [DeadlineError, GuestError, MonitorError])
@pytest.mark.parametrize(
    ("fault", "verdict", "said"),
    [
        ("every thread of QEMU sleeps", Verdict.FAILED, "every thread of QEMU sleeps: silent"),
        (None, Verdict.UNDECIDED, "silent"),
    ],
)
def test_silence_is_a_failure_only_where_qemu_hangs(
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[StageError],
    fault: str | None,
    verdict: Verdict,
    said: str,
) -> None:
    """What it is looked at for is in fault.py."""

    def fall_silent(stage: Stage, turn: int) -> None:
        raise error("silent")

    monkeypatch.setattr(play, "fault_of", lambda *_words, **_more: fault)
    result = perform(Scenario("s", fall_silent), GROUND, times=1, evidence=evidence(tmp_path))
    assert (result.verdict, result.reason) == (verdict, said)


def test_a_guest_that_does_not_boot_decides_nothing(machine: Machine, tmp_path: Path) -> None:
    """It was never disturbed."""
    machine.fails = BootError("no")
    result = perform(Scenario("s", nothing), GROUND, times=1, evidence=evidence(tmp_path))
    assert result.verdict is Verdict.UNDECIDED


def test_a_kernel_that_complains_fails_the_scenario(machine: Machine, tmp_path: Path) -> None:
    """Although every request completed."""
    folder = evidence(tmp_path)

    def complain(stage: Stage, turn: int) -> None:
        (folder / "console.log").write_text("blk_update_request: I/O error, dev sda\nrcu: INFO: rcu_sched stall\n")

    result = perform(Scenario("s", complain), GROUND, times=1, evidence=folder)
    assert result.verdict is Verdict.FAILED and "I/O error, dev sda" in result.reason
    assert "did not run" in result.warnings[0]


def test_another_mapping_than_asked_for_fails_the_scenario(machine: Machine, tmp_path: Path) -> None:
    """Before and after."""
    machine.stage.guest.monitor._answers["qom-get"] = []  # type: ignore[attr-defined]
    result = perform(Scenario("s", nothing), GROUND, times=1, evidence=evidence(tmp_path))
    assert result.verdict is Verdict.FAILED and "mapping" in result.reason


def test_a_qemu_that_fell_back_fails_the_scenario(machine: Machine, tmp_path: Path) -> None:
    """It goes on in the main loop, and says so on stderr only."""
    folder = evidence(tmp_path)

    def fall_back(stage: Stage, turn: int) -> None:
        (folder / "qemu.log").write_text("virtio-scsi: Failed to set guest notifiers (-24)\n")

    result = perform(Scenario("s", fall_back), GROUND, times=1, evidence=folder)
    assert result.verdict is Verdict.FAILED and "without IOThreads" in result.reason


def test_evidence_that_cannot_be_written_is_the_host_s_fault(machine: Machine, tmp_path: Path) -> None:
    """No verdict."""

    def fill(stage: Stage, turn: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(HostError, match="No space left"):
        perform(Scenario("s", fill), GROUND, times=1, evidence=evidence(tmp_path))


def test_a_guest_whose_clock_is_wrong_has_no_gaps(machine: Machine, tmp_path: Path) -> None:
    """fio and the marks count by it; the verdict stands."""
    machine.rate = 1.5
    result = perform(
        Scenario("s", lambda stage, _turn: stage.disturb("x")), GROUND, times=1, evidence=evidence(tmp_path)
    )
    assert result.verdict is Verdict.PASSED and result.gaps == ()
    assert result.warnings == (
        "the guest's clock ran 1.50 times as fast as the host's, so nothing is said of durations",
    )


def test_what_the_kernel_said_before_the_load_does_not_count(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest may complain of its machine while it boots."""
    folder = evidence(tmp_path)
    begun = machine.booted

    @contextmanager
    def booted(*words: object, evidence: Path, **more: object) -> Iterator[Guest]:
        with begun(*words, evidence=evidence, **more) as guest:
            (evidence / "console.log").write_text("Buffer I/O error at boot\n")
            yield guest

    monkeypatch.setattr(module, "booted", booted)
    assert perform(Scenario("s", nothing), GROUND, times=1, evidence=folder).verdict is Verdict.PASSED
