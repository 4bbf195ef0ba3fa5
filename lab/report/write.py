"""A results folder to its report folder: pictures, report.md, report.txt, from stored data only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lab.analysis.caveats import Caveat, CaveatKind
from lab.analysis.compare import Comparison, compare_results
from lab.analysis.results import read_results
from lab.errors import HostError, InputError
from lab.report.folder import replace_file
from lab.report.markdown import markdown_text
from lab.report.pictures import draw_pictures
from lab.report.reference import reference_table
from lab.report.text import mail_text, terminal_text


@dataclass(frozen=True)
class ReportPaths:
    """What was written.

    :param folder: the report folder.
    :param charts: the PNG files.
    """

    folder: Path
    charts: tuple[Path, ...]
    markdown: Path
    text: Path
    comparison: Comparison


def write_report(results: Path) -> ReportPaths:
    """Judge a results folder and write its report.

    A published table that is asked for and cannot be drawn is a warning: it must not cost anybody the report.

    :raise InputError: the folder is damaged, or its report folder is a symbolic link to elsewhere.
    :raise HostError: the report cannot be written.
    """
    comparison = compare_results(read_results(results))
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
        markdown, text = folder / "report.md", folder / "report.txt"
        replace_file(markdown, markdown_text(comparison, pictures).encode())
        replace_file(text, mail_text(comparison).encode())
    except OSError as err:
        raise HostError(f"the report in {folder} cannot be written: {err.strerror}", evidence=folder) from err
    return ReportPaths(folder, pictures, markdown, text, comparison)


def report_text_for_terminal(paths: ReportPaths) -> str:
    """Return table, verdicts, warnings, and where the pictures are."""
    return terminal_text(paths.comparison, paths.charts, paths.markdown)
