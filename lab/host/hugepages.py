"""Huge pages of this host: how much memory they could still give a guest."""

from __future__ import annotations

from pathlib import Path

from lab.errors import HostError

_MIB_IN_KIB = 1 << 10
_COUNTS = ("nr", "free", "resv", "nr_overcommit", "surplus")


def require_hugepages(memory_mib: int, page_kib: int, root: Path = Path("/")) -> None:
    """Make sure that a guest's memory can be made of huge pages (hugetlbpage.rst in Linux, admin-guide/mm).

    QEMU would say "Cannot allocate memory" at the start of each run.

    :param page_kib: size of a page.
    :param root: of a tree with ``sys/``.
    :raise HostError: there are no pages of that size, or too few that are free or may be made when they are needed.
    """
    folder = root / "sys/kernel/mm/hugepages" / f"hugepages-{page_kib}kB"
    wanted = -(-memory_mib * _MIB_IN_KIB // page_kib)
    try:
        count = {name: int((folder / f"{name}_hugepages").read_text(encoding="ascii")) for name in _COUNTS}
    except (OSError, ValueError) as err:
        raise HostError(
            f"this host has no huge pages of {page_kib} KiB", remedy="write hugepages = 'off', or another size"
        ) from err
    # Free pages that another process has been promised are still counted as free, and surplus ones were made already.
    there = max(0, count["free"] - count["resv"]) + max(0, count["nr_overcommit"] - count["surplus"])
    if there < wanted:
        raise HostError(
            f"a guest of {memory_mib} MiB needs {wanted} huge pages of {page_kib} KiB, and {there} are free",
            remedy=f"as root: echo {count['nr'] + wanted - there} > {folder / 'nr_hugepages'}",
        )
