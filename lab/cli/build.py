"""``lab build``: baseline and candidate, or every patch, into the cache; and what the cache holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lab.build.arms import build_arms, build_control
from lab.build.build import Build
from lab.build.entry import list_entries
from lab.build.patches import PatchBuild, build_each_patch
from lab.build.prune import Pruned, bytes_from_text, list_areas, prune_to, prune_unused
from lab.build.source import SourceTree
from lab.cli.build_show import (
    any_failed,
    json_from_entries,
    json_from_patches,
    text_from_arms,
    text_from_entries,
    text_from_patches,
)
from lab.cli.cells import DEFAULT_JOB
from lab.cli.output import print_json, print_text, progress_for
from lab.cli.series import JSON, PARTIAL, RANGE, REVISION
from lab.cli.types import PATH, TEXT
from lab.errors import ExitCode, InputError
from lab.experiment.arms import ArmsRequest, series_from_request, source_from_request
from lab.experiment.cells import cell_from_id
from lab.experiment.job import LoadedJob, load_job
from lab.experiment.smoke import Smoke, SmokeResult, smoke_each
from lab.host.accelerator import probe_accelerator
from lab.host.exclusive import host_lock
from lab.host.packages import require_packages
from lab.image.build import build_image
from lab.progress import Progress
from lab.series.repository import require_git
from lab.series.series import Series
from lab.settings import cache_dir, project_dir
from lab.units import seconds_from_text


@dataclass(frozen=True)
class _Asked:
    """What is asked of the cache instead of a build, and how patches are tried.

    :param prune: an age, ``--prune``.
    :param prune_to: a size, ``--prune-to``.
    """

    mode: str | None
    prune: str | None
    prune_to: str | None
    smoke: bool
    job: Path | None

    @property
    def manages(self) -> str | None:
        """Name the option that manages the cache; None where something is built."""
        chosen = {"prune": self.prune is not None, "prune-to": self.prune_to is not None, "list": self.mode == "list"}
        return next((name for name, is_set in chosen.items() if is_set), None)


@click.command()
@click.option("--tree", type=PATH, help="Clone, source or tarball; the distribution's if left out.")
@click.option("--base", type=TEXT, help="Commit of --tree; what the series names as base-commit, or HEAD.")
@click.option("--series", "file", type=PATH, help="Patch series, as for lab series show.")
@RANGE
@REVISION
@PARTIAL
@click.option("--each-patch", "mode", flag_value="each-patch", help="Build every patch, on top of those before it.")
@click.option("--smoke", is_flag=True, help="With --each-patch: boot every build and let fio verify a small disk.")
@click.option("--job", type=PATH, help=f"With --smoke: the first cell of this job is booted. [{DEFAULT_JOB}]")
@click.option("--control", "mode", flag_value="control", help="Build the base a second time from nothing (A/A).")
@click.option("--list", "mode", flag_value="list", help="Show what is in the cache, and what it was built for.")
@click.option("--force", is_flag=True, help="Accept two builds that differ in more than their source.")
@click.option("--refresh", is_flag=True, help="Look for a newer source package of the distribution.")
@click.option("--prune", "prune", metavar="AGE", type=TEXT, help="Remove what was not used for so long, such as 720h.")
@click.option("--prune-to", metavar="SIZE", type=TEXT, help="Remove the least recently used until, say, 5GiB is left.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@JSON
def build(
    mode: str | None,
    smoke: bool,
    job: Path | None,
    force: bool,
    partial: bool,
    refresh: bool,
    prune: str | None,
    prune_to: str | None,
    quiet: bool,
    as_json: bool,
    **named: Any,
) -> int:
    """Build QEMU without and with a series, with the same options; what was built before comes from the cache.

    Without --tree the base is the distribution's source package. Exit code 1 where the series, or with --each-patch
    one of its patches, does not build or (--smoke) does not boot and verify; the patches after it are tried, too.

    \b
    Example:
      lab build --tree ~/src/qemu --base v10.0.0 --series my-series.mbox --each-patch --smoke
    """
    what = ArmsRequest(named["tree"], named["base"], named["file"], named["range_"], named["revision"], force)
    asked = _Asked(mode, prune, prune_to, smoke, job)
    _check(asked, what, partial=partial, refresh=refresh)
    if asked.manages is not None:
        return _manage(asked, as_json)
    require_git()
    progress = progress_for(quiet=quiet)
    found = series_from_request(what, partial=partial) if what.names_a_series else None
    loaded = load_job(job or project_dir() / DEFAULT_JOB) if smoke else None
    source = source_from_request(what, found, progress=progress, refresh=refresh)
    if mode == "each-patch" and found is not None:
        return _each_patch(source, found, loaded, progress, as_json=as_json)
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


def _check(asked: _Asked, what: ArmsRequest, *, partial: bool, refresh: bool) -> None:
    """Refuse options that contradict each other, before anything is read or fetched."""
    prunes = [name for name, value in (("prune", asked.prune), ("prune-to", asked.prune_to)) if value is not None]
    if prunes and (asked.mode is not None or len(prunes) > 1):
        other = asked.mode or prunes[1]
        raise InputError(f"--{prunes[0]} and --{other} exclude each other", remedy="leave one of them out")
    if asked.manages is not None and (what != ArmsRequest() or partial or refresh or asked.smoke):
        raise InputError(
            f"--{asked.manages} builds nothing, so it takes only --json beside it", remedy="leave the others out"
        )
    if (what.revision is not None or partial) and not what.names_a_series:
        option = "--revision" if what.revision is not None else "--partial"
        raise InputError(f"{option} says how a series is read, and none is named", remedy="add --series FILE")
    if asked.mode == "each-patch" and not what.names_a_series:
        raise InputError("--each-patch needs a series", remedy="name one with --series or --range")
    if asked.mode == "control" and what.names_a_series:
        raise InputError("--control builds the base twice, so it takes no series", remedy="leave one of them out")
    if asked.smoke and asked.mode != "each-patch":
        raise InputError("--smoke boots what --each-patch builds", remedy="add --each-patch")
    if asked.job is not None and not asked.smoke:
        raise InputError("--job says what --smoke boots", remedy="add --smoke, or leave --job out")


def _each_patch(
    source: SourceTree, found: Series, loaded: LoadedJob | None, progress: Progress, *, as_json: bool
) -> int:
    """Build every patch and, where there is a job, boot each build."""
    if loaded is not None:
        require_packages()  # the minutes of the builds are not spent first
        loaded.recipe()
    patches = build_each_patch(source, found, progress=progress)
    smoke = _smoke(patches, loaded, progress) if loaded is not None else ()
    if as_json:
        print_json(json_from_patches(patches, smoke))
    else:
        print_text(text_from_patches(patches, smoke))
    return ExitCode.FINDING if any_failed(patches, smoke) else ExitCode.DONE


def _smoke(patches: Sequence[PatchBuild], loaded: LoadedJob, progress: Progress) -> tuple[SmokeResult, ...]:
    base: Build | None = patches[0].build
    assert base is not None
    image = build_image(loaded.recipe(), progress=progress)
    accelerator = probe_accelerator(base.qemu, base.firmware, image, progress=progress).accelerator
    evidence = cache_dir("smoke") / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    smoke = Smoke(loaded, cell_from_id(loaded, None), image, accelerator, evidence)
    return smoke_each(smoke, patches, progress=progress)


def _manage(asked: _Asked, as_json: bool) -> int:
    """List the cache, or remove from it what is not used or too much; never under a running experiment's feet."""
    if asked.prune is not None:
        unused_for_s = seconds_from_text(asked.prune)
        with host_lock("remove builds"):
            return _print_cache(prune_unused(unused_for_s), "removed", as_json)
    if asked.prune_to is not None:
        size_bytes = bytes_from_text(asked.prune_to)
        with host_lock("remove builds"):
            return _print_cache(prune_to(size_bytes), "removed", as_json)
    return _print_cache(Pruned(list_entries(), list_areas()), "entries", as_json)


def _print_cache(found: Pruned, key: str, as_json: bool) -> int:
    if as_json:
        print_json(json_from_entries(found.entries, found.areas, key=key))
    else:
        print_text(text_from_entries(found.entries, found.areas, removed=key == "removed", now_s=time.time()))
    return ExitCode.DONE
