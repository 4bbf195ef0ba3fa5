"""``lab trend`` from the outside."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.baselines import save_baseline
from lab.cli.trend import trend
from lab.errors import ExitCode, HostError, InputError
from tests.unit.analysis.campaign import Campaign, write_campaign


def run(*arguments: str | Path) -> int:
    """Call the verb as lab/__main__.py does."""
    result = trend.main(args=[str(word) for word in arguments], prog_name="lab", standalone_mode=False)
    assert isinstance(result, int)
    return result


@pytest.fixture
def nights(tmp_path: Path) -> list[Path]:
    """Return eight results; the last three are 15 % slower."""
    found = []
    for number in range(8):
        campaign = Campaign(seed=number, effect=lambda point, slow=number > 4: 0.85 if slow else 1.0)  # type: ignore[misc]
        records = [replace(run, started_at=f"2026-01-0{number + 1}T00:00:00Z") for run in campaign.records()]
        found.append(write_campaign(tmp_path / f"night-{number}", campaign, records=records))
    return found


def test_text_and_picture(nights: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The change is named with the result it came with; PNG and SVG are written."""
    assert run(*nights, "--plot", tmp_path / "trend.png") == ExitCode.DONE
    out = capsys.readouterr().out
    assert "% with night-5; the same baseline binary moved by" in out
    (head, changed) = next(
        (line, row)
        for line, row in zip(out.splitlines(), out.splitlines()[7:], strict=False)
        if line.split() == ["date", "result", "host", "change", "interval", "lasting", "change"]
    )
    assert changed.startswith("2026-01-06 00:00  night-5  00112233aabbccdd  -1") and changed.endswith(" %")
    assert len(changed) == len(head)
    assert (tmp_path / "trend.png").read_bytes().startswith(b"\x89PNG") and (tmp_path / "trend.svg").exists()


def test_json(nights: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Values, intervals and levels of each point."""
    run(*nights, "--json")
    value = json.loads(capsys.readouterr().out)
    assert value["changed"] and len(value["histories"]) == 3
    assert value["histories"][0]["levels"][1]["first"] == 5


def test_baselines_are_the_default(
    nights: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without results all baselines make up the history; of an arm nothing lasting is found here."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    for number in (0, 1):
        save_baseline(f"b{number}", nights[number])
    run("--value", "baseline")
    assert "no lasting change of the baseline was found" in capsys.readouterr().out


def test_a_picture_that_cannot_be_drawn(nights: list[Path], tmp_path: Path) -> None:
    """Another ending, a folder that is not there, and results without a pair are errors."""
    with pytest.raises(InputError, match="does not end in"):
        run(*nights, "--plot", tmp_path / "trend.gif")
    with pytest.raises(HostError, match="cannot be written"):
        run(*nights, "--plot", tmp_path / "nowhere" / "trend.png")
    empty = [write_campaign(tmp_path / name, Campaign(), records=()) for name in "ab"]
    with pytest.raises(InputError, match="no value to draw"):
        run(*empty, "--plot", tmp_path / "trend.png")
