"""``lab run``, ``bench``, ``plan`` and ``command-line``, on results that were measured before."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.__main__ import run
from lab.analysis.compare import compare_results
from lab.analysis.results import read_results
from lab.cli import run as verb
from lab.cli.cells import DEFAULT_JOB
from lab.errors import ExitCode, NotComparableError
from lab.experiment import one_cell
from lab.experiment.arms import ArmsRequest
from lab.experiment.conduct import Conducted, Request
from lab.experiment.job_host import Pin
from lab.host.accelerator_choice import AcceleratorChoice
from lab.record import Arm, Outcome
from lab.report.write import ReportPaths
from lab.settings import project_dir
from lab.testing import RecordingProgress
from tests.unit.analysis.campaign import Campaign, write_campaign
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, IMAGE, TCG_ONLY, WITH_KVM, arms, loaded_job
from tests.unit.experiment.test_job import GOOD

SLOWER = Campaign(effect=lambda point: 0.5)
FASTER = Campaign(effect=lambda point: 2.0)
NOISY = Campaign(noise=0.05)


class Lab:
    """A lab whose experiments are done at once.

    :param campaign: what was measured.
    :param requests: what was asked.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = str(folder / "job.toml")
        self.campaign = SLOWER
        self.known_verdict = ""
        self.choice: AcceleratorChoice = TCG_ONLY
        self.error: Exception | None = None
        self.requests: list[Request] = []
        self.arms_requests: list[ArmsRequest] = []
        self.installed: list[tuple[str, ...]] = []
        self.probed = 0
        self.progress = RecordingProgress()
        self.quiet: list[bool] = []

    def conduct(self, request: Request, progress: object) -> Conducted:
        """Stand in for the experiment."""
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        folder = write_campaign(self.folder / "results", self.campaign)
        return Conducted(folder, self.campaign.records(), self.known_verdict)

    def write_report(self, folder: Path) -> ReportPaths:
        """Judge what was measured, but draw nothing."""
        report = folder / "report"
        return ReportPaths(
            folder=report,
            charts=(report / "iops.png",),
            page=report / "report.html",
            markdown=report / "report.md",
            text=report / "report.txt",
            junit=report / "junit.xml",
            summary=report / "summary.md",
            comparison=compare_results(read_results(folder)),
        )

    def make_arms(self, request: ArmsRequest, *, progress: object) -> object:
        """Stand in for the builds."""
        self.arms_requests.append(request)
        return arms()

    def probe(self, *words: object, progress: object) -> AcceleratorChoice:
        """Stand in for the accelerator probe."""
        self.probed += 1
        return self.choice

    def progress_for(self, *, quiet: bool = False) -> RecordingProgress:
        """Record what is said."""
        self.quiet.append(quiet)
        return self.progress


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab with the good job."""
    loaded_job(tmp_path, GOOD)
    fake = Lab(tmp_path)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(verb, "conduct", fake.conduct)
    monkeypatch.setattr(verb, "write_report", fake.write_report)
    monkeypatch.setattr(one_cell, "arms_from_request", fake.make_arms)
    monkeypatch.setattr(one_cell, "base_from_request", fake.make_arms)
    monkeypatch.setattr(one_cell, "build_image", lambda recipe, *, progress: IMAGE)
    monkeypatch.setattr(one_cell, "probe_accelerator", fake.probe)
    monkeypatch.setattr(verb, "progress_for", fake.progress_for)
    monkeypatch.setattr(verb, "missing_packages", lambda: ("bison",))
    monkeypatch.setattr(verb, "install_packages", lambda missing, progress: fake.installed.append(missing))
    return fake


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the one document that was printed."""
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


# lab run


@pytest.mark.parametrize(
    ("campaign", "code", "verdict"),
    [
        (SLOWER, ExitCode.FINDING, "REGRESSED"),
        (FASTER, ExitCode.DONE, "IMPROVED"),
        (NOISY, ExitCode.UNDECIDED, "INCONCLUSIVE"),
    ],
)
def test_a_series_gets_the_verdict_s_exit_code(
    lab: Lab, campaign: Campaign, code: ExitCode, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table goes to stdout, and nothing else is said of the exit code."""
    lab.campaign = campaign
    assert run(["run", lab.job, "--series", "my.mbox"]) == code
    out = capsys.readouterr().out
    assert verdict in out and "Demonstration" not in out
    assert "iops.png" in out
    assert lab.progress.titles == ["writing the report"]


@pytest.mark.parametrize(
    ("campaign", "known", "code", "sentence"),
    [
        (SLOWER, "REGRESSED", ExitCode.DONE, "the series must get REGRESSED, and it did. Exit code 0."),
        (FASTER, "IMPROVED", ExitCode.DONE, "the series must get IMPROVED, and it did. Exit code 0."),
        (FASTER, "REGRESSED", ExitCode.FINDING, "the series must get REGRESSED but got IMPROVED. Exit code 1."),
        (SLOWER, "NO_CHANGE_DETECTED", ExitCode.FINDING, "must get NO_CHANGE_DETECTED but got REGRESSED. Exit code 1."),
        (NOISY, "REGRESSED", ExitCode.UNDECIDED, "must get REGRESSED but got INCONCLUSIVE. Exit code 4."),
    ],
)
def test_a_demonstration_is_about_the_lab(
    lab: Lab, campaign: Campaign, known: str, code: ExitCode, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """To find what was planted is success; to miss it, or to be unable to tell, is not."""
    lab.campaign, lab.known_verdict = campaign, known
    assert run(["run", lab.job]) == code
    assert sentence in capsys.readouterr().out


def test_a_demonstration_that_crashes_is_a_finding(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """What was planted is slowness; a crash beside it is not what the lab was asked to find."""
    crashed = Campaign(
        effect=lambda point: 0.5,
        blocks=8,
        fails=lambda run: Outcome.QEMU_CRASHED if run.block == 1 and run.cell.arm is Arm.CANDIDATE else None,
    )
    lab.campaign, lab.known_verdict = crashed, "REGRESSED"
    assert run(["run", lab.job]) == ExitCode.FINDING
    assert "got REGRESSED, as it must, and failed besides. Exit code 1." in capsys.readouterr().out


@pytest.mark.parametrize("known", ["", "REGRESSED"])
def test_run_as_json(lab: Lab, known: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One document says where everything is, and nothing stands beside it; the exit code is the same."""
    lab.known_verdict = known
    code = ExitCode.DONE if known else ExitCode.FINDING
    assert run(["run", lab.job, "--json"]) == code
    results = lab.folder / "results"
    assert as_json(capsys) == {
        "results": str(results),
        "verdict": "REGRESSED",
        "report": {"folder": str(results / "report"), "charts": [str(results / "report" / "iops.png")]},
    }


def test_every_option_reaches_the_experiment(lab: Lab) -> None:
    """As paths, numbers and names; what was typed is kept for the report."""
    arms_options = ["--tree", "qemu", "--base", "v10.0.0", "--series", "my.mbox", "--revision", "3"]
    options = ["--results", "r", "--profile", "full", "--accelerator", "tcg", "--seed", "7", "--quiet"]
    options += ["--pin", "strict", "--tune", "--no-proof"]
    run(["run", lab.job, *arms_options, *options])
    assert lab.requests == [
        Request(
            job=Path(lab.job),
            arms=ArmsRequest(Path("qemu"), "v10.0.0", Path("my.mbox"), None, 3),
            results=Path("r"),
            profile="full",
            accelerator="tcg",
            seed=7,
            command=lab.requests[0].command,
            pin=Pin.STRICT,
            tune=True,
        )
    ]
    assert lab.requests[0].command.startswith("lab")
    assert set(lab.quiet) == {True}


def test_without_options_the_lab_chooses(lab: Lab) -> None:
    """Nothing is insisted on."""
    run(["run", lab.job, "--range", "a..b"])
    command = lab.requests[0].command
    assert lab.requests == [Request(Path(lab.job), ArmsRequest(range="a..b"), command=command, prove=True)]
    assert set(lab.quiet) == {False}


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--accelerator", "xen"], ["--revision", "two"], ["--pin", "0"]])
def test_an_option_that_is_none(lab: Lab, option: list[str]) -> None:
    """Usage: exit code 2, and nothing was begun."""
    assert run(["run", lab.job, *option]) == ExitCode.INPUT
    assert lab.requests == []


def test_an_experiment_that_cannot_be_compared(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The error's exit code, its sentence on stderr, nothing on stdout."""
    lab.error = NotComparableError("the two builds cannot be compared", remedy="build both alike")
    assert run(["run", lab.job, "--json"]) == ExitCode.UNDECIDED
    captured = capsys.readouterr()
    assert captured.out == "" and "build both alike" in captured.err


def test_ctrl_c_is_no_verdict(lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What was finished is kept."""

    def interrupted(request: Request, progress: object) -> Conducted:
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "conduct", interrupted)
    assert run(["run", lab.job]) == ExitCode.INTERRUPTED
    assert "call again to go on" in capsys.readouterr().err


# lab bench


def test_bench_installs_what_is_missing_first(lab: Lab) -> None:
    """Then it runs the job that the project was made for."""
    assert run(["bench", "--quiet"]) == ExitCode.FINDING
    assert lab.installed == [("bison",)]
    assert lab.requests[0].job == project_dir() / DEFAULT_JOB
    assert lab.requests[0].job.is_file()


def test_bench_runs_another_job_and_installs_nothing_without_need(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has everything is left alone."""
    monkeypatch.setattr(verb, "missing_packages", tuple)
    run(["bench", "--job", lab.job])
    assert lab.installed == [] and lab.requests[0].job == Path(lab.job)


# lab plan


def test_plan_as_json(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Every cell once in each block; each run costs its time and the boot."""
    assert run(["plan", lab.job, "--json", "--seed", "5"]) == ExitCode.DONE
    value = as_json(capsys)
    assert value["profile"] == "quick" and len(value["cells"]) == 8
    assert len(value["schedule"]) == 48
    for block in range(1, 7):
        order = [line for line in value["schedule"] if line["block"] == block]
        assert [line["position"] for line in order] == list(range(1, 9))
        assert {line["cell"] for line in order} == set(value["cells"])
    assert value["expected_seconds"] == round(48 * 9.5)
    assert lab.requests == [] and lab.arms_requests == []


def test_plan_draws_what_run_draws(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Another seed, another order; the same seed, the same."""
    seen = []
    for seed in ("5", "5", "6"):
        run(["plan", lab.job, "--json", "--seed", seed])
        seen.append(as_json(capsys)["schedule"])
    assert seen[0] == seen[1] != seen[2]


def test_plan_for_people(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """What it takes, and the order of the first block."""
    assert run(["plan", lab.job]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["t", "profile quick: 6 blocks of 8 cells, 48 runs"]
    assert lines[2].startswith("expected: ") and lines[2].endswith("after the builds")
    assert len([line for line in lines if re.match(r"  \d+\. ", line)]) == 8
    assert lines[lines.index("CPUs of this host:") + 1].startswith("  NUMA node ")


def test_plan_of_a_profile_that_is_not_there(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The remedy names those that are."""
    assert run(["plan", lab.job, "--profile", "quik"]) == ExitCode.INPUT
    assert "did you mean 'quick'?" in capsys.readouterr().err


# lab command-line


def command_line(lab: Lab, capsys: pytest.CaptureFixture[str], *options: str) -> Mapping[str, Any]:
    """Return what ``lab command-line --json`` prints."""
    assert run(["command-line", lab.job, "--series", "my.mbox", "--json", *options]) == ExitCode.DONE
    value: Mapping[str, Any] = as_json(capsys)
    return value


@pytest.mark.parametrize(
    ("cell", "build", "iothreads"),
    [
        ("baseline.iodepth=1.iothreads=1", BASELINE, 1),
        ("candidate.iodepth=64.iothreads=2", CANDIDATE, 2),
    ],
)
def test_the_command_line_of_a_cell(
    lab: Lab, cell: str, build: Any, iothreads: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The arm's binary with the cell's machine, and how to get into the guest."""
    value = command_line(lab, capsys, "--cell", cell)
    assert value.keys() == {"cell", "argv", "ssh"} and value["cell"] == cell
    assert value["argv"][0] == str(build.qemu)
    assert sum("iothread" in word and "qom-type" in word for word in value["argv"]) == iothreads
    key = Path(value["ssh"][value["ssh"].index("-i") + 1])
    assert key.is_file() and key.is_relative_to(lab.folder / "cache")
    assert value["ssh"][-1] == "root@127.0.0.1"


def test_without_a_name_the_first_cell_is_printed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """With the accelerator that works, and a key that stays the same from call to call."""
    one, other = command_line(lab, capsys), command_line(lab, capsys)
    assert one == other and one["cell"] == "baseline.iodepth=1.iothreads=1"
    assert "tcg" in " ".join(one["argv"])
    assert lab.arms_requests == [ArmsRequest(series=Path("my.mbox"))] * 2


def test_an_accelerator_that_is_insisted_on_is_not_tried(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The line may be for another host."""
    lab.choice = WITH_KVM
    assert "kvm" not in " ".join(command_line(lab, capsys, "--accelerator", "tcg")["argv"])
    assert lab.probed == 0


def test_the_command_line_for_people(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout holds nothing but what is pasted; the way into the guest is said beside it."""
    assert run(["command-line", lab.job, "--series", "my.mbox"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert out.startswith(str(BASELINE.qemu)) and len(out.splitlines()) == 1
    assert any(line.startswith("into the guest: ssh -p 2222 -i ") for line in lab.progress.lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cell", "nobody", "--series", "s"], "has no cell 'nobody'"),
        (["--cell", "candidate.iodepth=1.iothreads=1"], "no series is named"),
    ],
)
def test_a_mistake_is_found_before_anything_is_built(
    lab: Lab, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and no build."""
    assert run(["command-line", lab.job, *options]) == ExitCode.INPUT
    assert words in capsys.readouterr().err
    assert lab.arms_requests == []


def test_an_image_without_a_recipe_is_found_before_anything_is_built(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job may name any image."""
    loaded_job(lab.folder, 'image = "of-nobody"\n' + GOOD)
    assert run(["command-line", lab.job, "--series", "s"]) == ExitCode.INPUT
    assert "of-nobody" in capsys.readouterr().err
    assert lab.arms_requests == []
