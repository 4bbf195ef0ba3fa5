import json
from pathlib import Path

import pytest

from lab.cli.draw import draw
from lab.errors import HostError, InputError
from tests.unit.analysis.campaign import Campaign, write_campaign
from tests.unit.report.charts.test_tmf_matrix import DOCUMENT
from tests.unit.report.conftest import quick_pictures
from tests.unit.report.test_proofs import QUEUE
from tests.unit.report.test_scenario_traces import SCENARIO

__all__ = ["quick_pictures"]  # a fixture that the tests of the report have, too


def run(*arguments: str | Path) -> None:
    """Call the verb as lab/__main__.py does."""
    draw.main(args=[str(argument) for argument in arguments], prog_name="lab draw", standalone_mode=False)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Return a folder with what the verbs print."""
    (tmp_path / "tmf.json").write_text(json.dumps(DOCUMENT))
    (tmp_path / "scenario.json").write_text(
        json.dumps({"baseline": [{**SCENARIO, "scenario": str(n)} for n in range(13)]})
    )
    (tmp_path / "proof.json").write_text(json.dumps({"verdict": "proved", "queues": [QUEUE]}))
    write_campaign(tmp_path / "x", Campaign(factors={"iothreads": (1,)}))
    return tmp_path


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize(
    "words",
    [
        ("tmf", "tmf.json"),
        ("mapping", "proof.json"),
        ("scenario", "scenario.json"),
        ("waterfall", "x", "--metric", "iops"),
    ],
)
def test_pictures_are_drawn(documents: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    """Each is a PNG file with an SVG file beside it, and its path is printed."""
    verb, source, *rest = words
    run(verb, documents / source, *rest, "--out", documents / "o.png")
    assert capsys.readouterr().out == f"{documents / 'o.png'}\n"
    assert (documents / "o.png").exists() and (documents / "o.svg").exists()


@pytest.mark.parametrize(
    "words", [("tmf", "tmf.json"), ("mapping", "proof.json"), ("scenario", "scenario.json"), ("waterfall", "x")]
)
def test_a_place_that_cannot_be_written_is_the_hosts_problem(documents: Path, words: tuple[str, str]) -> None:
    """The message has the path, and the reason."""
    with pytest.raises(HostError, match="cannot be written: No such file"):
        run(words[0], documents / words[1], "--out", documents / "nowhere" / "o.png")


@pytest.mark.parametrize("verb", ["tmf", "mapping", "scenario"])
@pytest.mark.parametrize("content", ["{", "[" * 10**5])
def test_what_is_not_json_is_refused(tmp_path: Path, verb: str, content: str) -> None:
    """The remedy names the verb that prints it."""
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=r"x\.json is not JSON") as caught:
        run(verb, tmp_path / "x.json", "--out", tmp_path / "o.png")
    assert "--json" in caught.value.remedy


def test_another_ending_is_refused(documents: Path) -> None:
    """Nobody gets a PNG file that is called something else."""
    with pytest.raises(InputError, match=r"does not end in \.png"):
        run("tmf", documents / "tmf.json", "--out", documents / "o.pdf")


def test_a_metric_that_does_not_exist_is_refused(documents: Path) -> None:
    """The message lists those there are."""
    with pytest.raises(InputError, match="there is no metric 'speed'"):
        run("waterfall", documents / "x", "--metric", "speed", "--out", documents / "o.png")
