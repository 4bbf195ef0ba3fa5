import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lab.cli.cost as verb
from lab.errors import ExitCode, HostError, InputError, MissingPackagesError
from lab.experiment.arms import ArmsRequest
from lab.host.requirements import VALGRIND
from lab.virtio.cost.matrix import Subject
from lab.virtio.cost.measure import CaseCost
from lab.virtio.cost.operation import Operation
from tests.unit.virtio.cost.counted import case_of

COSTS = {"same": 1000.0, "again": 1004.0, "slow": 1100.0, "unsure": 1012.0, "quick": 900.0}


class Lab:
    """Binaries that cost what their names say; ``broken`` never answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.subjects: Sequence[Subject] = ()
        self.operations: tuple[str, ...] = ()
        self.requests: list[ArmsRequest] = []
        for name in (*COSTS, "broken"):
            (folder / name).write_text("#!/bin/sh\necho QEMU emulator version 10.0.13\n")
            (folder / name).chmod(0o700)

    def count_costs(
        self, subjects: Sequence[Subject], operations: Sequence[Operation], *, progress: object
    ) -> dict[str, tuple[CaseCost, ...]]:
        """Return what the binaries' names say."""
        assert progress is not None
        self.subjects, self.operations = subjects, tuple(operation.name for operation in operations)
        return {
            subject.arm: tuple(
                self._case(subject.qemu.name, operation.name, mapping)
                for mapping in subject.mappings
                for operation in operations
            )
            for subject in subjects
        }

    def _case(self, qemu: str, operation: str, mapping: str) -> CaseCost:
        if qemu == "broken":
            return CaseCost(operation, mapping, trouble="no answer")
        return case_of(operation, mapping, functions={"virtqueue_pop": COSTS[qemu]})

    def arms(self, request: ArmsRequest, *, progress: object) -> SimpleNamespace:
        """Return the builds of a request."""
        assert progress is not None
        self.requests.append(request)
        builds = (SimpleNamespace(qemu=self.folder / name) for name in ("same", "slow"))
        return SimpleNamespace(**dict(zip(("baseline", "candidate"), builds, strict=True)))

    def call(self, *words: str) -> int:
        """Call the verb in the folder of the binaries."""
        argv = [str(self.folder / word) if (self.folder / word).exists() else word for word in words]
        code = verb.cost.main(args=[*argv, "--quiet"], prog_name="lab", standalone_mode=False)
        assert isinstance(code, int)
        return code


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab without QEMU and without valgrind."""
    fake = Lab(tmp_path)
    monkeypatch.setattr(verb, "count_costs", fake.count_costs)
    monkeypatch.setattr("lab.cli.binaries.mappings_of", lambda _qemu: ("none", "iothread", "1", "2", "4"))
    monkeypatch.setattr(verb, "require_packages", lambda wanted: None)
    monkeypatch.setattr("lab.cli.binaries.arms_from_request", fake.arms)
    monkeypatch.setattr("lab.cli.binaries.base_from_request", fake.arms)
    return fake


@pytest.mark.parametrize(
    ("candidate", "code"),
    [
        ("again", ExitCode.DONE),
        ("slow", ExitCode.FINDING),
        ("unsure", ExitCode.UNDECIDED),
        ("quick", ExitCode.DONE),
        ("broken", ExitCode.UNDECIDED),
    ],
)
def test_the_exit_code_is_that_of_the_gravest_change(lab: Lab, candidate: str, code: ExitCode) -> None:
    """1 where a cost grew, 4 where a case could not be decided, 0 where all are alike or cheaper."""
    assert lab.call("--qemu", "same", "--candidate", candidate) == code


def test_the_smallest_effect_can_be_chosen(lab: Lab) -> None:
    """In percent; a fifth of a percent is not seen at 20 %."""
    assert lab.call("--qemu", "same", "--candidate", "slow", "--smallest-effect", "20") == ExitCode.DONE


def test_one_binary_has_a_table(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all commands with the usual mappings, and nothing is compared."""
    assert lab.call("--qemu", "same") == ExitCode.DONE
    out = capsys.readouterr().out
    assert out.startswith("Instructions per command") and "virtqueue_pop" in out and "candidate" not in out
    assert lab.subjects[0].mappings == ("none", "iothread", "1", "2") and len(lab.operations) == 12
    assert lab.call("--qemu", "broken") == ExitCode.UNDECIDED


def test_commands_and_mappings_can_be_chosen(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON document has just those, with the keys of the contract."""
    words = ("--command", "test unit ready", "--command", "READ", "--mapping", "4", "--json")
    assert lab.call("--qemu", "same", *words) == ExitCode.DONE
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"binary", "counter", "cases"}
    assert [(case["command"], case["mapping"]) for case in found["cases"]] == [("READ", "4"), ("TEST UNIT READY", "4")]


def test_two_binaries_are_one_document(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Both, and the changes."""
    lab.call("--qemu", "same", "--candidate", "slow", "--mapping", "none", "--command", "READ", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"baseline", "candidate", "changes"}
    assert found["changes"][0]["change"] == "dearer"


def test_a_series_is_built(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Both arms; without one the base alone."""
    assert lab.call("--series", "my.mbox") == ExitCode.FINDING
    assert "virtqueue_pop" in capsys.readouterr().out
    assert lab.requests[0].series == Path("my.mbox")
    assert lab.call() == ExitCode.DONE
    assert [subject.arm for subject in lab.subjects] == ["baseline"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--candidate", "same"), "--candidate needs a baseline"),
        (("--qemu", "same", "--series", "my.mbox"), "--qemu names a binary"),
        (("--qemu", "missing"), "cannot be executed"),
        (("--qemu", "same", "--mapping", "all-queues"), "does not take --mapping all-queues"),
        (("--qemu", "same", "--chart", "x.jpg"), "does not end in .png"),
    ],
)
def test_what_contradicts_itself_is_refused(lab: Lab, words: tuple[str, ...], message: str) -> None:
    """Before anything is counted."""
    with pytest.raises(InputError, match=message):
        lab.call(*words)
    assert not lab.subjects


@pytest.mark.parametrize("candidate", [(), ("--candidate", "slow")])
def test_functions_are_drawn(lab: Lab, tmp_path: Path, candidate: tuple[str, ...]) -> None:
    """For one binary or two; a folder that is not there is the host's fault."""
    lab.call("--qemu", "same", *candidate, "--chart", str(tmp_path / "x.png"))
    assert "virtqueue_pop" in (tmp_path / "x.svg").read_text(encoding="utf-8")
    with pytest.raises(HostError, match="cannot be written"):
        lab.call("--qemu", "same", "--chart", str(tmp_path / "no" / "x.png"))


def test_without_valgrind_nothing_is_started(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is exit code 3 and says how to get it."""

    def require(wanted: Any) -> None:
        assert wanted == (VALGRIND,)
        raise MissingPackagesError("this host lacks Valgrind", remedy="apt-get install valgrind")

    monkeypatch.setattr(verb, "require_packages", require)
    with pytest.raises(MissingPackagesError) as caught:
        lab.call("--qemu", "same")
    assert caught.value.exit_code is ExitCode.HOST and not lab.subjects
