import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import lab.cli.malformed as verb
from lab.errors import ExitCode, InputError
from lab.virtio.malformed.attempt import MalformedResult
from lab.virtio.malformed.case import MalformedCase, malformed_cases
from lab.virtio.malformed.perform import Outcome, Reaction
from lab.virtio.malformed.request import MalformedRequest


class Machine:
    """A QEMU that reacts to everything as the test says.

    :param faults: what is wrong each time, and ``trouble`` why it cannot be told.
    :param sound: names of binaries with which nothing is ever wrong.
    """

    def __init__(self) -> None:
        self.faults: tuple[str, ...] = ()
        self.sound: tuple[str, ...] = ()
        self.trouble = ""
        self.cases: list[MalformedCase] = []
        self.tried = 0

    def run_cases(
        self, qemu: Path, cases: Sequence[MalformedCase], mappings: Sequence[str], **_: object
    ) -> tuple[MalformedResult, ...]:
        """Put every case before it."""
        self.cases = list(cases)
        faults = () if qemu.name in self.sound else self.faults
        reaction = Reaction(Outcome.NEEDS_RESET, (), None, early=False)
        return tuple(
            MalformedResult(case.name, mapping, case.request, reaction, faults, self.trouble, None, 0.1)
            for case in cases
            for mapping in mappings
        )

    def session(self, qemu: Path, *_: object) -> "Session":
        """Return what drawn requests are put before."""
        return Session(self, qemu)


class Session:
    """A QEMU that gets drawn requests."""

    def __init__(self, machine: Machine, qemu: Path) -> None:
        self.tried = 0
        self._machine = machine
        self._faults = () if qemu.name in machine.sound else machine.faults

    def faults_of(self, _: MalformedRequest) -> tuple[str, ...]:
        """Put a drawn request before it."""
        self.tried += 1
        self._machine.tried += 1
        return self._faults

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return the machine that the verb meets."""
    fake = Machine()
    monkeypatch.setattr(verb, "run_cases", fake.run_cases)
    monkeypatch.setattr(verb, "FuzzSession", fake.session)
    monkeypatch.setattr("lab.cli.binaries.mappings_of", lambda _: ("none", "2"))
    return fake


@pytest.fixture
def call(machine: Machine, tmp_path: Path) -> Any:
    """Return the verb."""
    qemu, other = tmp_path / "qemu", tmp_path / "other"
    for path in (qemu, other):
        path.write_text("#!/bin/sh\necho QEMU emulator version 10.0.13\n")
        path.chmod(0o700)
    calls = itertools.count()

    def called(*words: str) -> int:
        evidence = ["--evidence", str(tmp_path / f"kept-{next(calls)}")]
        args = ["--qemu", str(qemu), "--quiet", *evidence, *words]
        code = verb.malformed.main(args=args, prog_name="lab", standalone_mode=False)
        assert isinstance(code, int)
        return code

    return called


def test_the_exit_code_is_the_verdict(call: Any, machine: Machine) -> None:
    """0 all passed, 1 a case failed, 4 undecided ones only."""
    assert call() == ExitCode.DONE and len(machine.cases) == len(malformed_cases())
    machine.trouble = "busy"
    assert call() == ExitCode.UNDECIDED
    machine.faults = ("crash",)
    assert call() == ExitCode.FINDING


def test_the_output_names_what_failed(call: Any, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as one document."""
    machine.faults = ("it crashed",)
    call("--only", "head 65535", "--mapping", "2")
    assert "failed: head 65535, mapping 2\n    it crashed" in capsys.readouterr().out
    call("--only", "head 65535", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["summary"] == {"passed": 0, "failed": 2, "undecided": 0} and found["cases"][0]["faults"]


def test_a_drawn_request_is_stored_and_put_again(
    call: Any, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The smallest that fails; any reaction to a stored one is right."""
    assert call("--fuzz", "10") == ExitCode.DONE
    machine.faults = ("it crashed",)
    assert call("--fuzz", "10") == ExitCode.FINDING
    assert call("--fuzz", "10", "--json") == ExitCode.FINDING
    assert "it crashed" in capsys.readouterr().out
    call("--replay", str(tmp_path / "kept-1" / "drawn" / "request.json"))
    assert machine.cases[0].allowed == frozenset(Outcome)


def test_both_binaries_get_the_same_requests(
    call: Any, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the candidate mends or breaks is said, and the exit code is the candidate's."""
    other = ("--candidate", str(tmp_path / "other"))
    assert call(*other, "--only", "head 65535") == ExitCode.DONE
    assert capsys.readouterr().out.endswith("The candidate reacts to every request as the baseline does.\n")
    machine.faults, machine.sound = ("it crashed",), ("other",)
    assert call(*other, "--only", "head 65535") == ExitCode.DONE
    assert "The candidate mends 'head 65535': it crashed (mapping none, 2)" in capsys.readouterr().out
    machine.sound = ("qemu",)
    assert call(*other, "--only", "head 65535", "--json") == ExitCode.FINDING
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"baseline", "candidate", "changes"} and found["changes"][0]["better"] is False


def test_what_was_drawn_for_one_binary_is_put_before_the_other(
    call: Any, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a request that breaks only one of them is told."""
    other = ("--candidate", str(tmp_path / "other"))
    machine.faults, machine.sound = ("it crashed",), ("qemu",)
    assert call(*other, "--fuzz", "5") == ExitCode.FINDING
    assert [case.name for case in machine.cases] == ["request drawn on the candidate"]
    assert "breaks 'request drawn on the candidate': it crashed" in capsys.readouterr().out


def test_what_cannot_be_is_refused(call: Any, tmp_path: Path) -> None:
    """No case, no mapping, no text."""
    with pytest.raises(InputError, match="no case is called 'nothing'"):
        call("--only", "nothing")
    with pytest.raises(InputError, match="does not take --mapping 4"):
        call("--mapping", "2", "--mapping", "4")
    contradictions = (("--fuzz", "2", "--replay", "x.json"), ("--fuzz", "2", "--only", "*"), ("--seed", "2"))
    for words in contradictions:
        with pytest.raises(InputError, match="--fuzz draws requests"):
            call(*words)
    file = tmp_path / "stored.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        call("--replay", str(file))


def test_a_replayed_file_is_neither_waited_for_nor_read_without_end(call: Any, tmp_path: Path) -> None:
    """A device, and a file larger than any that the lab writes, are refused."""
    with (tmp_path / "large.json").open("wb") as sink:
        sink.truncate(2 << 20)
    for file, why in (("/dev/zero", "regular"), (tmp_path / "large.json", "larger")):
        with pytest.raises(InputError, match=why):
            call("--replay", str(file))
