"""``lab fsck``."""

import json
from pathlib import Path

import pytest

from lab.cli.fsck import fsck
from lab.errors import ExitCode, InputError
from lab.experiment.evidence import SEAL, seal
from lab.experiment.store import ResultsFolder
from tests.unit.analysis.campaign import Campaign, write_campaign
from tests.unit.cli.test_compare import run


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Return a finished experiment whose evidence is sealed."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=1))
    for record in ResultsFolder(folder).records():
        evidence = folder / "runs" / record.id
        evidence.mkdir(parents=True, exist_ok=True)
        (evidence / "console.log").write_text("lab: ready\n")
        seal(evidence)
    return folder


def test_a_whole_folder_exits_with_zero(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says how much was verified."""
    assert run(fsck, results) == ExitCode.DONE
    assert capsys.readouterr().out.endswith("recorded runs, no faults\n")


def test_an_edited_file_is_a_finding(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named in text and in JSON."""
    log = next(results.glob("runs/*/console.log"))
    log.write_text("lab: fine\n")
    assert run(fsck, results) == ExitCode.FINDING
    assert f"{log.relative_to(results)}: was changed after the run" in capsys.readouterr().out
    assert run(fsck, results, "--json") == ExitCode.FINDING
    assert json.loads(capsys.readouterr().out)["faults"][0]["path"] == str(log.relative_to(results))
    assert (log.parent / SEAL).exists()


def test_a_folder_that_is_no_results_folder(tmp_path: Path) -> None:
    """A message, exit code 2."""
    with pytest.raises(InputError, match="not a results folder"):
        run(fsck, tmp_path)
