import json
from pathlib import Path

import click
import pytest

from lab.analysis.baselines import save_baseline
from lab.cli.compare import compare, report
from lab.errors import ExitCode, InputError
from tests.unit.analysis.campaign import Campaign, write_campaign

CSV = "arm,block,iops\n" + "".join(
    f"baseline,{block},{1000 + block}\ncandidate,{block},{900 + 2 * block}\n" for block in range(1, 9)
)


def run(command: object, *arguments: str | Path) -> int:
    """Call a verb as lab/__main__.py does."""
    result = command.main(  # type: ignore[attr-defined]
        args=[str(argument) for argument in arguments], prog_name="lab", standalone_mode=False
    )
    assert isinstance(result, int)
    return result


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a CSV file in which the candidate loses 9 %."""
    file = tmp_path / "data.csv"
    file.write_text(CSV)
    return file


def test_a_regression_exits_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes to stdout, and the exit code is the verdict's."""
    folder = write_campaign(tmp_path / "demo", Campaign(effect=lambda point: 0.5))
    assert run(compare, folder) == ExitCode.FINDING
    assert "REGRESSED" in capsys.readouterr().out


def test_undecided_exits_with_four_and_an_improvement_with_zero(tmp_path: Path) -> None:
    """Only a decision is 0 or 1."""
    assert run(compare, write_campaign(tmp_path / "a", Campaign(noise=0.05))) == ExitCode.UNDECIDED
    assert run(compare, write_campaign(tmp_path / "b", Campaign(effect=lambda point: 2.0))) == ExitCode.DONE


def test_json_is_one_document(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV file is judged like a results folder."""
    assert run(compare, table, "--json") == ExitCode.FINDING
    value = json.loads(capsys.readouterr().out)
    assert value["points"][0]["point"] == "all" and value["points"][0]["n"] == 8
    assert value["points"][0]["ratio"] == pytest.approx(0.904, abs=0.001)


@pytest.mark.parametrize("effect", ["20%", "20 %", "0.2"])
def test_the_smallest_effect_of_a_csv_file_can_be_chosen(table: Path, effect: str) -> None:
    """Where only 20 % matters, a loss of 9 % is no change."""
    assert run(compare, table, "--smallest-effect", effect) == ExitCode.DONE


@pytest.mark.parametrize("effect", ["much", "0", "100%", "-1%", "nan", "2", "1e-320"])
def test_an_effect_that_is_none(table: Path, effect: str) -> None:
    """An effect is more than nothing and less than everything."""
    with pytest.raises(InputError, match="not an effect"):
        run(compare, table, "--smallest-effect", effect)


def test_what_the_job_fixed_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    """Judging the same runs again with another alpha would be choosing the verdict."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=1))
    with pytest.raises(InputError, match="before the first boot"):
        run(compare, folder, "--alpha", "0.4")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """A message, no traceback."""
    with pytest.raises(InputError, match="does not exist"):
        run(compare, tmp_path / "none")


def test_report_writes_and_exits_like_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The pictures are named on stdout."""
    folder = write_campaign(tmp_path / "demo", Campaign(effect=lambda point: 0.5))
    assert run(report, folder) == ExitCode.FINDING
    assert str(folder / "report" / "iops.png") in capsys.readouterr().out


@pytest.mark.parametrize("alpha", ["nan", "0", "0.5", "1e-300", "-1"])
def test_an_alpha_that_is_none(table: Path, alpha: str) -> None:
    """The chance of a false alarm is a small number, but not none at all."""
    with pytest.raises(InputError, match="--alpha"):
        run(compare, table, "--alpha", alpha)


@pytest.mark.parametrize("verb", [compare, report])
def test_the_help_has_its_example_on_lines_of_its_own(verb: click.Command) -> None:
    """Click keeps a paragraph as it is after a backspace character, which is not to be seen."""
    shown = verb.get_help(click.Context(verb))
    assert "\\b" not in shown and "\b" not in shown and "Example:\n" in shown


def test_several_folders_are_one_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The pairs of two folders count together."""
    folders = [write_campaign(tmp_path / name, Campaign(seed=seed)) for seed, name in enumerate("ab")]
    run(compare, *folders, "--json")
    assert [point["n"] for point in json.loads(capsys.readouterr().out)["points"][:3]] == [12, 12, 12]


def test_a_stored_baseline_is_a_folder_or_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--baseline takes a path or a name of 'lab baseline', and --arm chooses the arm."""
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    stored = write_campaign(tmp_path / "stored", Campaign(seed=3, effect=lambda point: 0.5))
    save_baseline("slow", stored)
    results = write_campaign(tmp_path / "new", Campaign(seed=4, effect=lambda point: 0.5))
    assert run(compare, results, "--baseline", stored) == ExitCode.FINDING
    assert run(compare, results, "--baseline", "slow", "--arm", "candidate") != ExitCode.FINDING
    with pytest.raises(InputError, match="'fast' is neither a folder nor the name of a baseline"):
        run(compare, results, "--baseline", "fast")


def test_a_run_interrupted_before_its_first_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was measured: the answer is one sentence that says so and what to do, and no table of dashes."""
    folder = write_campaign(tmp_path / "begun", Campaign(), records=())
    assert run(compare, folder) == ExitCode.UNDECIDED
    out = capsys.readouterr().out
    assert "no run has ended yet: 36 are scheduled; 'lab run' goes on with it" in out
    assert "iothreads=1" not in out
    assert run(compare, folder, "--json") == ExitCode.UNDECIDED
    assert json.loads(capsys.readouterr().out)["verdict"] == "INCONCLUSIVE"


def test_a_host_s_name_forges_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A host of a CSV file that is called by two lines stays on one line of the output."""
    rows = CSV.replace("iops\n", "iops,host\n", 1).splitlines()
    hosts = ('"a\nREGRESSED: forged"', "b")
    lines = [rows[0], *(f"{row},{hosts[(index // 2) % 2]}" for index, row in enumerate(rows[1:]))]
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    run(compare, tmp_path / "data.csv")
    assert "\nREGRESSED: forged" not in capsys.readouterr().out
