import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

import lab.cli.tmf as verb
from lab.errors import ExitCode, HostError, InputError, LabError
from lab.experiment.arms import ArmsRequest
from lab.progress import Progress
from lab.virtio.tmf.case import TmfCase
from lab.virtio.tmf.matrix import TmfResult
from lab.virtio.tmf.observation import Observation
from tests.unit.report.conftest import quick_pictures
from tests.unit.virtio.tmf.made_up import hang, result_of

__all__ = ["quick_pictures"]  # a fixture that the tests of the report have, too

ONLY = "*/ABORT_TASK/in-flight/present/queue-1"


class Lab:
    """Binaries that behave as they are named: ``good``, ``hangs`` and ``busy``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.evidence: list[Path] = []
        for name in ("good", "hangs", "busy", "not-a-program"):
            (folder / name).write_text("#!/bin/sh\necho QEMU emulator version 10.0.13\n")
            (folder / name).chmod(0o600 if name == "not-a-program" else 0o700)

    def mappings_of(self, qemu: Path) -> tuple[str, ...]:
        """Return the mappings that they all take."""
        assert os.access(qemu, os.X_OK)
        return ("none", "2")

    def run_matrix(
        self, qemu: Path, cases: Sequence[TmfCase], *, evidence: Path, progress: Progress, title: str
    ) -> tuple[TmfResult, ...]:
        """Return what the binary's name says."""
        assert progress is not None and title
        self.evidence.append(evidence)
        return tuple(result_of(case, self._seen(qemu.name, case)) for case in cases)

    def _seen(self, name: str, case: TmfCase) -> Observation | None:
        if name == "good":
            return None
        return hang(case) if name == "hangs" else Observation(trouble="busy")

    def call(self, *words: str) -> int:
        """Call the verb in the folder of the binaries."""
        argv = [str(self.folder / word) if (self.folder / word).exists() else word for word in words]
        code = verb.tmf.main(args=[*argv, "--quiet"], prog_name="lab", standalone_mode=False)
        assert isinstance(code, int)
        return code


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab without QEMU."""
    fake = Lab(tmp_path)
    monkeypatch.setattr(verb, "mappings_of", fake.mappings_of)
    monkeypatch.setattr("lab.cli.binaries.mappings_of", fake.mappings_of)
    monkeypatch.setattr(verb, "run_matrix", fake.run_matrix)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return fake


@pytest.mark.parametrize(
    ("binary", "code"),
    [("good", ExitCode.DONE), ("hangs", ExitCode.FINDING), ("busy", ExitCode.UNDECIDED)],
)
def test_the_exit_code_is_the_verdict(lab: Lab, binary: str, code: ExitCode) -> None:
    """0 all passed, 1 a case failed, 4 undecided ones only."""
    assert lab.call("--qemu", binary, "--only", ONLY) == code


def test_the_table_goes_to_stdout(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, and without a baseline nothing is compared."""
    lab.call("--qemu", "good")
    out = capsys.readouterr().out
    assert out.startswith("Task management functions of ") and "172 cases: 172 passed" in out


def test_json_is_one_document(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """With the keys of the contract."""
    lab.call("--qemu", "hangs", "--json", "--mapping", "2", "--only", ONLY)
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"binary", "cases", "summary"}
    assert [case["mapping"] for case in found["cases"]] == ["2"] and found["summary"]["failed"] == 1


def test_a_candidate_is_compared_and_decides_the_exit_code(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The difference stands below both tables."""
    assert lab.call("--qemu", "hangs", "--candidate", "good", "--only", ONLY) == ExitCode.DONE
    assert "\nThe candidate makes ABORT_TASK answer (2 cases" in capsys.readouterr().out
    assert lab.call("--qemu", "good", "--candidate", "hangs", "--json", "--only", ONLY) == ExitCode.FINDING
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"baseline", "candidate", "changes"}
    assert found["changes"][0]["better"] is False


def test_evidence_goes_where_it_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    """One folder for each binary; otherwise into the cache."""
    lab.call("--qemu", "hangs", "--candidate", "good", "--evidence", str(tmp_path / "kept"), "--only", ONLY)
    lab.call("--qemu", "hangs", "--only", ONLY)
    assert lab.evidence[:2] == [tmp_path / "kept" / "baseline", tmp_path / "kept" / "candidate"]
    assert lab.evidence[2].is_relative_to(tmp_path / "cache" / "tmf")


def test_no_case_left(lab: Lab) -> None:
    """A pattern that fits nothing, or a mapping that the binary does not take, is said to be wrong."""
    with pytest.raises(InputError, match="no case is left"):
        lab.call("--qemu", "good", "--only", "nothing")
    with pytest.raises(InputError, match="--mapping 4"):
        lab.call("--qemu", "good", "--mapping", "4")


def test_something_that_is_no_program(lab: Lab) -> None:
    """It is refused before anything is started."""
    with pytest.raises(InputError, match="cannot be executed"):
        lab.call("--qemu", "not-a-program")
    with pytest.raises(InputError, match="cannot be executed"):
        lab.call("--qemu", "missing")


def test_the_arms_of_a_series_are_asked(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one command, and the exit code is that of the series."""

    def arms(request: ArmsRequest, *, progress: object) -> SimpleNamespace:
        assert progress is not None and request.series == Path("fix.mbox")
        builds = {"baseline": "hangs", "candidate": "good"}
        return SimpleNamespace(**{arm: SimpleNamespace(qemu=lab.folder / name) for arm, name in builds.items()})

    monkeypatch.setattr("lab.cli.binaries.arms_from_request", arms)
    assert lab.call("--series", "fix.mbox", "--only", ONLY) == ExitCode.DONE
    assert [folder.name for folder in lab.evidence] == ["baseline", "candidate"]


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize("candidate", [(), ("--candidate", "good")])
def test_the_matrix_is_written_as_a_page_and_as_a_picture(
    lab: Lab, tmp_path: Path, candidate: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside what is printed; the page has the call that performs a failed case again."""
    page, png = tmp_path / "m.html", tmp_path / "m.png"
    lab.call("--qemu", "hangs", *candidate, "--only", ONLY, "--html", str(page), "--chart", str(png))
    assert "ABORT_TASK" in capsys.readouterr().out
    assert f"lab tmf --qemu {lab.folder / 'hangs'} --only none/ABORT_TASK" in page.read_text(encoding="utf-8")
    assert png.exists() and png.with_suffix(".svg").exists()


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--html", "x.htm"), InputError, r"does not end in \.html"),
        (("--chart", "x.svg"), InputError, r"does not end in \.png"),
        (("--html", "nowhere/x.html"), HostError, "cannot be written: No such file"),
        (("--chart", "nowhere/x.png"), HostError, "cannot be written: No such file"),
        (("--evidence", "full"), InputError, "is not empty"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: type[LabError], message: str
) -> None:
    """Nobody waits for a matrix that is then thrown away."""
    monkeypatch.chdir(lab.folder)
    (lab.folder / "full").mkdir()
    (lab.folder / "full" / "theirs").touch()
    with pytest.raises(error, match=message):
        lab.call("--qemu", "good", *words)
    assert not lab.evidence
