from pathlib import Path

import pytest

from lab.analysis.compare import compare_results
from lab.report import charts
from lab.report.charts import Caption
from lab.report.pictures import draw_pictures
from lab.report.reference import reference_table
from tests.unit.analysis.campaign import EXPERIMENT, Campaign
from tests.unit.report.examples import results


@pytest.fixture
def captions(monkeypatch: pytest.MonkeyPatch) -> dict[str, Caption]:
    """Return the captions of the pictures by file name, instead of drawing them."""
    seen: dict[str, Caption] = {}

    def remember(path: Path, *_: object, caption: Caption, **__: object) -> None:
        seen[path.name] = caption

    def remember_last(path: Path, *rest: object) -> None:
        assert isinstance(rest[-1], Caption)
        seen[path.name] = rest[-1]

    monkeypatch.setattr(charts, "levels_chart", remember)
    monkeypatch.setattr(charts, "runs_chart", remember_last)
    monkeypatch.setattr(charts, "ratio_chart", remember_last)
    return seen


def draw(campaign: Campaign, experiment: str = EXPERIMENT) -> tuple[Path, ...]:
    """Draw the pictures of a campaign."""
    comparison = compare_results(results(campaign, experiment=experiment))
    table, _ = reference_table(comparison.results.question)
    return draw_pictures(Path("report"), comparison, table)


def test_each_picture_says_what_its_marks_are(captions: dict[str, Caption]) -> None:
    """Medians and order statistics here, geometric means there, and where everything comes from."""
    assert (
        [path.name for path in draw(Campaign())]
        == list(captions)
        == ["iops.png", "scaling.png", "runs.png", "ratio.png"]
    )
    notes = {name: " ".join(caption.notes) for name, caption in captions.items()}
    assert "median over runs" in notes["iops.png"] and "95 % interval by order statistics;" in notes["iops.png"]
    assert "divided by the run at iothreads=1" in notes["scaling.png"]
    assert "geometric mean" in notes["ratio.png"] and "failed" in notes["runs.png"]
    assert all("baseline 0123456789ab" in text and "tier tcg" in text for text in notes.values())


def test_the_published_table_is_named_as_another_machines(captions: dict[str, Caption]) -> None:
    """Its source stands under each picture that shows it, and under no other."""
    draw(Campaign())
    shown = {name for name, caption in captions.items() if "stefanha@redhat.com" in " ".join(caption.notes)}
    assert shown == {"iops.png", "scaling.png"}
    assert "another machine" in " ".join(captions["iops.png"].notes)


def test_a_table_of_another_factor_is_not_drawn(captions: dict[str, Caption]) -> None:
    """A published table over iodepth says nothing about iothreads."""
    draw(Campaign(), EXPERIMENT.replace("virtio-scsi-multiqueue-2025", "qemu-perf-virtio-blk"))
    assert "Published" not in " ".join(captions["iops.png"].notes)


def test_what_cannot_be_read_from_a_picture_stands_above_it(captions: dict[str, Caption]) -> None:
    """Under TCG on two CPUs neither absolute values nor scaling."""
    draw(Campaign())
    alerts = " ".join(captions["scaling.png"].alerts)
    assert "never absolute" in alerts and "scaling cannot be judged" in alerts


def test_few_runs_and_cut_pictures_are_said(captions: dict[str, Caption]) -> None:
    """A range is not an interval, and panels or rows that do not fit are counted."""
    draw(Campaign(factors={"iothreads": (1,), "iodepth": tuple(range(1, 71))}, blocks=2, level=lambda point: 1.0))
    assert "smallest to largest with too few runs; here 2" in " ".join(captions["iops.png"].notes)
    assert "The first 12 of 70 panels" in " ".join(captions["iops.png"].notes)
    assert "10 further points are in the table only" in " ".join(captions["ratio.png"].notes)


def test_nothing_to_scale_with_one_level(captions: dict[str, Caption]) -> None:
    """With one level there is no scaling.png."""
    draw(Campaign(factors={"iothreads": (1,)}))
    assert "scaling.png" not in captions
