from collections import Counter
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from lab.analysis.verdict import Verdict
from lab.errors import ExitCode, HostError, InputError
from lab.record import Arm, Outcome, ScheduledRun, json_from_record
from lab.report.write import report_text_for_terminal, write_report
from tests.unit.analysis.campaign import EXPERIMENT, Campaign, write_campaign, write_lines


def test_a_report_is_written_beside_the_data(tmp_path: Path) -> None:
    """Pictures, a page and texts appear under report/, and the terminal is told where."""
    folder = write_campaign(tmp_path / "demo", Campaign(effect=lambda point: 0.6))
    paths = write_report(folder)
    names = sorted(path.name for path in (folder / "report").iterdir())
    pictures = ["cpu", "iops", "latency", "ratio", "runs", "scaling", "traces"]
    texts = ["junit.xml", "report.html", "report.md", "report.txt", "summary.md"]
    assert names == sorted([*texts, *(f"{name}.{kind}" for name in pictures for kind in ("png", "svg"))])
    assert paths.comparison.verdict is Verdict.REGRESSED
    shown = report_text_for_terminal(paths)
    assert all(str(path) in shown for path in paths.charts) and str(paths.page) in shown
    with Image.open(folder / "report" / "iops.png") as picture:
        description = picture.info["Description"]
    assert "REGRESSED" in description and "a" * 64 in description and "b" * 64 in description


def test_a_report_can_be_made_again_and_is_the_same(tmp_path: Path) -> None:
    """Everything comes from stored data, so the bytes are equal; the data is not touched."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=2))
    data = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_report(folder)
    first = {path: path.read_bytes() for path in (folder / "report").iterdir()}
    write_report(folder)
    assert {path: path.read_bytes() for path in (folder / "report").iterdir()} == first
    assert all(path.read_bytes() == content for path, content in data.items())


@pytest.mark.usefixtures("quick_pictures")
def test_several_metrics_without_a_scale(tmp_path: Path) -> None:
    """Each metric that decides has a picture; a latency does not scale."""
    experiment = EXPERIMENT.replace('["iops"]', '["clat_p99_ns", "iops"]')
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=2), experiment=experiment)
    names = {path.name for path in write_report(folder).charts}
    explained = {"latency.png", "cpu.png", "traces.png"}
    assert names == {"clat_p99_ns.png", "iops.png", "runs.png", "ratio.png"} | explained


@pytest.mark.usefixtures("quick_pictures")
def test_an_experiment_in_which_everything_failed_has_a_report(tmp_path: Path) -> None:
    """No run, no number, no verdict, but a report that says so."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=2, fails=lambda run: Outcome.BOOT_FAILED))
    paths = write_report(folder)
    assert paths.comparison.verdict is Verdict.INCONCLUSIVE
    assert "boot-failed" in paths.text.read_text() and len(paths.charts) == 4 and paths.page.exists()


@pytest.mark.usefixtures("quick_pictures")
def test_an_experiment_without_a_schedule_has_no_pictures(tmp_path: Path) -> None:
    """An empty schedule has no points."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=0))
    assert write_report(folder).charts == ()


@pytest.mark.usefixtures("quick_pictures")
def test_a_published_table_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    """The runs are made and their report must come: it only says which table is missing."""
    experiment = EXPERIMENT.replace("virtio-scsi-multiqueue-2025", "no-such-table")
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=1), experiment=experiment)
    paths = write_report(folder)
    assert "no published table is drawn" in paths.markdown.read_text()
    assert any("no-such-table" in caveat.text for caveat in paths.comparison.caveats)


@pytest.mark.usefixtures("quick_pictures")
def test_a_report_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A file where the folder should be is the host's problem, with the path."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=1))
    (folder / "report").write_text("in the way")
    with pytest.raises(HostError, match="cannot be written"):
        write_report(folder)


def test_a_report_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A results folder of somebody else cannot make the lab write elsewhere."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=1))
    (tmp_path / "elsewhere").mkdir()
    (folder / "report").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        write_report(folder)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.usefixtures("quick_pictures")
def test_planted_links_in_the_report_folder_are_not_followed(tmp_path: Path) -> None:
    """Neither text nor pictures are written through them."""
    folder = write_campaign(tmp_path / "demo", Campaign(blocks=1))
    (folder / "report").mkdir()
    outside = tmp_path / "outside"
    outside.write_text("precious")
    for name in (".report.md.part", ".report.txt.part", ".iops.png.part", ".runs.svg.part", ".report.html.part"):
        (folder / "report" / name).symlink_to(outside)
    write_report(folder)
    assert outside.read_text() == "precious"


@pytest.mark.filterwarnings("error")
def test_extreme_values_make_no_noise(tmp_path: Path) -> None:
    """The largest and smallest values that are accepted give a report without a warning of numpy or matplotlib."""
    campaign = Campaign(blocks=6)
    values = cycle([9e17, -9e17, 1e-18, 0.0, 1.0])
    records = []
    for record in campaign.records():
        metrics = {name: next(values) for name in record.metrics}
        records.append(replace(record, metrics=metrics, traces={"iops": tuple(islice(values, 12))}))
    folder = write_campaign(tmp_path / "demo", campaign)
    write_lines(folder / "runs.jsonl", [json_from_record(record) for record in records])
    assert write_report(folder).charts


def _crash(run: ScheduledRun) -> Outcome | None:
    return Outcome.QEMU_CRASHED if run.cell.arm is Arm.CANDIDATE else None


@pytest.mark.usefixtures("quick_pictures")
@pytest.mark.parametrize(
    ("campaign", "ended", "code", "cases"),
    [
        (Campaign(fails=_crash), 36, ExitCode.FINDING, {"failure": 1, "skipped": 3}),
        (Campaign(fails=lambda run: Outcome.QEMU_CRASHED), 36, ExitCode.UNDECIDED, {"skipped": 3}),
        (Campaign(effect=lambda point: 0.5), 13, ExitCode.UNDECIDED, {"skipped": 3}),
        (Campaign(), 0, ExitCode.UNDECIDED, {"skipped": 3}),
        (Campaign(fails=lambda run: Outcome.VOID), 36, ExitCode.UNDECIDED, {"skipped": 3}),
        (Campaign(noise=0.001), 36, ExitCode.DONE, {"passed": 3}),
    ],
    ids=["candidate-crashes", "both-crash", "interrupted", "not-begun", "void", "a/a"],
)
def test_odd_experiments_have_whole_reports(
    tmp_path: Path, campaign: Campaign, ended: int, code: ExitCode, cases: dict[str, int]
) -> None:
    """What CI shows of them says the same as the exit code, and how to measure again."""
    folder = write_campaign(tmp_path / "x", campaign, records=campaign.records()[:ended])
    paths = write_report(folder)
    assert paths.comparison.exit_code is code
    suite = ET.parse(paths.junit).getroot()[0]
    found = Counter(
        next((child.tag for child in case if child.tag != "system-out"), "passed")
        for case in suite.findall("testcase")
        if case.get("classname") in ("iops", "findings")
    )
    assert found == cases
    for text in (paths.summary, paths.markdown, paths.text, paths.page, paths.junit):
        said = text.read_text().replace("\\_", " ").replace("_", " ")
        assert paths.comparison.verdict.value.replace("_", " ") in said or text is paths.junit
        assert "lab run jobs/virtio-scsi-iothreads.toml" in said and "profile" in said
    assert max(map(len, paths.text.read_text().splitlines())) <= 72
