"""``lab baseline`` from the outside."""

import json
from pathlib import Path

import pytest

from lab.cli.baseline import baseline
from lab.errors import ExitCode, InputError
from tests.unit.analysis.campaign import Campaign, write_campaign


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))


def run(*arguments: str | Path) -> int | None:
    """Call the verb as lab/__main__.py does."""
    result = baseline.main(args=[str(word) for word in arguments], prog_name="lab", standalone_mode=False)
    assert result is None or isinstance(result, int)
    return result


def test_what_is_saved_is_listed_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Save, list as text and as JSON, and show with host and source."""
    run("list")
    assert "there is no baseline yet" in capsys.readouterr().out
    run("save", "v10", write_campaign(tmp_path / "r", Campaign()))
    assert "kept as 'v10'" in capsys.readouterr().out
    run("list")
    assert "v10   virtio-scsi-iothreads  quick    tcg" in capsys.readouterr().out
    run("list", "--json")
    (listed,) = json.loads(capsys.readouterr().out)["baselines"]
    assert (listed["name"], listed["blocks"], listed["host"]) == ("v10", 6, "00112233aabbccdd")
    run("show", "v10")
    out = capsys.readouterr().out
    assert "Imaginary CPU 9000" in out and "iothreads=4" in out


def test_a_later_result_is_judged_against_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb's exit code is the verdict's."""
    run("save", "v10", write_campaign(tmp_path / "r", Campaign(seed=8)))
    slow = write_campaign(tmp_path / "slow", Campaign(seed=9, effect=lambda point: 0.5))
    assert run("compare", "v10", slow) == ExitCode.FINDING
    assert "measured at another time" in capsys.readouterr().out
    with pytest.raises(InputError, match="there is no baseline 'v11'"):
        run("compare", "v11", slow)


def test_shown_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json is the comparison's one document."""
    run("save", "v10", write_campaign(tmp_path / "r", Campaign()))
    capsys.readouterr()
    run("show", "v10", "--json")
    assert json.loads(capsys.readouterr().out)["calibrated"] is False
