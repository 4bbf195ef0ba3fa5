from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.compare import compare_results
from lab.analysis.results import read_results
from lab.record import Outcome
from lab.report import page_cells
from lab.report.page_cells import cells_of_page
from tests.unit.analysis.campaign import Campaign, write_campaign
from tests.unit.report.examples import HOSTILE, results


def test_a_cell_has_its_runs_and_their_files(tmp_path: Path) -> None:
    """In the order of the table, baseline first; each run links to what it left behind."""
    folder = write_campaign(tmp_path / "x", Campaign(blocks=2))
    cells = cells_of_page(compare_results(read_results(folder)))
    assert [cell.id for cell in cells[:2]] == ["baseline.iothreads=1", "candidate.iothreads=1"]
    assert (cells[0].planned, cells[0].ok, cells[0].failed, len(cells[0].runs)) == (2, 2, 0, 2)
    link = cells[0].runs[0].files[0]
    assert (
        link.name == "command-line.txt"
        and link.address == f"../runs/{cells[0].runs[0].id}/command-line.txt".replace("=", "%3D")
    )
    assert cells[0].command_line.startswith("qemu-system-x86_64")
    assert cells[0].runs[0].value != "-" and cells[0].commands


def test_failures_are_never_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cell has more runs than are listed, those that failed are listed."""
    monkeypatch.setattr(page_cells, "LARGEST_RUNS", 18)
    lost = Campaign(fails=lambda run: Outcome.VOID if run.block > 4 else None)
    cell = cells_of_page(compare_results(results(lost)))[0]
    assert (cell.ok, cell.failed, cell.left_out) == (4, 2, 3)
    assert [run.ok for run in cell.runs] == [True, False, False]
    assert cell.runs[-1].outcome == "void" and cell.runs[-1].value == "-"


def test_the_number_of_cells_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page about thousands of cells would not open."""
    monkeypatch.setattr(page_cells, "LARGEST_CELLS", 3)
    assert len(cells_of_page(compare_results(results(Campaign())))) == 3


def test_an_address_is_never_more_than_a_path(tmp_path: Path) -> None:
    """Slashes, colons, quotes and line ends of a name are encoded; links among the files are not followed."""
    campaign = Campaign(factors={"bs": (HOSTILE, "a/../../b")}, blocks=1, level=lambda point: 5.0)
    made = replace(results(campaign), path=write_campaign(tmp_path / "x", campaign))
    first = campaign.records()[0]
    (made.path / "runs" / first.id / "secret").symlink_to("/etc/passwd")
    cells = cells_of_page(compare_results(made))
    addresses = [link.address for cell in cells for run in cell.runs for link in run.files]
    assert len(addresses) == 4 and all(address.count("/") == 3 for address in addresses)
    assert not any(char in address for address in addresses for char in ":<>\"'\n ")
