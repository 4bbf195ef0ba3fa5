"""What the user named (tree, base, series) to the two builds that are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lab.build.arms import Arms, build_arms
from lab.build.distribution import source_from_distribution
from lab.build.source import SourceTree, source_from_path
from lab.errors import InputError
from lab.progress import Progress
from lab.series.read import read_series, series_from_range
from lab.series.series import Series


@dataclass(frozen=True)
class ArmsRequest:
    """What ``--tree``, ``--base``, ``--series``, ``--range`` and ``--revision`` say.

    :param tree: a clone of QEMU, an unpacked source or a tarball; None for the distribution's source package.
    :param base: the commit that the series applies to; None takes what the series names, else HEAD.
    :param series: mbox, maildir, folder of patches or a single mail.
    :param range: ``base..topic`` of the tree instead of a series.
    :param revision: of the series; None takes the newest.
    :param force: compare builds that differ in more than their source; every report says so.
    """

    tree: Path | None = None
    base: str | None = None
    series: Path | None = None
    range: str | None = None
    revision: int | None = None
    force: bool = False

    @property
    def names_a_series(self) -> bool:
        """Tell whether there is anything to compare with the base."""
        return self.series is not None or self.range is not None

    @property
    def series_name(self) -> str:
        """What the user called the series, for people."""
        return self.range or (str(self.series) if self.series is not None else "")

    def with_series(self, series: Path) -> ArmsRequest:
        """Return the request with a series in it."""
        return replace(self, series=series)


def series_from_request(request: ArmsRequest, *, partial: bool = False) -> Series:
    """Return the series that a request names.

    :param partial: accept one with missing patches.
    :raise InputError: it cannot be read, is not complete, or the options contradict each other.
    """
    if request.range is not None:
        if request.series is not None:
            raise InputError("--series and --range name two series", remedy="name one of them")
        if request.tree is None:
            raise InputError(f"--range {request.range} needs a tree", remedy="add --tree DIR")
        if request.revision is not None:
            raise InputError(
                f"--revision {request.revision} chooses from a mailbox, --range names commits",
                remedy="leave one of them out",
            )
        return series_from_range(request.tree, request.range)
    if request.series is None:
        raise InputError("no series is named", remedy="add --series FILE, or --tree DIR --range BASE..TOPIC")
    return read_series(request.series, revision=request.revision, partial=partial)


def arms_from_request(request: ArmsRequest, *, progress: Progress, series: Series | None = None) -> Arms:
    """Build both arms; a second call takes them from the cache.

    :param series: what :func:`series_from_request` returned, where it was read before.
    :raise InputError: the tree, the base or the series is wrong, or the series does not apply.
    :raise FindingError: the base builds, but the series does not.
    :raise HostError: this host cannot fetch or build QEMU.
    :raise NotComparableError: the two builds differ in more than their source.
    """
    series = series or series_from_request(request)
    source = source_from_request(request, series, progress=progress)
    return build_arms(source, series, progress=progress, force=request.force)


def base_from_request(request: ArmsRequest, *, progress: Progress) -> Arms:
    """Build the base alone, for what looks at one binary; both arms are that build.

    :raise InputError: the tree or the base is wrong, or a series is named.
    :raise CommandError: the base does not build.
    :raise HostError: this host cannot fetch or build QEMU.
    """
    if request.names_a_series:
        raise InputError("the base alone takes no series", remedy="leave --series and --range out")
    return build_arms(source_from_request(request, None, progress=progress), None, progress=progress)


def source_from_request(
    request: ArmsRequest, series: Series | None, *, progress: Progress, refresh: bool = False
) -> SourceTree:
    """Return the base that a request names, or the one that its series does.

    :param refresh: look for a newer source package, where the distribution's is taken.
    :raise InputError: it is not QEMU's, or has no such commit.
    :raise HostError: the distribution's source cannot be had.
    """
    base = request.base
    if base is None and request.range is not None:
        base = request.range.split("..", 1)[0] or None
    if request.tree is None:
        if base is not None:
            raise InputError(f"--base {base} needs a tree", remedy="add --tree DIR")
        return source_from_distribution(progress=progress, refresh=refresh)
    hint = series.base_commit if series is not None else ""
    return source_from_path(request.tree, base, hint=hint, progress=progress)
