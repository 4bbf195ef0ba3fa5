import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.compare import compare_results
from lab.analysis.results import read_results
from lab.record import Outcome
from lab.report.markdown import escaped, markdown_text
from lab.report.pictures import Picture
from tests.unit.analysis.campaign import BUILDS, Campaign, write_campaign
from tests.unit.report.examples import HOSTILE, results


def test_a_report_has_all_its_parts(tmp_path: Path) -> None:
    """Question, verdict, table, pictures, warnings, runs, builds, host, command lines, and how to make it again."""
    folder = write_campaign(tmp_path / "x", Campaign())
    text = markdown_text(compare_results(read_results(folder)), (Picture(Path("iops.png"), "IOPS over x"),))
    for part in (
        "# virtio-scsi: IOPS over the number of IOThreads",
        "Does the series change",
        "**INCONCLUSIVE",
        "| iothreads=4 | IOPS | 6 |",
        "![IOPS over x](iops.png)",
        "## Warnings",
        "## Other metrics",
        "| candidate.iothreads=2 | 6 | 6 | 0 |",
        "gcc 12.2.0",
        "virtio-scsi: waste time",
        "Imaginary CPU 9000",
        'qemu-system-x86_64 -nodefaults -device \'{"driver": "x"}\'',
        "lab run jobs/virtio-scsi-iothreads.toml '--series=my series.mbox' --profile=quick --seed=7",
        "lab report x",
    ):
        assert part in text
    assert text.count("<details>") == 6


def test_failed_runs_are_counted_by_cell() -> None:
    """A cell that never ran shows it."""
    lost = Campaign(fails=lambda run: Outcome.GUEST_HUNG if run.cell.id == "baseline.iothreads=1" else None)
    assert "| baseline.iothreads=1 | 6 | 0 | 6 |" in markdown_text(compare_results(results(lost)), ())


def test_without_builds_and_command_lines_those_parts_are_empty() -> None:
    """A CSV file has none of them."""
    made = results(Campaign())
    bare = replace(made, builds={}, host={}, question=replace(made.question, command=""))
    text = markdown_text(compare_results(bare), ())
    assert "Command lines" not in text and "The whole experiment" not in text


def test_foreign_text_is_no_markup() -> None:
    """Titles, subjects and reasons can make neither HTML nor links nor columns, and do not leave their line."""
    made = results(
        Campaign(), builds=BUILDS | {"series": {"title": HOSTILE, "patches": [{"subject": f"a\n# {HOSTILE}"}]}}
    )
    question = replace(made.question, title=HOSTILE, question=HOSTILE)
    text = markdown_text(compare_results(replace(made, question=question)), ())
    assert "<script>" not in text and "[x](" not in text and "\x1b" not in text and "\n# <" not in text
    assert text.splitlines()[0].startswith("# &lt;script&gt;")


def test_a_command_line_cannot_leave_its_fence(tmp_path: Path) -> None:
    """Backticks in a stored command line are inside a longer fence."""
    campaign = Campaign(blocks=1)
    folder = write_campaign(tmp_path / "x", campaign)
    first = campaign.records()[0]
    (folder / "runs" / first.id / "command-line.txt").write_text("a\n````\n<b>\n")
    text = markdown_text(compare_results(read_results(folder)), ())
    assert "`````\na\n````\n<b>\n`````" in text


def test_evidence_behind_a_link_is_not_copied(tmp_path: Path) -> None:
    """A results folder of somebody else cannot show files of the reader's machine in a pull request."""
    campaign = Campaign(blocks=1)
    folder = write_campaign(tmp_path / "x", campaign)
    (tmp_path / "secret").write_text("a secret")
    for record in campaign.records():
        file = folder / "runs" / record.id / "command-line.txt"
        file.unlink()
        file.symlink_to(tmp_path / "secret")
    text = markdown_text(compare_results(read_results(folder)), ())
    assert "a secret" not in text and "Command lines" not in text


@pytest.mark.parametrize(
    "bare",
    [
        "https://evil.example/x",
        "ftp://evil.example",
        "www.evil.example",
        "WWW.evil.example",
        "a@evil.example",
        "mailto:a@evil.example",
        "@torvalds",
        "#12",
        "a/b#12",
        "GH-12",
        "a|b",
    ],
)
def test_bare_foreign_text_is_neither_link_nor_ping(bare: str) -> None:
    """GitHub makes links and mentions of text as it is shown; a comment inside it hinders that and is not seen."""
    shown = html.unescape(re.sub(r"\\([#_@])", r"\1", escaped(f"see {bare}.")))
    assert not re.search(r"\w://|\bwww\.|@\w|#\d|\bGH-\d", shown, re.IGNORECASE)
    assert shown.replace("<!-- -->", "") == f"see {bare}."
