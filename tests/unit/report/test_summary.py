from dataclasses import replace

import pytest

from lab.analysis.compare import compare_results
from lab.record import Arm, Outcome
from lab.report import summary
from lab.report.summary import summary_text
from tests.unit.analysis.campaign import BUILDS, Campaign
from tests.unit.report.examples import HOSTILE, results


def test_a_summary_says_verdict_table_and_what_to_know() -> None:
    """Title, verdict, a row per point, warnings, series, tier and host; no picture, which would be broken."""
    text = summary_text(compare_results(results(Campaign(effect=lambda point: 0.5))))
    for part in (
        "## virtio-scsi",
        "**REGRESSED",
        "| iothreads=4 | IOPS | 6 |",
        "uncalibrated",
        "busy loop",
        "tier tcg",
    ):
        assert part in text
    assert "![" not in text


def test_a_finding_stands_above_the_table() -> None:
    """What breaks is read before what is slow."""
    crash = Campaign(fails=lambda run: Outcome.QEMU_CRASHED if run.cell.arm is Arm.CANDIDATE else None)
    text = summary_text(compare_results(results(crash)))
    assert 0 < text.index("finding: the candidate") < text.index("| point |")


def test_a_huge_experiment_has_a_short_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub shows nothing of a summary that is too large, so what is left out is counted instead."""
    monkeypatch.setattr(summary, "LARGEST_TABLE", 2)
    monkeypatch.setattr(summary, "_MOST_WARNINGS", 1)
    text = summary_text(compare_results(results(Campaign(blocks=3))))
    assert "1 further rows" in text and "further warnings are in report.md" in text


def test_foreign_text_is_no_markup() -> None:
    """Nothing of a series or a job file is a tag, a link or a column."""
    made = results(Campaign(), builds=BUILDS | {"series": {"title": HOSTILE, "patches": []}})
    text = summary_text(compare_results(replace(made, question=replace(made.question, title=HOSTILE))))
    assert "<script>" not in text and "[x](" not in text and "\x1b" not in text and "\u202e" not in text
