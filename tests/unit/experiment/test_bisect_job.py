from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.build.arms import Arms
from lab.build.build import Build
from lab.build.patches import PatchBuild, PatchBuilds
from lab.errors import FindingError, InputError, NotComparableError
from lab.experiment.arms import ArmsRequest
from lab.experiment.bisect import Answer, Kind, Outcome, bisect
from lab.experiment.bisect_job import MORE, QUESTION, JobJudge, Reading, begin, name_of, question_of
from lab.experiment.conduct import Conducted, Request
from lab.progress import Progress, SilentProgress
from lab.record import Point
from tests.unit.analysis.campaign import Campaign, write_campaign
from tests.unit.experiment.made_up import BASELINE, arms, loaded_job

POINT = Point.from_levels({"iothreads": 1})
PATCHES = tuple(SimpleNamespace(index=n, subject=f"p{n}", patch_id=f"id{n}") for n in range(1, 5))


class Builds:
    """Builds of a series of four patches that nobody made.

    :param broken: positions that do not build.
    :param unlike: positions whose build cannot be compared.
    """

    def __init__(self, broken: Sequence[int] = (), unlike: Sequence[int] = ()) -> None:
        self.broken, self.unlike = broken, unlike
        self.series = SimpleNamespace(title="demo", revision=1, patches=PATCHES)
        self.source = SimpleNamespace(commit="0" * 40)

    def at(self, position: int) -> PatchBuild:
        """Return a build whose folder says which."""
        build: Build | None = replace(BASELINE, folder=Path(f"build-{position}"))
        if position in self.broken:
            return PatchBuild(position, f"p{position}", "c", None, "cc: error", "/failed/log")
        return PatchBuild(position, f"p{position}", "c", build)

    def arms(self, low: int, high: int) -> Arms:
        """Return two of them."""
        if high in self.unlike:
            raise NotComparableError("c flags: -O2 against -O0")
        baseline, candidate = self.at(low).build, self.at(high).build
        assert baseline is not None and candidate is not None
        return arms(baseline=baseline, candidate=candidate)


class Measurements:
    """What was measured, and what is read out of it.

    :param answers: by name of the folder, what its stages say together; others are absent.
    """

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.requests: list[Request] = []
        self.read: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self.interrupted_at = ""

    def run(self, request: Request, progress: Progress) -> Conducted:
        """Stand in for an experiment."""
        assert request.results is not None
        if request.results.name == self.interrupted_at:
            raise KeyboardInterrupt
        self.requests.append(request)
        return Conducted(request.results, (), "")

    def reading(self, kind: Kind, whole: Sequence[Path], step: Sequence[Path]) -> Reading:
        """Stand in for the analysis."""
        self.read.append((kind.value, tuple(p.name for p in whole), tuple(p.name for p in step)))
        answer = self.answers.get(step[-1].name.replace("-", "_"), Answer.ABSENT)
        return Reading(answer, "a sentence", "a table", {"verdict": "X"}, (POINT,))

    @property
    def measured(self) -> list[str]:
        """Return the names of the folders, in order."""
        return [request.results.name for request in self.requests if request.results is not None]


def judge(folder: Path, made: Measurements, builds: Builds | None = None) -> JobJudge:
    """Return a judge of four patches that measures nothing."""
    return JobJudge(
        Request(Path("job.toml"), ArmsRequest(series=Path("s.mbox")), profile="quick"),
        cast("PatchBuilds", builds or Builds()),
        folder,
        blocks=6,
        read=made.reading,
        progress=SilentProgress(),
        run=made.run,
    )


CULPRIT_3 = {"whole": Answer.SHOWN, "first_3": Answer.SHOWN, "confirm_2_3": Answer.SHOWN}


def test_each_step_is_an_experiment_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """The first patches against the base, and at last one patch against the one before it."""
    made = Measurements(**CULPRIT_3)
    found = bisect(judge(tmp_path, made), 4)
    assert (found.outcome, found.high) == (Outcome.FOUND, 3)
    assert made.measured == ["whole", "first-2", "first-3", "confirm-2-3"]
    built = [request.built for request in made.requests]
    pairs = [(str(one.baseline.folder), str(one.candidate.folder)) for one in built if one is not None]
    assert pairs == [
        ("build-0", "build-4"),
        ("build-0", "build-2"),
        ("build-0", "build-3"),
        ("build-2", "build-3"),
    ]
    assert {request.blocks for request in made.requests} == {6}
    assert all(request.profile == "quick" for request in made.requests)


def test_only_the_points_of_the_whole_are_measured_on(tmp_path: Path) -> None:
    """The whole series is measured everywhere."""
    made = Measurements(**CULPRIT_3)
    bisect(judge(tmp_path, made), 4)
    assert [request.points for request in made.requests] == [(), (POINT,), (POINT,), (POINT,)]


def test_a_step_that_is_not_clear_gets_one_more_stage_and_no_third(tmp_path: Path) -> None:
    """Both stages are judged together, against both stages of the whole where it had two."""
    made = Measurements(
        whole=Answer.UNDECIDED, whole_more=Answer.SHOWN, first_2=Answer.UNDECIDED, first_2_more=Answer.UNDECIDED
    )
    found = bisect(judge(tmp_path, made), 4)
    assert found.outcome is Outcome.UNDECIDED
    assert made.measured == ["whole", "whole-more", "first-2", "first-2-more"]
    assert [request.blocks for request in made.requests] == [6, 6 * MORE, 6, 6 * MORE]
    both = ("whole", "whole-more")
    assert made.read[-1] == ("search", both, ("first-2", "first-2-more"))
    assert [path.name for path in found.steps[-1].folders] == ["first-2", "first-2-more"]


def test_a_patch_that_does_not_build_is_not_measured(tmp_path: Path) -> None:
    """And named with its log; the search goes around it."""
    made = Measurements(whole=Answer.SHOWN, first_3=Answer.SHOWN, first_1=Answer.SHOWN, confirm_0_1=Answer.SHOWN)
    found = bisect(judge(tmp_path, made, Builds(broken=[2])), 4)
    assert (found.outcome, found.high, found.untestable) == (Outcome.FOUND, 1, (2,))
    assert "first-2" not in made.measured
    step = next(step for step in found.steps if step.high == 2)
    assert step.answer is Answer.UNTESTABLE and "/failed/log" in step.reason


def test_a_patch_whose_build_is_unlike_is_not_measured(tmp_path: Path) -> None:
    """It changes the compiler's flags, say."""
    made = Measurements(whole=Answer.SHOWN, first_3=Answer.SHOWN, first_1=Answer.SHOWN, confirm_0_1=Answer.SHOWN)
    found = bisect(judge(tmp_path, made, Builds(unlike=[2])), 4)
    assert found.untestable == (2,) and "-O0" in found.steps[1].reason


def test_a_whole_series_that_cannot_be_measured_is_an_error(tmp_path: Path) -> None:
    """A finding where it does not build, not comparable where it is built otherwise."""
    with pytest.raises(FindingError, match="patch 4 does not build"):
        judge(tmp_path, Measurements(), Builds(broken=[4])).judge(Kind.WHOLE, 0, 4)
    with pytest.raises(NotComparableError):
        judge(tmp_path, Measurements(), Builds(unlike=[4])).judge(Kind.WHOLE, 0, 4)


def test_a_killed_bisection_asks_the_same_questions_again(tmp_path: Path) -> None:
    """Each folder is handed to the experiment again, which knows what is done; the end is the same."""
    made = Measurements(**CULPRIT_3)
    made.interrupted_at = "first-3"
    with pytest.raises(KeyboardInterrupt):
        bisect(judge(tmp_path, made), 4)
    assert made.measured == ["whole", "first-2"]
    made.interrupted_at = ""
    found = bisect(judge(tmp_path, made), 4)
    assert made.measured[2:] == ["whole", "first-2", "first-3", "confirm-2-3"]
    assert (found.outcome, found.high) == (Outcome.FOUND, 3)


@pytest.mark.parametrize(("sha256", "measured"), [("b", []), ("x", ["whole"])])
def test_a_step_that_is_done_is_only_read(tmp_path: Path, sha256: str, measured: list[str]) -> None:
    """Without the host; another binary is the experiment's to refuse, and so is a run that is missing."""
    build = {"binary_sha256": sha256 * 64}
    campaign = Campaign(blocks=2)
    folder = write_campaign(tmp_path / "whole", campaign, builds={"baseline": build, "candidate": build})
    made = Measurements(whole=Answer.ABSENT)
    judge(tmp_path, made).judge(Kind.WHOLE, 0, 4)
    assert made.measured == measured
    lines = (folder / "runs.jsonl").read_text().splitlines(keepends=True)
    (folder / "runs.jsonl").write_text("".join(lines[:-1]))
    judge(tmp_path, made).judge(Kind.WHOLE, 0, 4)
    assert made.measured == [*measured, "whole"]


def asked(
    folder: Path, *, profile: str = "quick", accelerator: str | None = None, patch_id: str = "id1"
) -> dict[str, Any]:
    """Return a question."""
    builds = Builds()
    builds.series.patches = (SimpleNamespace(index=1, subject="p1", patch_id=patch_id), *PATCHES[1:])
    return question_of(loaded_job(folder), profile, accelerator, cast("PatchBuilds", builds))


def test_the_same_question_is_the_same_folder(tmp_path: Path) -> None:
    """Another profile, accelerator or patch is another one."""
    name = name_of(asked(tmp_path))
    assert name == name_of(asked(tmp_path))
    others = asked(tmp_path, profile="full"), asked(tmp_path, accelerator="tcg"), asked(tmp_path, patch_id="x")
    assert len({name, *map(name_of, others)}) == 4
    assert name.startswith("bisect-job-quick-")


def test_a_folder_is_begun_once_and_gone_on_with(tmp_path: Path) -> None:
    """What is asked is written before the first build is measured."""
    folder = tmp_path / "results" / "bisect-x"
    question = asked(tmp_path)
    assert not begin(folder, question)
    assert json.loads((folder / QUESTION).read_text()) == question
    (folder / "whole").mkdir()
    assert begin(folder, question)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    """Another bisection, a damaged one, or anything else: steps are never mixed."""
    folder = tmp_path / "bisect-x"
    begin(folder, asked(tmp_path))
    with pytest.raises(InputError, match="holds another bisection: of 'demo'"):
        begin(folder, asked(tmp_path, patch_id="x"))
    (folder / QUESTION).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        begin(folder, asked(tmp_path))
    (folder / QUESTION).write_text("[]")
    with pytest.raises(InputError, match="another bisection"):
        begin(folder, asked(tmp_path))
    other = tmp_path / "other"
    (other / "mine").mkdir(parents=True)
    with pytest.raises(InputError, match="something else"):
        begin(other, asked(tmp_path))
