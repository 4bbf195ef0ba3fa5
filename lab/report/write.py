"""A results folder to its report folder: pictures, report.md, report.txt, from stored data only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.analysis.compare import Comparison, compare_results
from lab.analysis.results import read_results
from lab.errors import HostError
from lab.report.markdown import markdown_text
from lab.report.pictures import draw_pictures
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

    :raise InputError: the folder, or the published table it asks for, is damaged or missing.
    :raise HostError: the report cannot be written.
    """
    comparison = compare_results(read_results(results))
    folder = results / "report"
    try:
        folder.mkdir(exist_ok=True)
        pictures = draw_pictures(folder, comparison)
        markdown, text = folder / "report.md", folder / "report.txt"
        _replace(markdown, markdown_text(comparison, pictures))
        _replace(text, mail_text(comparison))
    except OSError as err:
        raise HostError(f"the report in {folder} cannot be written: {err.strerror}", evidence=folder) from err
    return ReportPaths(folder, pictures, markdown, text, comparison)


def report_text_for_terminal(paths: ReportPaths) -> str:
    """Return table, verdicts, warnings, and where the pictures are."""
    return terminal_text(paths.comparison, paths.charts, paths.markdown)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
