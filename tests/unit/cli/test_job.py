"""``lab job``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lab.cli.job import job
from lab.experiment.job_schema import schema_text
from tests.unit.experiment.made_up import loaded_job
from tests.unit.experiment.test_job import GOOD


def run(*argv: str) -> Result:
    """Run a verb as ``lab job`` does."""
    return CliRunner().invoke(job, argv, standalone_mode=False)


def answer(*argv: str) -> dict[str, Any]:
    """Run a verb that prints JSON, and return it."""
    found: dict[str, Any] = json.loads(run(*argv, "--json").stdout)
    return found


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A good job."""
    return loaded_job(tmp_path).path


def test_a_good_job_is_said_to_be_good(good: Path) -> None:
    """With the number of its cells and runs; exit code 0."""
    result = run("check", str(good))
    assert (result.return_value, result.stdout) == (0, f"{good}: good, 8 cells, quick 48 runs\n")
    (said,) = answer("check", str(good))["jobs"]
    assert (said["ok"], said["cells"], said["runs"], said["image"]) == (True, 8, {"quick": 48}, "default")


def test_warnings_do_not_make_a_job_wrong(good: Path) -> None:
    """They are shown."""
    good.write_text(GOOD.replace("iothreads = [1, 2]", "iothreads = [8]"))
    result = run("check", str(good))
    assert result.return_value == 0
    assert "warning:" in result.stdout
    assert answer("check", str(good))["jobs"][0]["warnings"]


def test_every_wrong_file_is_named_and_the_good_ones_too(good: Path, tmp_path: Path) -> None:
    """One call checks them all; exit code 2."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(GOOD.replace("vcpus = 4", "vcpu = 4"))
    result = run("check", str(wrong), str(good))
    assert result.return_value == 2
    assert f"{wrong}:5: machine.vcpu: there is no such key (did you mean 'vcpus'?)" in result.stdout
    assert f"{good}: good" in result.stdout
    said = answer("check", str(wrong), str(good))
    assert said["ok"] is False
    assert said["jobs"][0]["errors"] == [
        {"line": 5, "key": "machine.vcpu", "message": "there is no such key (did you mean 'vcpus'?)"}
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("iothreads = [1, 2]", 'mapping = ["iothread9"]'), 'IOThread "iothread9" object does not exist'),
        (("iodepth = [1, 64]", 'aio = ["native"]'), "aio says nothing to driver 'null-co'"),
        (("[machine]", "image = 'none'\n[machine]"), "none.toml"),
        (("[judge]", '[demonstration]\nseries = "none"\nknown_verdict = "REGRESSED"\n[judge]'), "does not exist"),
        (("vcpus = 4", "vcpus = 4\nsockets = 3"), "4 vCPUs cannot be arranged"),
    ],
)
def test_what_only_makes_sense_together_is_checked(good: Path, change: tuple[str, str], text: str) -> None:
    """Cells, image, series: everything that can be known without a host."""
    good.write_text(GOOD.replace(*change))
    result = run("check", str(good))
    assert result.return_value == 2
    assert text in result.stdout


@pytest.mark.parametrize(
    "content",
    [
        b"x = " + b"[" * 60_000,
        b"x = " + b"9" * 60_000,
        b"a." * 30_000 + b"b = 1",
        b"x = { " + b"a." * 30_000 + b"b = 1 }",
        b'title = "a\x00b"',
        b"\xff\xfe",
        b"[machine]\nvcpus = 1e400\n",
        b"[[machine.controller]]\n" * 1000,
        b"[factors]\nvcpus = [" + b"1," * 30_000 + b"]",
        b"",
    ],
    ids=["deep", "long-number", "long-key", "long-inline-key", "nul", "not-utf-8", "huge", "many", "levels", "empty"],
)
def test_hostile_files_are_wrong_files(tmp_path: Path, content: bytes) -> None:
    """Exit code 2 and a sentence, never a traceback or a hang."""
    path = tmp_path / "hostile.toml"
    path.write_bytes(content)
    result = run("check", str(path))
    assert result.exception is None, result.exception
    assert result.return_value == 2
    assert len(result.stdout) < 20_000


def test_the_schema_is_printed_as_it_is_stored() -> None:
    """'lab job schema > jobs/job.schema.json'."""
    assert run("schema").stdout == schema_text()
