"""The question as one text."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import InputError
from lab.experiment.job import LoadedJob
from lab.experiment.question import Choices, choices_from_text, question_text, same_question
from tests.unit.experiment.test_job import FIO, GOOD, load

CHOICES = Choices(
    "id1", "job", "quick", 7, 'a "series"\x1b[31m \U0001f4c1\x7f\\', "img", "tcg", "[j]\nrw=read\n", "REGRESSED"
)


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedJob:
    """The good job."""
    (tmp_path / "fio").mkdir()
    (tmp_path / "fio" / "j.fio").write_text(FIO)
    return load(tmp_path, GOOD)


def test_the_job_stands_verbatim_and_the_choices_read_back(loaded: LoadedJob) -> None:
    """Nothing of the job's text is changed, and hostile names are quoted."""
    text = question_text(loaded, CHOICES)
    assert text.startswith(GOOD.rstrip("\n"))
    assert tomllib.loads(text)["title"] == "t"
    assert choices_from_text(text, "x") == CHOICES


def test_folder_and_seed_do_not_make_another_question(loaded: LoadedJob) -> None:
    """An unfinished experiment is found again although its name and seed were drawn; it goes on with its own blocks."""
    other = question_text(loaded, replace(CHOICES, id="id2", seed=8, blocks=12))
    assert same_question(question_text(loaded, CHOICES), other)


def test_another_profile_is_another_question(loaded: LoadedJob) -> None:
    """Sixty seconds are not comparable with five."""
    assert not same_question(question_text(loaded, CHOICES), question_text(loaded, replace(CHOICES, profile="full")))


def test_a_name_that_is_not_utf_8_is_written_out(loaded: LoadedJob) -> None:
    """The bytes of a Latin-1 file name reach Python as surrogates, which TOML cannot hold."""
    text = question_text(loaded, replace(CHOICES, series="caf\udce9.mbox"))
    assert choices_from_text(text, "x").series == "caf\\udce9.mbox"


def test_another_fio_job_is_another_question(loaded: LoadedJob) -> None:
    """An edited fio file is not gone on with, although the job file is the same."""
    other = question_text(loaded, replace(CHOICES, fio="[j]\nrw=write\n"))
    assert not same_question(question_text(loaded, CHOICES), other)


def test_a_job_with_the_lab_s_own_table_is_refused(tmp_path: Path, loaded: LoadedJob) -> None:
    """[experiment] is written by the lab only."""
    loaded.text += "\n[experiment]\nid = 1\n"
    with pytest.raises(InputError, match="the lab's own"):
        question_text(loaded, CHOICES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "= 1",
        "[experiment]\nseed = 1\n",
        '[experiment]\nseed = "x"\n',
        "experiment = 3",
        "[experiment]\nseed = inf\n",
    ],
)
def test_a_text_that_is_no_question_is_refused(text: str) -> None:
    """Damage is an input error that names the file."""
    with pytest.raises(InputError, match=r"^x is not the question"):
        choices_from_text(text, "x")


def test_a_damaged_question_is_another_question(loaded: LoadedJob) -> None:
    """Whoever looks for an unfinished experiment comes across anything."""
    assert not same_question("experiment = 3", question_text(loaded, CHOICES))
