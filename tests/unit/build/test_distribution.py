from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from lab.build.distribution import fetch_new_enough, orig_tarball, source_from_distribution, upstream_version
from lab.errors import HostError
from lab.host.apt import PrivateApt
from lab.progress import SilentProgress
from tests.unit.build.fake_tree import FILES

QUIET = SilentProgress()


class FakeApt:
    """A mirror's suite that has one version of QEMU."""

    def __init__(self, version: str | None, *, delivers: bool = True) -> None:
        self.version, self.delivers, self.downloads = version, delivers, 0

    def source_version(self, package: str) -> str | None:
        """Return the version."""
        assert package == "qemu"
        return self.version

    def download_source(self, package: str, into: Path) -> Sequence[Path]:
        """Write the files of a source package."""
        assert package == "qemu"
        if not self.delivers:
            raise HostError("404 Not Found")
        self.downloads += 1
        path = into / "qemu_10.0.0+ds.orig.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in FILES.items():
                info = tarfile.TarInfo(f"qemu-10.0.0/{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content.encode()))
        return (into / "qemu_10.0.0+ds-1.dsc", into / "qemu_10.0.0+ds-1.debian.tar.xz", path)


def suites(**known: FakeApt | HostError):  # type: ignore[no-untyped-def]
    """Return a function that opens these suites; None is called ``own``."""

    def open_suite(suite: str | None) -> PrivateApt:
        found = known[suite or "own"]
        if isinstance(found, HostError):
            raise found
        return cast("PrivateApt", found)

    return open_suite


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1:10.0.13+ds-0+deb13u1", (10, 0)),
        ("1:7.2+dfsg-7", (7, 2)),
        ("11.1.3", (11, 1)),
        ("2:9.2.0~rc3+ds-1", (9, 2)),
        ("none", (0, 0)),
    ],
)
def test_the_upstream_version_is_read_from_a_package_version(version: str, expected: tuple[int, int]) -> None:
    """Epoch, repacking and revision are left out."""
    assert upstream_version(version) == expected


def test_the_first_suite_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    """The host's own comes first, and later ones are not asked."""
    open_suite = suites(own=FakeApt("1:7.2+dfsg-7"), trixie=FakeApt("1:10.0.13+ds-0"), sid=HostError("not asked"))
    path, version = fetch_new_enough((None, "trixie", "sid"), open_suite, tmp_path, QUIET)
    assert (path.name, version) == ("qemu_10.0.0+ds.orig.tar.gz", "1:10.0.13+ds-0")


def test_a_suite_that_does_not_deliver_is_passed_over(tmp_path: Path) -> None:
    """A mirror's lists can be ahead of its files."""
    open_suite = suites(trixie=FakeApt("1:10.0.13+ds-0", delivers=False), sid=FakeApt("1:11.1.3"))
    assert fetch_new_enough(("trixie", "sid"), open_suite, tmp_path, QUIET)[1] == "1:11.1.3"


def test_no_suite_that_is_new_enough_is_a_host_error(tmp_path: Path) -> None:
    """It says what each has."""
    open_suite = suites(own=FakeApt("1:7.2+dfsg-7"), trixie=HostError("no network"), sid=FakeApt(None))
    with pytest.raises(HostError, match=r"own suite has 1:7\.2.*trixie: no network; sid has none") as caught:
        fetch_new_enough((None, "trixie", "sid"), open_suite, tmp_path, QUIET)
    assert "--tree" in caught.value.remedy


def test_a_source_package_without_upstream_tarball_is_a_host_error() -> None:
    """Or with one in a format that cannot be read."""
    with pytest.raises(HostError, match="no upstream tarball"):
        orig_tarball((Path("qemu_10.0.0.orig.tar.zst"), Path("qemu_10.0.0.orig-roms.tar.xz")))


def test_the_source_is_fetched_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is asked to look again, or its commit is gone; nothing downloaded stays."""
    apt = FakeApt("1:10.0.13+ds-0")
    monkeypatch.setattr(PrivateApt, "open", lambda **_: apt)
    first = source_from_distribution(progress=QUIET)
    assert (first.origin, first.version) == ("qemu 1:10.0.13+ds-0", "10.0.0")
    assert source_from_distribution(progress=QUIET) == first and apt.downloads == 1
    assert source_from_distribution(progress=QUIET, refresh=True) == first and apt.downloads == 2
    record = cache / "git" / "distribution.json"
    record.write_text(json.dumps({"commit": "a" * 40, "origin": "x"}))
    assert source_from_distribution(progress=QUIET) == first and apt.downloads == 3
    record.write_text("{")
    assert source_from_distribution(progress=QUIET) == first and apt.downloads == 4
    assert not list(cache.glob("download-*"))
