from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import HostError, InputError
from lab.host import apt as module
from lab.host.apt import PackageVersion, PrivateApt
from lab.host.apt_config import AptConfiguration
from lab.host.apt_sources import AptSource
from lab.host.distribution import Distribution
from lab.testing import RecordingProgress
from tests.unit.host.fake_apt import Answer, FakeApt, host_answers, result

DEBIAN = Distribution("debian", (), "Debian 12")
HOST = """\
deb http://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/debian-security bookworm-security main
deb http://third.example/debian bookworm main
"""
TARGETS = """\
http://mirror.example/debian/ bookworm Debian Debian
http://mirror.example/debian/ bookworm-updates Debian Debian
http://mirror.example/debian-security/ bookworm-security Debian Debian-Security
http://third.example/debian/ bookworm Third Third
"""
DAY_S = 24 * 3600.0


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_KEYRINGS", tmp_path / "keyrings")


@pytest.fixture
def answers(tmp_path: Path) -> dict[str, Answer]:
    """What a Debian host says whose sources name a third party too."""
    return {**host_answers(tmp_path / "etc", HOST), "apt-get indextargets": TARGETS}


class Opening:
    """Opens private apts of one host."""

    def __init__(self, run: FakeApt) -> None:
        self.run = run
        self.progress = RecordingProgress()

    def __call__(self, *, suite: str | None = None, refresh: bool = False, age_s: float = 0.0) -> PrivateApt:
        """Open one, so long after the last lists were fetched."""
        return PrivateApt.open(
            suite=suite,
            source=True,
            refresh=refresh,
            progress=self.progress,
            run=self.run,
            has=lambda _: True,
            distribution=DEBIAN,
            now_s=lambda: _newest_stamp() + age_s,
        )


def _newest_stamp() -> float:
    stamps = list(Path(os.environ["LAB_CACHE"]).glob("apt/*/updated"))
    return max((stamp.stat().st_mtime for stamp in stamps), default=0.0)


def written_sources() -> str:
    """Return the sources of every private apt."""
    files = Path(os.environ["LAB_CACHE"]).glob("apt/*/sources/lab.sources")
    return "\n".join(file.read_text() for file in files)


def test_third_parties_are_told_by_their_signed_origin_and_left_out(answers: dict[str, Answer]) -> None:
    """The mirror's three suites stay; who only looks like it (same suite, component main) goes."""
    Opening(FakeApt(answers))()
    assert written_sources().count("URIs: http://mirror.example") == 3
    assert "third.example" not in written_sources()


def test_lists_are_fetched_once_a_day(answers: dict[str, Answer]) -> None:
    """A second call asks nobody; after a day, or when told to, it does."""
    run = FakeApt(answers)
    opening = Opening(run)
    opening()
    fetched = run.count("apt-get update")
    opening(age_s=DAY_S - 60)
    assert run.count("apt-get update") == fetched
    opening(age_s=DAY_S + 60)
    assert run.count("apt-get update") > fetched
    fetched = run.count("apt-get update")
    opening(refresh=True)
    assert run.count("apt-get update") > fetched


def test_lists_that_could_not_be_renewed_serve_and_are_tried_again_next_time(answers: dict[str, Answer]) -> None:
    """No stamp is left, and the user is told."""
    answers["apt-get update"] = result(
        stderr="W: Failed to fetch http://mirror.example/debian/dists/bookworm/InRelease"
    )
    run = FakeApt(answers)
    opening = Opening(run)
    opening()
    assert opening.progress.lines == ["the mirror did not answer; going on with older package lists"]
    fetched = run.count("apt-get update")
    opening()
    assert run.count("apt-get update") > fetched


def test_another_suite_comes_from_the_same_mirror_and_the_distributions_keys(
    answers: dict[str, Answer], tmp_path: Path
) -> None:
    """Not from the security archive, nor from a third party; the keyring package has the next release's keys."""
    keyring = tmp_path / "keyrings" / "debian-archive-keyring.gpg"
    keyring.parent.mkdir()
    keyring.touch()
    Opening(FakeApt(answers))(suite="trixie")
    stanzas = [stanza for stanza in written_sources().split("\n\n") if "Suites: trixie" in stanza]
    (stanza,) = stanzas
    assert "URIs: http://mirror.example/debian\n" in stanza and f"Signed-By: {keyring}" in stanza
    assert "Components: main contrib" in stanza


def test_without_a_keyring_package_the_hosts_own_key_is_asked_for(answers: dict[str, Answer]) -> None:
    """It then fails in apt rather than here, if it is not good for that suite."""
    apt = Opening(FakeApt(answers))()
    expected = AptSource("http://mirror.example/debian", "trixie", ("main", "contrib"))
    assert apt.sources_of("trixie", DEBIAN) == (expected,)


def test_a_host_without_apt_is_told_where_it_works() -> None:
    """Exit code 3, not a traceback."""
    with pytest.raises(HostError, match="no apt-get") as caught:
        PrivateApt.open(progress=RecordingProgress(), has=lambda _: False)
    assert "Debian" in caught.value.remedy


def test_the_name_of_a_suite_is_checked() -> None:
    """It becomes part of a file that apt reads."""
    with pytest.raises(InputError, match="name of a suite"):
        PrivateApt.open(suite="trixie\nTrusted: yes", progress=RecordingProgress())


def test_a_host_whose_mirror_never_answered_is_told_so(answers: dict[str, Answer]) -> None:
    """No list of the distribution at all."""
    answers["apt-get indextargets"] = ""
    with pytest.raises(HostError, match="no package list of Debian 12"):
        Opening(FakeApt(answers))()


def test_a_suite_that_is_not_on_the_mirror_is_told_so(answers: dict[str, Answer]) -> None:
    """The host's own lists are there, the other suite's are not."""
    opening = Opening(FakeApt(answers))
    opening()
    opening.run.answers["apt-get indextargets"] = ""
    with pytest.raises(HostError, match="no package list of nosuch"):
        opening(suite="nosuch")


def make_apt(folder: Path, answers: dict[str, Answer]) -> PrivateApt:
    """Return an apt that was opened before."""
    return PrivateApt(AptConfiguration(folder, FakeApt(answers)))


def test_versions_are_asked_of_apt(tmp_path: Path) -> None:
    """A package that nobody has is None, not an error; of several source versions the newest counts."""
    apt = make_apt(
        tmp_path,
        {
            "apt-cache policy fio": "fio:\n  Installed: (none)\n  Candidate: 3.33-3\n",
            "apt-cache policy absent": "",
            "apt-cache policy virtual": "virtual:\n  Candidate: (none)\n",
            "apt-cache showsrc --only-source qemu": "Package: qemu\nVersion: 1:7.2\n\nPackage: qemu\nVersion: 1:10.0\n",
            "apt-cache showsrc --only-source absent": result(100, stderr="E: Unable to locate"),
            "dpkg --compare-versions 1:10.0 gt 1:7.2": "",
            "dpkg --compare-versions 1:7.2 gt 1:10.0": result(1),
        },
    )
    assert [apt.candidate_version(name) for name in ("fio", "absent", "virtual")] == ["3.33-3", None, None]
    assert (apt.source_version("qemu"), apt.source_version("absent")) == ("1:10.0", None)


def test_the_closure_is_what_the_solver_would_install(tmp_path: Path) -> None:
    """Sorted, with the versions it chose."""
    simulated = (
        "Inst libc6 (2.36-9 Debian:12 [amd64])\nInst dropbear-bin (2022.83-1 Debian:12 [amd64])\nConf libc6 (2.36)\n"
    )
    apt = make_apt(tmp_path, {"apt-get install --simulate --no-install-recommends": simulated})
    assert [package.name for package in apt.resolve(["dropbear-bin"])] == ["dropbear-bin", "libc6"]
    assert apt.resolve(["dropbear-bin"])[1] == PackageVersion("libc6", "2.36-9")


def leaving(*names: str) -> Callable[[Path | None], str]:
    """Return an answer that leaves files in the working folder."""

    def answer(folder: Path | None) -> str:
        assert folder is not None
        for name in names:
            (folder / name).write_text(name)
        return ""

    return answer


def test_downloads_come_in_the_order_they_were_asked_for(tmp_path: Path) -> None:
    """Whatever the order of the files; nothing half-done stays."""
    files = leaving("busybox-static_1%3a1.35_amd64.deb", "libaio-dev_0.3_amd64.deb")
    apt = make_apt(tmp_path / "apt", {"apt-get download --quiet libaio-dev=0.3 busybox-static": files})
    into = tmp_path / "debs"
    found = apt.download(["libaio-dev=0.3", "busybox-static"], into)
    assert found == (into / "libaio-dev_0.3_amd64.deb", into / "busybox-static_1%3a1.35_amd64.deb")
    assert sorted(into.iterdir()) == sorted(found)
    assert apt.download([], into) == ()


def test_a_failed_download_leaves_nothing(tmp_path: Path) -> None:
    """A checksum that is wrong, say."""

    def answer(folder: Path | None) -> str:
        leaving("fio_3.33.orig.tar.gz")(folder)
        raise HostError("E: Hash Sum mismatch")

    apt = make_apt(tmp_path / "apt", {"apt-get source": answer})
    with pytest.raises(HostError, match="Hash Sum mismatch"):
        apt.download_source("fio", tmp_path / "source")
    assert list((tmp_path / "source").iterdir()) == []


def test_sources_are_fetched_and_not_unpacked(tmp_path: Path) -> None:
    """``--download-only`` needs no dpkg-dev."""
    words = "apt-get source --download-only --only-source --quiet fio=3.33-3"
    apt = make_apt(tmp_path / "apt", {words: leaving("fio_3.33-3.dsc", "fio_3.33.orig.tar.gz")})
    found = apt.download_source("fio=3.33-3", tmp_path / "source")
    assert [path.name for path in found] == ["fio_3.33-3.dsc", "fio_3.33.orig.tar.gz"]


def test_packages_are_unpacked_below_a_folder(tmp_path: Path) -> None:
    """By dpkg-deb, which runs nothing of them; the packages themselves are removed."""
    run = FakeApt({"apt-get download": leaving("fio_3_amd64.deb"), "dpkg-deb --extract": ""})
    root = tmp_path / "root"
    PrivateApt(AptConfiguration(tmp_path, run)).unpack([PackageVersion("fio", "3")], root)
    assert run.calls[-1].startswith("dpkg-deb --extract ") and run.calls[-1].endswith(f"fio_3_amd64.deb {root}")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


@pytest.mark.parametrize("name", ["-o=Dir::Etc=/x", "fio;reboot", "Fio", ""])
def test_what_is_no_package_name_never_reaches_apt(tmp_path: Path, name: str) -> None:
    """A name that begins with a dash would be an option."""
    apt = make_apt(tmp_path, {})
    for action in (
        lambda: apt.candidate_version(name),
        lambda: apt.source_version(name),
        lambda: apt.resolve([name]),
        lambda: apt.download([name], tmp_path),
        lambda: apt.download_source(name, tmp_path),
    ):
        with pytest.raises(InputError, match="name of a package"):
            action()
