"""A job to campaigns that tell what this host's noise does: one binary against itself, rebuilt, and slowed down.

Each campaign is an ordinary results folder, run and resumed as any other; what they come to is computed from the stored
data (lab/analysis/calibrate.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.build.arms import Arms, build_arms, build_control
from lab.build.source import SourceTree
from lab.errors import InputError
from lab.experiment.arms import ArmsRequest, series_from_request, source_from_request
from lab.experiment.conduct import Request, conduct
from lab.experiment.job import load_job
from lab.host.exclusive import check_host_is_free
from lab.progress import Progress
from lab.series.series import Series
from lab.settings import project_dir

ALIKE, REBUILD, LATENCY, PATCH = "alike", "rebuild", "latency", "patch"
_MORE_ALIKE = 2


@dataclass(frozen=True)
class CalibrationRequest:
    """What ``lab calibrate`` was asked.

    :param tree: a clone or unpacked source of QEMU; None for the distribution's source package.
    :param base: commit of the tree; None takes HEAD.
    :param results: folder for the campaigns' folders; None lets the lab choose, the same one each time.
    :param blocks: of the campaign of alike arms; None makes it twice those of the profile, so that at least two
        experiments of the usual size come out of it.
    :param latencies_ns: one campaign for each, with so much more latency of the candidate's backend.
    :param series: a slowdown of known size as a patch, for one more campaign.
    :param rebuild: also build the base a second time, from nothing, and compare the two builds.
    :param wait: wait for whoever holds this host, rather than refuse.
    """

    job: Path
    tree: Path | None = None
    base: str | None = None
    results: Path | None = None
    profile: str | None = None
    accelerator: str | None = None
    blocks: int | None = None
    latencies_ns: tuple[int, ...] = ()
    series: Path | None = None
    rebuild: bool = False
    command: str = ""
    wait: bool = False

    def arms(self, series: Path | None = None) -> ArmsRequest:
        """Return what ``--tree`` and ``--base`` name, with a series or without."""
        return ArmsRequest(tree=self.tree, base=self.base, series=series)


@dataclass(frozen=True)
class CampaignFolder:
    """The results folder of a finished campaign.

    :param kind: ``alike``, ``rebuild``, ``latency`` or ``patch``.
    :param latency_ns: what was added to the candidate's backend.
    """

    kind: str
    latency_ns: int
    folder: Path


def run_campaigns(request: CalibrationRequest, progress: Progress) -> tuple[CampaignFolder, ...]:
    """Run the campaigns of a calibration, or go on with them; the one of alike arms comes first.

    :raise InputError: the job, the tree, the series or a folder is wrong, or the job's storage cannot be slowed down.
    :raise CommandError: the base does not build.
    :raise FindingError: the series does not build.
    :raise NotComparableError: the two builds of the series differ in more than their source.
    :raise HostError: this host lacks what is needed, or another experiment is under way on it.
    """
    loaded = load_job(request.job)
    profile_name, profile = loaded.profile(request.profile)
    _check_backend(request, loaded.job.machine.backend.driver)
    root = request.results or project_dir() / "results" / f"calibration-{loaded.name}-{profile_name}"
    check_host_is_free("calibrate", waiting=progress if request.wait else None)
    series = series_from_request(request.arms(request.series)) if request.series else None
    source = source_from_request(request.arms(), series, progress=progress)
    same = build_arms(source, None, progress=progress)
    done = []
    for kind, latency_ns, arms in _campaigns(request, source, series, same, progress):
        name = f"{kind}-{latency_ns}ns" if latency_ns else kind
        blocks = profile.blocks
        if kind == ALIKE:
            blocks = request.blocks or _MORE_ALIKE * profile.blocks
        progress.say(f"campaign {name}: {blocks} blocks")
        asked = Request(
            job=request.job,
            arms=request.arms(request.series if kind == PATCH else None),
            results=root / name,
            profile=request.profile,
            accelerator=request.accelerator,
            wait=request.wait,
            command=request.command,
            built=arms,
            blocks=blocks,
            control=kind,
            candidate_latency_ns=latency_ns,
        )
        done.append(CampaignFolder(kind, latency_ns, conduct(asked, progress).folder))
    return tuple(done)


def _campaigns(
    request: CalibrationRequest, source: SourceTree, series: Series | None, same: Arms, progress: Progress
) -> Iterator[tuple[str, int, Arms]]:
    """Yield kind, added latency and arms of each campaign; a further build is only begun when its turn has come."""
    yield ALIKE, 0, same
    for latency_ns in request.latencies_ns:
        yield LATENCY, latency_ns, same
    if series is not None:
        yield PATCH, 0, build_arms(source, series, progress=progress)
    if request.rebuild:
        yield REBUILD, 0, build_control(source, progress=progress)


def _check_backend(request: CalibrationRequest, driver: str) -> None:
    if request.latencies_ns and not driver.startswith("null-"):
        raise InputError(
            f"{request.job}: only a null backend can be slowed down by a known latency, and this one is {driver}",
            remedy="slow it down by a patch instead (--series FILE), or not at all (--no-latency)",
        )
