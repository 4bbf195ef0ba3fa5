"""A results folder to its report folder: pictures, a page, texts and what CI shows, from stored data only.

docs/report.md says what each file is for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lab.analysis.calibration import calibration_of
from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.compare import Comparison, compare_results
from lab.analysis.results import read_results
from lab.errors import HostError, InputError
from lab.files import write_atomically
from lab.report.junit import junit_text
from lab.report.markdown import markdown_text
from lab.report.page import page_text
from lab.report.pictures import draw_pictures
from lab.report.reference import reference_table
from lab.report.summary import summary_text
from lab.report.text import mail_text, terminal_text


@dataclass(frozen=True)
class ReportPaths:
    """What was written.

    :param folder: the report folder.
    :param charts: the PNG files; an SVG file stands beside each.
    :param page: report.html.
    :param markdown: report.md.
    :param text: report.txt.
    :param junit: junit.xml.
    :param summary: summary.md.
    """

    folder: Path
    charts: tuple[Path, ...]
    page: Path
    markdown: Path
    text: Path
    junit: Path
    summary: Path
    comparison: Comparison


def write_report(results: Path) -> ReportPaths:
    """Judge a results folder and write its report.

    A published table that is asked for and cannot be drawn is a warning: it must not cost anybody the report.

    :raise InputError: the folder is damaged, or its report folder is a symbolic link to elsewhere.
    :raise HostError: the report cannot be written.
    """
    read = read_results(results)
    comparison = compare_results(read, calibration_of(read))
    table, lack = reference_table(comparison.results.question)
    if lack:
        comparison = replace(comparison, caveats=(*comparison.caveats, Caveat(CaveatKind.FILES, lack)))
    folder = results / "report"
    if folder.is_symlink():
        raise InputError(
            f"{folder} is a symbolic link, and a report is only written into its own results folder",
            remedy="remove the link",
        )
    try:
        folder.mkdir(exist_ok=True)
        pictures = draw_pictures(folder, comparison, table)
        paths = ReportPaths(
            folder=folder,
            charts=tuple(picture.path for picture in pictures),
            page=folder / "report.html",
            markdown=folder / "report.md",
            text=folder / "report.txt",
            junit=folder / "junit.xml",
            summary=folder / "summary.md",
            comparison=comparison,
        )
        write_atomically(paths.page, page_text(comparison, pictures))
        write_atomically(paths.markdown, markdown_text(comparison, pictures))
        write_atomically(paths.text, mail_text(comparison))
        write_atomically(paths.junit, junit_text(comparison))
        write_atomically(paths.summary, summary_text(comparison))
    except OSError as err:
        raise HostError(f"the report in {folder} cannot be written: {err.strerror}", evidence=folder) from err
    return paths


def report_text_for_terminal(paths: ReportPaths) -> str:
    """Return table, verdicts, warnings, and where the pictures are."""
    return terminal_text(paths.comparison, paths.charts, paths.page)
