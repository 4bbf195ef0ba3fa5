"""``lab bisect`` from mails to a name, with binaries that are texts and runs that nobody made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.__main__ import run
from lab.analysis.results import read_results
from lab.build import builder
from lab.build.patches import PatchBuilds
from lab.cli import bisect as verb
from lab.errors import ExitCode, HostError
from lab.experiment.conduct import Conducted, Request
from lab.host import exclusive
from lab.record import Arm, Outcome, Point, ScheduledRun
from lab.series.repository import run_git
from lab.virtio.tmf.case import TagState, TmfCase
from lab.virtio.verdict import Verdict as TmfVerdict
from tests.unit.analysis.campaign import Campaign, write_campaign
from tests.unit.build.fake_tree import FILES, SCSI, TOOLCHAIN
from tests.unit.experiment.made_up import loaded_job
from tests.unit.series.letters import box_file, diff, make_tree, patch_letter

PATCHES = (("two", "2"), ("2", "3"), ("3", "SLOW"), ("SLOW", "SLOW too"))


class Lab:
    """A lab on which a binary with SLOW in it is slow.

    :param noise: of a run.
    :param crashes: SLOW crashes, too.
    :param conducted: names of the folders, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.noise = 0.005
        self.slow = 0.8
        self.crashes = False
        self.fails_at = ""
        self.conducted: list[str] = []
        repository, _ = make_tree(folder / "r.git", FILES)
        run_git("symbolic-ref", "HEAD", "refs/heads/topic", env={"GIT_DIR": str(repository.git_dir)})
        self.job = loaded_job(folder).path
        self.results = folder / "results"
        self.series(*PATCHES)

    def series(self, *patches: tuple[str, str]) -> None:
        """Write the mails of a series, each a change of the second line."""
        total = len(patches)
        letters = [
            patch_letter(f"[PATCH {n}/{total}] p{n}", diff_text=diff(SCSI, *change), id_=f"m{n}@example.org")
            for n, change in enumerate(patches, start=1)
        ]
        self.box = box_file(self.folder, *letters)

    def bisect(self, *words: str) -> int:
        """Call the verb."""
        series = ("--series", str(self.box)) if "--range" not in words else ()
        return run(
            [
                "bisect",
                str(self.job),
                "--tree",
                str(self.folder / "r.git"),
                *series,
                *words,
                "--results",
                str(self.results),
            ]
        )

    def conduct(self, request: Request, progress: object) -> Conducted:
        """Stand in for an experiment: an invented campaign, the same whenever it is asked for."""
        assert request.results is not None and request.built is not None and request.blocks is not None
        if request.results.name == self.fails_at:
            raise HostError("the host is in use")
        self.conducted.append(request.results.name)
        slow = ["SLOW" in build.qemu.read_text() for build in (request.built.baseline, request.built.candidate)]
        effect = self.slow if slow == [False, True] else 1.0

        def fails(one: ScheduledRun) -> Outcome | None:
            crashes = self.crashes and effect < 1 and one.cell.arm is Arm.CANDIDATE
            return Outcome.QEMU_CRASHED if crashes else None

        levels = sorted({dict(point.levels)["iothreads"] for point in request.points}) or [1, 2]
        at_one = Point.from_levels({"iothreads": 1})
        campaign = Campaign(
            factors={"iothreads": levels},
            blocks=request.blocks,
            noise=self.noise,
            effect=lambda point: effect if point == at_one else 1.0,
            seed=sum(map(ord, request.results.name)),
            fails=fails,
        )
        if not request.results.exists():
            write_campaign(request.results, campaign)
        return Conducted(request.results, (), "")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab whose third patch of four is slow with one IOThread."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builder, "probe_toolchain", lambda: TOOLCHAIN)
    monkeypatch.setattr(exclusive, "LOCK_NAME", f"\0test.{tmp_path}"[:100])
    fake = Lab(tmp_path)
    monkeypatch.setattr(verb, "conduct", fake.conduct)
    return fake


def test_the_patch_that_costs_is_named(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """With its author and message-id, each step with its numbers, and how to go on. Exit code 1."""
    assert lab.bisect() == ExitCode.FINDING
    out = capsys.readouterr().out
    assert lab.conducted == ["whole", "first-2", "first-3", "confirm-2-3"]
    assert "patch 3 of 4 causes it: p3" in out
    assert "message-id  m3@example.org" in out and "A Developer" in out
    assert "step 2, patches up to 2 against the base: it is not there" in out
    assert "patch 3 against patch 2, for confirmation: it is there" in out
    assert out.count("REGRESSED") >= 3 and "again (finished steps are kept): lab" in out


def test_only_points_that_regressed_are_measured_further(lab: Lab) -> None:
    """Two IOThreads are as fast as before."""
    lab.bisect()
    points = {run.cell.point.id for run in read_results(lab.results / "first-2").schedule}
    assert points == {"iothreads=1"}
    assert len({run.cell.point.id for run in read_results(lab.results / "whole").schedule}) == 2


def test_scripts_get_the_culprit_and_every_step(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of each step as lab compare gives them."""
    assert lab.bisect("--json") == ExitCode.FINDING
    value = json.loads(capsys.readouterr().out)
    assert value["outcome"] == "found"
    assert value["culprit"]["index"] == 3 and value["culprit"]["message_id"] == "m3@example.org"
    assert [(step["kind"], step["low"], step["high"], step["answer"]) for step in value["steps"]] == [
        ("whole", 0, 4, "shown"),
        ("search", 0, 2, "absent"),
        ("search", 0, 3, "shown"),
        ("confirm", 2, 3, "shown"),
    ]
    assert value["steps"][0]["comparison"]["points"][0]["verdict"] == "REGRESSED"


def test_a_killed_bisection_goes_on(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The steps that are done are read, not measured; the answer is the same."""
    lab.fails_at = "first-3"
    assert lab.bisect() == ExitCode.HOST
    before = {path: path.stat().st_mtime_ns for path in lab.results.rglob("runs.jsonl")}
    assert len(before) == 2
    lab.fails_at = ""
    assert lab.bisect("--json") == ExitCode.FINDING
    assert json.loads(capsys.readouterr().out)["culprit"]["index"] == 3
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


def test_nothing_to_find_is_exit_code_0(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """And one experiment."""
    lab.slow, lab.noise = 1.0, 0.001
    assert lab.bisect() == ExitCode.DONE
    assert lab.conducted == ["whole"] and "there is nothing to find" in capsys.readouterr().out


def test_what_cannot_be_decided_is_exit_code_4(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """After both stages, with a word on what to do."""
    lab.slow, lab.noise = 1.0, 0.3
    assert lab.bisect("--json") == ExitCode.UNDECIDED
    value = json.loads(capsys.readouterr().out)
    assert (value["outcome"], value["culprit"], len(value["left"])) == ("undecided", None, 4)
    assert lab.conducted == ["whole", "whole-more"]
    assert lab.bisect() == ExitCode.UNDECIDED
    assert "take a longer profile" in capsys.readouterr().out


def test_a_patch_that_does_not_build_is_named_beside_the_culprit(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """As git bisect skip would; the culprit is found around it."""
    lab.series(("two", "SLOW"), ("SLOW", "#error"), ("#error", "SLOW again"), ("SLOW again", "SLOW too"))
    assert lab.bisect() == ExitCode.FINDING
    out = capsys.readouterr().out
    assert "patch 1 of 4 causes it" in out and "patch 2 could not be tested: p2" in out


def test_a_culprit_hidden_by_one_that_does_not_build_is_one_of_both(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not decided, and the two are named."""
    lab.series(("two", "2"), ("2", "#error"), ("#error", "SLOW"), ("SLOW", "SLOW too"))
    assert lab.bisect() == ExitCode.UNDECIDED
    out = capsys.readouterr().out
    assert "it is one of these patches; those between cannot be tested:\n    2  p2\n    3  p3\n" in out


def test_a_patch_that_crashes_is_found_by_its_crashes(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """There are no numbers to compare then."""
    lab.crashes = True
    assert lab.bisect() == ExitCode.FINDING
    out = capsys.readouterr().out
    assert "patch 3 of 4 causes it" in out and "finding: the candidate's QEMU crashed" in out


def test_a_search_that_is_not_confirmed_names_nobody(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps do not fit together; that is said, and nobody is blamed."""

    def conduct(request: Request, progress: object) -> Conducted:
        assert request.results is not None
        lab.slow = 1.0 if request.results.name.startswith("confirm") else 0.8
        return lab.conduct(request, progress)

    monkeypatch.setattr(verb, "conduct", conduct)
    assert lab.bisect() == ExitCode.UNDECIDED
    out = capsys.readouterr().out
    assert "measured on their own they do not show it:\n    3  p3" in out and "causes it" not in out


def test_without_a_name_the_folder_is_that_of_the_question(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same call finds it again."""
    monkeypatch.setattr(verb, "project_dir", lambda: tmp_path / "project")
    words: list[Any] = [
        "bisect",
        str(lab.job),
        "--tree",
        str(lab.folder / "r.git"),
        "--series",
        str(lab.box),
        "--quiet",
    ]
    assert run(words) == run(words) == ExitCode.FINDING
    (folder,) = (tmp_path / "project" / "results").iterdir()
    assert folder.name.startswith("bisect-job-") and (folder / "bisect.json").is_file()


@pytest.mark.parametrize(
    "words",
    [["--base", "no-such-commit"], ["--profile", "no-such-profile"], ["--range", "a..b", "--revision", "2"]],
)
def test_what_is_wrong_is_exit_code_2(lab: Lab, words: list[str]) -> None:
    """Nothing is measured."""
    assert lab.bisect(*words) == ExitCode.INPUT
    assert lab.conducted == []


def test_a_base_needs_its_tree(lab: Lab) -> None:
    """The distribution's source has no commits to choose from."""
    assert run(["bisect", str(lab.job), "--series", str(lab.box), "--base", "v10.0.0"]) == ExitCode.INPUT


def test_a_busy_host_builds_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """But what was measured before is shown all the same."""
    with exclusive.host_lock("run an experiment"), monkeypatch.context() as patched:
        patched.setattr(PatchBuilds, "at", lambda *_: pytest.fail("built"))
        assert lab.bisect() == ExitCode.HOST
    assert lab.bisect() == ExitCode.FINDING
    with exclusive.host_lock("run an experiment"):
        assert lab.bisect() == ExitCode.FINDING


@pytest.mark.parametrize(
    "words", [[], ["job.toml", "--tmf", "*"], ["--tmf", "*", "--profile", "quick"], ["--tmf", "*", "--wait"]]
)
def test_either_a_job_or_the_matrix_is_asked(words: list[str]) -> None:
    """And a profile belongs to a job."""
    assert run(["bisect", *words, "--series", "x.mbox"]) == ExitCode.INPUT


def test_a_pattern_that_fits_no_case_is_refused_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A build takes minutes, and a typing error none."""
    monkeypatch.setattr(verb, "_builds", lambda *_: pytest.fail("built"))
    assert run(["bisect", "--tmf", "*/ABORT-TASK/*", "--series", "x.mbox"]) == ExitCode.INPUT
    assert "no case of lab tmf fits '*/ABORT-TASK/*'" in capsys.readouterr().err


def test_the_patch_that_breaks_an_answer_is_named(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The matrix instead of a job: cases of the pattern only, on mappings that a binary takes."""
    asked: set[str] = set()

    def run_matrix(qemu: Path, cases: Sequence[TmfCase], **_: object) -> list[Any]:
        asked.update(case.id for case in cases)
        broken = "SLOW" in qemu.read_text()
        verdicts = [
            TmfVerdict.FAILED if broken and case.tag_state is TagState.FINISHED else TmfVerdict.PASSED for case in cases
        ]
        return [SimpleNamespace(judgement=SimpleNamespace(verdict=verdict)) for verdict in verdicts]

    monkeypatch.setattr(verb, "run_matrix", run_matrix)
    monkeypatch.setattr(verb, "mappings_of", lambda qemu: ("none", "2"))
    words = ["bisect", "--tmf", "*/ABORT_TASK/*", "--tree", str(lab.folder / "r.git"), "--series", str(lab.box)]
    assert run([*words, "--results", str(lab.results)]) == ExitCode.FINDING
    out = capsys.readouterr().out
    assert "patch 3 of 4 causes it: p3" in out and "2/ABORT_TASK/finished/" in out
    assert all("/ABORT_TASK/" in name for name in asked)
    assert (lab.results / "search-0-2.json").is_file() and not lab.conducted
