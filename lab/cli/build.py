"""``lab build``: baseline and candidate, or every patch, into the cache; and what the cache holds."""

from __future__ import annotations

from pathlib import Path

import click

from lab.build.area import prune_areas
from lab.build.arms import Arms, PatchBuild, build_arms, build_control, build_each_patch
from lab.build.build import Build
from lab.build.distribution import source_from_distribution
from lab.build.entry import EntryInfo, list_entries, prune
from lab.build.source import SourceTree, source_from_path
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.series import JSON, PARTIAL, RANGE, REVISION, load_series
from lab.command import is_installed
from lab.errors import ExitCode, HostError, InputError
from lab.progress import Progress
from lab.series.series import Series
from lab.units import seconds_from_text, text_from_seconds

_MIB = 1 << 20


@click.command()
@click.option(
    "--tree", type=click.Path(path_type=Path), help="Clone, source or tarball; the distribution's if left out."
)
@click.option("--base", help="Commit of --tree; what the series names as base-commit, or HEAD.")
@click.option("--series", "file", type=click.Path(path_type=Path), help="Patch series, as for lab series show.")
@RANGE
@REVISION
@PARTIAL
@click.option("--each-patch", "mode", flag_value="each-patch", help="Build every patch, on top of those before it.")
@click.option("--control", "mode", flag_value="control", help="Build the base a second time from nothing (A/A).")
@click.option("--list", "mode", flag_value="list", help="Show what is in the cache.")
@click.option("--force", is_flag=True, help="Accept two builds that differ in more than their source.")
@click.option("--refresh", is_flag=True, help="Look for a newer source package of the distribution.")
@click.option("--prune", "prune_", metavar="AGE", help="Remove what was not used for so long, for example 720h.")
@JSON
def build(
    tree: Path | None,
    base: str | None,
    file: Path | None,
    range_: str | None,
    revision: int | None,
    partial: bool,
    mode: str | None,
    force: bool,
    refresh: bool,
    prune_: str | None,
    as_json: bool,
) -> int:
    """Build QEMU without and with a series, with the same options; what was built before comes from the cache.

    Without --tree the base is the distribution's source package. Exit code 1 where the series does not build.

    \b
    Example:
      lab build --tree ~/src/qemu --base v10.0.0 --series my-series.mbox
    """
    builds = any(value is not None for value in (tree, base, file, range_, revision)) or partial or force or refresh
    _check_mode(mode, prune=prune_ is not None, builds=builds, series=file is not None or range_ is not None)
    if mode == "list" or prune_ is not None:
        return _manage(prune_, as_json)
    if not is_installed("git"):
        raise HostError("git is not installed, and sources are kept in it", remedy="run 'lab doctor'")
    progress = progress_for()
    found = None
    if file is not None or range_ is not None:
        found = load_series(file, tree=tree, range_=range_, revision=revision, partial=partial)
    source = _source(tree, base or _base_of_range(range_), found, refresh=refresh, progress=progress)
    if mode == "each-patch" and found is not None:
        results = build_each_patch(source, found, progress=progress)
        _print_each_patch(results, as_json)
        return ExitCode.FINDING if any(result.build is None for result in results) else ExitCode.DONE
    arms = (
        build_control(source, progress=progress)
        if mode == "control"
        else build_arms(source, found, progress=progress, force=force)
    )
    if as_json:
        print_json(arms.to_json())
    else:
        print_text(text_from_arms(arms))
    return ExitCode.DONE


def _check_mode(mode: str | None, *, prune: bool, builds: bool, series: bool) -> None:
    """Refuse options that contradict each other, before anything is read or fetched.

    :param builds: an option says what to build or how.
    """
    if prune and mode is not None:
        raise InputError(f"--prune and --{mode} exclude each other", remedy="leave one of them out")
    if builds and (prune or mode == "list"):
        name = "prune" if prune else "list"
        raise InputError(f"--{name} builds nothing, so it takes only --json beside it", remedy="leave the others out")
    if mode == "each-patch" and not series:
        raise InputError("--each-patch needs a series", remedy="name one with --series or --range")
    if mode == "control" and series:
        raise InputError("--control builds the base twice, so it takes no series", remedy="leave one of them out")


def _base_of_range(range_: str | None) -> str | None:
    return range_.partition("..")[0] if range_ else None


def _source(
    tree: Path | None, base: str | None, found: Series | None, *, refresh: bool, progress: Progress
) -> SourceTree:
    if tree is not None:
        return source_from_path(tree, base, hint=found.base_commit if found else "", progress=progress)
    if base is not None:
        raise InputError("a --base needs the --tree that has it")
    return source_from_distribution(progress=progress, refresh=refresh)


def text_from_arms(arms: Arms) -> str:
    """Return what was built, for people."""
    lines = [f"base       {arms.source.origin} (QEMU {arms.source.version})", _line("baseline", arms.baseline)]
    if arms.candidate is not arms.baseline:
        lines.append(_line("candidate" if arms.series else "control", arms.candidate))
    return "\n".join([*lines, *(f"warning: {warning}" for warning in arms.warnings)])


def _line(name: str, build_: Build) -> str:
    how = "from the cache" if build_.cached else f"built in {text_from_seconds(build_.seconds)}, {build_.steps} steps"
    return f"{name:<10} {build_.qemu} ({how})"


def _print_each_patch(results: tuple[PatchBuild, ...], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "index": result.index,
                "subject": result.subject,
                "commit": result.commit,
                "error": result.error or None,
                "build": result.build.to_json() if result.build else None,
            }
            for result in results
        ]
        print_json({"patches": rows})
        return
    for result in results:
        built = _line(f"{result.index:>3}", result.build) if result.build else f"{result.index:>3} DOES NOT BUILD"
        print_text(f"{built}\n     {result.subject}")
        if result.error:
            print_text(result.error)


def _manage(age: str | None, as_json: bool) -> int:
    """List the cache, or remove from it what was not used for ``age``."""
    if age is None:
        _print_entries(list_entries(), "entries", (), as_json)
    else:
        unused_for_s = seconds_from_text(age)
        _print_entries(prune(unused_for_s), "removed", prune_areas(unused_for_s), as_json)
    return ExitCode.DONE


def _print_entries(entries: tuple[EntryInfo, ...], key: str, areas: tuple[Path, ...], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "folder": str(entry.folder),
                "size_bytes": entry.size_bytes,
                "used_at": entry.used_at,
                "build": entry.build.to_json() if entry.build else None,
            }
            for entry in entries
        ]
        print_json({key: rows, "areas": [str(area) for area in areas]})
        return
    for entry in entries:
        what = f"QEMU {entry.build.version}  {entry.build.origin}" if entry.build else "damaged"
        print_text(f"{entry.folder.name[:12]}  {entry.size_bytes / _MIB:6.0f} MiB  {what}")
    for area in areas:
        print_text(f"{area.name[:12]}  work area")
    total = sum(entry.size_bytes for entry in entries) / _MIB
    print_text(f"{len(entries)} builds, {total:.0f} MiB{' removed' if key == 'removed' else ''}")
