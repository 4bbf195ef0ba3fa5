from pathlib import Path

import numpy as np
import pytest

from lab.analysis.question import SMALLEST_ALPHA, Question, question_from_toml, read_question
from lab.analysis.signflip import blocks_for_level, intervals, p_values
from lab.errors import InputError
from lab.units import METRICS
from tests.unit.analysis.campaign import EXPERIMENT


def test_a_job_file_becomes_a_question(tmp_path: Path) -> None:
    """Title, factors, judge and reference are read; what the analysis does not need is ignored."""
    file = tmp_path / "experiment.toml"
    file.write_text(EXPERIMENT + "[machine]\nvcpus = 4\n")
    question = read_question(file)
    assert question.factors == {"iothreads": (1, 2, 4)}
    assert question.metrics == (METRICS["iops"],)
    assert question.reference is not None and question.reference.table == "virtio-scsi-multiqueue-2025"
    assert question.command == "lab bench --series 'my series.mbox'" and question.series == "my series.mbox"
    assert question.chosen == (("job", "virtio-scsi-iothreads"), ("profile", "quick"), ("seed", "7"))


def test_a_known_verdict_is_that_of_the_call() -> None:
    """The job's demonstration does not matter when another series was named on the call."""
    tree: dict[str, object] = {"title": "x", "demonstration": {"series": "s", "known_verdict": "REGRESSED"}}
    assert question_from_toml(tree, "job").known_verdict == ""
    assert question_from_toml(tree | {"experiment": {"known_verdict": "REGRESSED"}}, "job").known_verdict == "REGRESSED"


def test_defaults() -> None:
    """Without a word on judging, IOPS decide at 5 % with 2 % as the smallest effect."""
    question = question_from_toml({"title": "x"}, "job")
    assert [metric.name for metric in question.metrics] == ["iops"]
    assert (question.alpha, question.effect_of(METRICS["iops"])) == (0.05, 0.02)


def test_smallest_effect_per_metric() -> None:
    """A table gives single metrics an effect of their own; the others keep the default."""
    tree = {"title": "x", "judge": {"metrics": ["iops", "clat_p99_ns"], "smallest_effect": {"clat_p99_ns": 0.1}}}
    question = question_from_toml(tree, "job")
    assert question.effect_of(METRICS["clat_p99_ns"]) == 0.1
    assert question.effect_of(METRICS["iops"]) == 0.02


@pytest.mark.parametrize("blocks", [blocks_for_level(SMALLEST_ALPHA), 14, 15, 30])
def test_the_smallest_alpha_can_decide(blocks: int) -> None:
    """Whatever blocks there are beyond those that it needs, p and coverage reach it."""
    differences = np.full((blocks, 1), 0.5) + np.linspace(0, 0.01, blocks)[:, None]
    own, adjusted = p_values(differences)
    assert own[0] <= adjusted[0] <= SMALLEST_ALPHA
    assert intervals(differences, SMALLEST_ALPHA).coverage[0] >= 1 - SMALLEST_ALPHA


def test_levels_keep_their_types() -> None:
    """The level 1 is not the level true, and "1" is neither."""
    levels = question_from_toml({"title": "x", "factors": {"a": [1, True, "1", 0.5]}}, "job").factors["a"]
    assert [type(level) for level in levels] == [int, bool, str, float]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({}, "title"),
        ({"title": "x", "judge": {"alpha": 2}}, "judge.alpha"),
        ({"title": "x", "judge": {"alpha": 1e-300}}, "judge.alpha"),
        ({"title": "x", "judge": {"alpha": 1e-4}}, "judge.alpha"),
        ({"title": "x", "experiment": {"blocks": -1}}, "experiment.blocks"),
        ({"title": "x", "judge": {"smallest_effect": 0}}, "judge.smallest_effect"),
        ({"title": "x", "judge": {"smallest_effect": 1e-320}}, "judge.smallest_effect"),
        ({"title": "x", "judge": {"metrics": ["speed"]}}, "no metric 'speed'"),
        ({"title": "x", "reference": {"table": "../../etc/passwd", "factor": "a"}}, "reference.table"),
    ],
)
def test_wrong_keys_are_named(tree: dict[str, object], words: str) -> None:
    """The message names the key that is wrong."""
    with pytest.raises(InputError, match=words):
        question_from_toml(tree, "job")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and one that is not TOML are input errors that name the file."""
    with pytest.raises(InputError, match="cannot be read"):
        read_question(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"title = \xff")
    with pytest.raises(InputError, match=r"bad\.toml"):
        read_question(tmp_path / "bad.toml")


def test_a_question_can_be_made_without_a_file() -> None:
    """The defaults of the class are those of a CSV file."""
    assert Question("x").effect_of(METRICS["iops"]) == 0.02


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_a_file_that_overwhelms_the_parser(tmp_path: Path, text: str) -> None:
    """Too deep or too long is damage like any other."""
    (tmp_path / "experiment.toml").write_text(text)
    with pytest.raises(InputError, match=r"experiment\.toml"):
        read_question(tmp_path / "experiment.toml")
