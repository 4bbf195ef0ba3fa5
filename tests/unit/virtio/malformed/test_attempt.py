"""A malformed request to a verdict, on machines that are not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import BootError, DeadlineError, InputError, StageError
from lab.testing import FakeMonitor, FakeProcess, RecordingProgress
from lab.virtio.malformed import attempt as module
from lab.virtio.malformed import session as session_module
from lab.virtio.malformed.attempt import MalformedResult, run_case, run_cases, spec_for
from lab.virtio.malformed.case import MalformedCase
from lab.virtio.malformed.perform import Outcome, Reaction
from lab.virtio.malformed.request import MalformedRequest
from lab.virtio.malformed.session import FuzzSession
from lab.virtio.qtest_machine import QtestSpec
from lab.virtio.verdict import Verdict
from lab.virtio.virtio_scsi import CommandResponse

REQUEST = MalformedRequest(2, ())
CASE = MalformedCase("a short one", REQUEST, frozenset({Outcome.NEEDS_RESET}))
ANSWERED = MalformedCase("bad content", REQUEST, frozenset({Outcome.RETURNED}), ("BAD_TARGET",))


class Machine:
    """A machine that only has a folder, a process and a monitor."""

    def __init__(self, spec: QtestSpec, folder: Path, *, exited: int | None, log: str) -> None:
        self.spec = spec
        (folder / "qemu.log").write_text(log)
        self.process = FakeProcess(log=folder / "qemu.log", exited=exited)
        self.monitor = FakeMonitor({"query-status": {}})


class Bench:
    """What a QEMU does with requests.

    :param reaction: to each of them.
    :param raises: in place of it, and ``broken`` after the reset.
    :param exited: how QEMU ended by itself.
    :param log: what it printed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reaction = Reaction(Outcome.NEEDS_RESET, (), None, early=False)
        self.raises: Exception | None = None
        self.broken: Exception | None = None
        self.exited: int | None = None
        self.log = ""
        self.started: list[Machine] = []
        self.running = 0
        self.patient: list[bool] = []
        for where in (module, session_module):
            monkeypatch.setattr(where, "start_machine", self._start)
        monkeypatch.setattr(module, "put_before", self._put)
        monkeypatch.setattr(module, "recover", self._recover)

    @contextmanager
    def _start(self, spec: QtestSpec, folder: Path) -> Iterator[Machine]:
        self.started.append(Machine(spec, folder, exited=self.exited, log=self.log))
        self.running += 1
        yield self.started[-1]
        self.running -= 1

    def _put(self, machine: Machine, request: MalformedRequest, *, patient: bool) -> Reaction:
        assert machine in self.started and request == REQUEST
        self.patient.append(patient)
        if self.raises is not None:
            raise self.raises
        return self.reaction

    def _recover(self, *_: object) -> None:
        if self.broken is not None:
            raise self.broken


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a QEMU that asks for a reset and works again, to be changed."""
    return Bench(monkeypatch)


def tried(tmp_path: Path, case: MalformedCase = CASE) -> MalformedResult:
    """Put a case before it."""
    return run_case(Path("/qemu"), case, "2", tmp_path / "kept")


def test_what_is_allowed_passes_and_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    """Patiently waited for, on a machine of the mapping."""
    result = tried(tmp_path)
    assert result.verdict is Verdict.PASSED and result.evidence is None and not (tmp_path / "kept").exists()
    assert bench.patient == [True] and bench.started[0].spec == spec_for(Path("/qemu"), "2")
    assert bench.started[0].spec.iothreads == ("t0", "t1")


@pytest.mark.parametrize(
    ("case", "reaction", "fault"),
    [
        (CASE, Reaction(Outcome.RETURNED, (0,), None, early=False), "the device returns the request; it may do this"),
        (CASE, Reaction(Outcome.NEEDS_RESET, (), None, early=True), "took a request before DRIVER_OK"),
        (
            ANSWERED,
            Reaction(Outcome.RETURNED, (0,), CommandResponse(0, 0, 0, None), early=False),
            "ended OK instead of",
        ),
    ],
)
def test_what_is_not_allowed_fails(
    bench: Bench, tmp_path: Path, case: MalformedCase, reaction: Reaction, fault: str
) -> None:
    """With the fault in words and the evidence beside it."""
    bench.reaction = reaction
    result = tried(tmp_path, case)
    assert result.verdict is Verdict.FAILED and len(result.faults) == 1 and fault in result.faults[0]
    assert result.evidence is not None
    story = json.loads((result.evidence / "case.json").read_text())
    assert (story["case"], story["mapping"]) == (case.name, "2") and fault in story["faults"][0]


def test_an_answer_that_may_be_is_no_fault(bench: Bench, tmp_path: Path) -> None:
    """And where the device wrote no response, its end is not judged."""
    for response in (CommandResponse(3, 0, 0, None), None):
        bench.reaction = Reaction(Outcome.RETURNED, (0,), response, early=False)
        assert tried(tmp_path, ANSWERED).verdict is Verdict.PASSED


def test_a_sanitiser_is_heard(bench: Bench, tmp_path: Path) -> None:
    """Every line in which one speaks, also where the reaction is right."""
    bench.log = "x\nhw/scsi/virtio-scsi.c:1: runtime error: load of null pointer\nERROR: AddressSanitizer: heap\n"
    faults = tried(tmp_path).faults
    assert [fault.startswith("a sanitiser reports: ") for fault in faults] == [True, True]


def test_a_crash_is_told_with_its_signal(bench: Bench, tmp_path: Path) -> None:
    """The lost connection is only how it was noticed."""
    bench.raises, bench.exited, bench.log = StageError("the connection was lost"), -11, "qemu: bad address\n"
    result = tried(tmp_path)
    assert result.verdict is Verdict.FAILED and result.reaction is None and "SIGSEGV" in result.faults[0]


def test_a_device_that_stays_broken_fails(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A QEMU that lives, and cannot be used after a reset."""
    monkeypatch.setattr(module, "crash_text", lambda _: None)
    bench.broken = DeadlineError("READ did not end")
    result = tried(tmp_path)
    assert result.faults == ("it does not work again after a reset: READ did not end",)
    assert result.reaction == bench.reaction


def test_a_request_that_cannot_be_put_is_the_users(bench: Bench, tmp_path: Path) -> None:
    """A stored one for a queue that this device does not have."""
    bench.raises = InputError("the device has no queue 99")
    with pytest.raises(InputError, match="no queue 99"):
        tried(tmp_path)


def test_why_a_case_cannot_be_told() -> None:
    """It counts where there is no fault."""
    result = MalformedResult("a", "2", REQUEST, None, (), "no CPU time", None, 0.1)
    assert result.verdict is Verdict.UNDECIDED


def test_every_case_meets_every_mapping(bench: Bench, tmp_path: Path) -> None:
    """In that order; failures are counted while it goes on."""
    bench.reaction = Reaction(Outcome.IGNORED, (), None, early=False)
    progress = RecordingProgress()
    results = run_cases(
        Path("/qemu"), [CASE, ANSWERED], ["none", "2"], evidence=tmp_path / "kept", progress=progress, workers=2
    )
    names = [(result.name, result.mapping) for result in results]
    assert names == [("a short one", "none"), ("a short one", "2"), ("bad content", "none"), ("bad content", "2")]
    assert progress.stages[0].updates[-1].note == "4 failed" and len(list((tmp_path / "kept").glob("*/*"))) == 4


def test_where_there_is_no_case_nothing_is_shown(bench: Bench, tmp_path: Path) -> None:
    """No stage is opened that would have no end."""
    progress = RecordingProgress()
    assert run_cases(Path("/qemu"), [], ["2"], evidence=tmp_path, progress=progress) == ()
    assert not progress.stages and not bench.started


def test_a_qemu_that_does_not_start_ends_it(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It will not start for the next case either."""

    def start(*_: object) -> None:
        raise BootError("no such device")

    assert not bench.started
    monkeypatch.setattr(module, "start_machine", start)
    with pytest.raises(BootError, match="no such device"):
        run_cases(Path("/qemu"), [CASE] * 9, ["2"], evidence=tmp_path, progress=RecordingProgress())


def session_after(bench: Bench, tmp_path: Path, *steps: Callable[[], object]) -> FuzzSession:
    """Put one request after each of these steps, and return the session when it has ended."""
    with FuzzSession(Path("/qemu"), "2", tmp_path / "kept") as session:
        for step in steps:
            step()
            session.faults_of(REQUEST)
        assert bench.running <= 1
    assert bench.running == 0
    return session


def test_one_qemu_gets_request_after_request(bench: Bench, tmp_path: Path) -> None:
    """As long as nothing is wrong; nobody waits for what does not happen at once."""
    session = session_after(bench, tmp_path, *[lambda: None] * 3)
    assert session.tried == 3 and len(bench.started) == 1 and bench.patient == [False] * 3
    assert not (tmp_path / "kept").exists()


def test_a_qemu_that_failed_is_replaced(bench: Bench, tmp_path: Path) -> None:
    """The last failure is kept; nothing else in the folder for evidence is touched."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "theirs.txt").touch()

    def fail() -> None:
        bench.reaction = Reaction(Outcome.NEEDS_RESET, (), None, early=True)

    def pass_() -> None:
        bench.reaction = Reaction(Outcome.NEEDS_RESET, (), None, early=False)

    session = session_after(bench, tmp_path, fail, fail, pass_)
    assert session.tried == 3 and len(bench.started) == 3
    story = json.loads((tmp_path / "kept" / "last-failure" / "story.json").read_text())
    assert "DRIVER_OK" in story["faults"][0] and story["request"]["queue"] == 2
    assert (tmp_path / "kept" / "theirs.txt").exists()
