import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.compare import compare_results
from lab.record import Outcome, RunRecord
from lab.report import charts
from lab.report.charts import Caption
from lab.report.pictures import draw_pictures
from lab.report.reference import reference_table
from tests.unit.analysis.campaign import EXPERIMENT, Campaign
from tests.unit.report.examples import results
from tests.unit.report.test_proofs import QUEUE, put


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
    for name in ("runs_chart", "ratio_chart", "cost_chart", "traces_chart", "threads_chart"):
        monkeypatch.setattr(charts, name, remember_last)
    return seen


def draw(campaign: Campaign, experiment: str = EXPERIMENT) -> tuple[Path, ...]:
    """Draw the pictures of a campaign."""
    comparison = compare_results(results(campaign, experiment=experiment))
    table, _ = reference_table(comparison.results.question)
    return tuple(picture.path for picture in draw_pictures(Path("report"), comparison, table))


def test_each_picture_says_what_its_marks_are(captions: dict[str, Caption]) -> None:
    """Medians and order statistics here, geometric means there, and where everything comes from."""
    drawn = [path.name for path in draw(Campaign())]
    assert drawn == list(captions)
    assert drawn == [f"{name}.png" for name in ("ratio", "iops", "scaling", "latency", "cpu", "runs", "traces")]
    notes = {name: " ".join(caption.notes) for name, caption in captions.items()}
    assert "median over runs" in notes["iops.png"] and "95 % interval by order statistics;" in notes["iops.png"]
    assert "divided by the run at iothreads=1" in notes["scaling.png"]
    assert "geometric mean" in notes["ratio.png"] and "failed" in notes["runs.png"]
    assert "percentile" in notes["latency.png"] and "whole process" in notes["cpu.png"]
    assert "never counted as observations" in notes["traces.png"]
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


@pytest.mark.parametrize(("alpha", "fewest"), [(0.05, 6), (0.01, 8)])
def test_how_many_runs_are_few_goes_by_the_level(captions: dict[str, Caption], alpha: float, fewest: int) -> None:
    """Six runs are enough for 95 %, and too few for 99 %."""
    draw(Campaign(), EXPERIMENT.replace("alpha = 0.05", f"alpha = {alpha}"))
    assert f"with fewer than {fewest} pairs" in " ".join(captions["ratio.png"].notes)
    assert ("with too few runs; here 6" in " ".join(captions["iops.png"].notes)) is (fewest > 6)


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


def test_points_without_an_interval_are_explained(captions: dict[str, Caption]) -> None:
    """One pair has a hollow mark, no pair none; with enough pairs neither is mentioned."""
    draw(Campaign(blocks=1))
    assert "Hollow marks" in " ".join(captions["ratio.png"].notes)
    draw(Campaign(fails=lambda run: Outcome.VOID))
    assert "Rows without a mark" in " ".join(captions["ratio.png"].notes)
    draw(Campaign())
    assert not [note for note in captions["ratio.png"].notes if "mark" in note.split(".")[0] and "Hollow" in note]


def test_what_was_done_to_the_guest_is_mentioned(captions: dict[str, Caption], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where something was."""
    draw(Campaign())
    assert "Dotted" not in " ".join(captions["traces.png"].notes)
    real = Campaign.records

    def with_events(campaign: Campaign) -> tuple[RunRecord, ...]:
        return tuple(replace(r, facts={**r.facts, "events": [{"at_s": 1, "name": "x"}]}) for r in real(campaign))

    monkeypatch.setattr(Campaign, "records", with_events)
    draw(Campaign())
    assert "Dotted" in " ".join(captions["traces.png"].notes)


def test_proofs_have_pictures(tmp_path: Path, captions: dict[str, Caption]) -> None:
    """One for each machine that was proved, up to a number; their files are not named by anybody else."""
    for number in range(8):
        put(tmp_path, f"baseline.x={number}", json.dumps({"verdict": "proved", "queues": [QUEUE]}))
    comparison = compare_results(replace(results(Campaign()), path=tmp_path))
    names = {picture.path.name: picture.title for picture in draw_pictures(Path("report"), comparison)}
    assert names["mapping.png"] == "Which thread served which queue: baseline.x=0, proved" and "mapping-6.png" in names
    assert "mapping-7.png" not in names and "2 further proofs" in " ".join(captions["mapping.png"].notes)
