from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lab.command import CommandResult
from lab.errors import CommandError, HostError, MissingPackagesError
from lab.host.apt import PackageVersion, PrivateApt
from lab.host.apt_config import AptConfiguration
from lab.image import static_fio as module
from lab.image.static_fio import fio_program, toolchain
from lab.testing import RecordingProgress
from tests.unit.host.fake_apt import FakeApt, result

LIBRARIES = (PackageVersion("libaio-dev", "0.3"), PackageVersion("zlib1g-dev", "1.2"))
SERIES = "# what the distribution changes\nhardening\n\n"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def tarball(path: Path, files: Mapping[str, str]) -> None:
    """Write an archive; that it is not compressed, whatever its name says, does not matter here."""
    with tarfile.open(path, "w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def source_package(folder: Path | None) -> str:
    """Leave fio's source package."""
    assert folder is not None
    tarball(folder / "fio_3.33.orig.tar.gz", {"fio-3.33/FIO-VERSION-GEN": "3.33", "fio-3.33/configure": "#!/bin/sh"})
    tarball(folder / "fio_3.33-3.debian.tar.xz", {"debian/patches/series": SERIES, "debian/patches/hardening": "diff"})
    (folder / "fio_3.33-3.dsc").write_text("Format: 3.0 (quilt)")
    (folder / "fio_3.33.orig.tar.gz.asc").write_text("signature")
    return ""


def debs(folder: Path | None) -> str:
    """Leave the libraries' packages."""
    assert folder is not None
    for package in LIBRARIES:
        (folder / f"{package.name}_{package.version}_amd64.deb").touch()
    return ""


class Build:
    """Stands for configure, make, strip and git.

    :param fails: the program that fails.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> None:
        self.steps: list[tuple[str, ...]] = []
        self.patches: list[str] = []
        self.environment: Mapping[str, str] = {}
        self._fails = fails
        monkeypatch.setattr(module, "run_logged", self._run_logged)
        monkeypatch.setattr(module, "run", self._git)

    def _run_logged(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str],
        timeout_s: float,
        on_line: Callable[[str], None],
    ) -> None:
        assert timeout_s >= 300 and (cwd / "configure").exists()
        self.steps.append(tuple(argv))
        self.environment = env
        on_line(f"doing {argv[0]}")
        if argv[0] == self._fails:
            log.write_text("error: no aio")
            raise CommandError("'make' failed; the log ends with: error: no aio", evidence=log)
        if argv[0] == "make":
            (cwd / "fio").write_bytes(b"static fio")

    def _git(self, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str]) -> CommandResult:
        if self._fails == "git":
            raise CommandError("'git apply' failed: patch does not apply")
        assert argv[:2] == ("git", "apply") and cwd.is_relative_to(env["GIT_CEILING_DIRECTORIES"])
        self.patches.append(Path(argv[2]).name)
        return result()


def archive(folder: Path) -> tuple[PrivateApt, FakeApt]:
    """Return an archive that has fio and its libraries; unpacking them leaves a libaio.a."""
    run = FakeApt({"apt-get source --download-only": source_package, "apt-get download": debs})

    class Unpacking(FakeApt):
        def __call__(
            self,
            argv: Sequence[str | Path],
            *,
            cwd: Path | None = None,
            env: Mapping[str, str] | None = None,
            timeout_s: float = 60.0,
            check: bool = True,
        ) -> CommandResult:
            if argv[0] == "dpkg-deb":
                library = Path(argv[3]) / "usr" / "lib" / "x86_64-linux-gnu" / "libaio.a"
                library.parent.mkdir(parents=True, exist_ok=True)
                library.touch()
                return result()
            return super().__call__(argv, cwd=cwd, env=env, timeout_s=timeout_s, check=check)

    unpacking = Unpacking(run.answers)
    return PrivateApt(AptConfiguration(folder, unpacking)), unpacking


def test_fio_is_built_statically_with_the_distributions_patches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the host's own libraries or of the folder's name gets in."""
    build = Build(monkeypatch)
    apt, _ = archive(tmp_path)
    program = fio_program(apt, "3.33-3", LIBRARIES, "gcc 12", RecordingProgress())
    assert program.read_bytes() == b"static fio"
    configure, make, strip = build.steps
    assert {"--build-static", "--disable-native", "--disable-rbd"} <= set(configure)
    assert configure[-1] == "--extra-cflags=-g0 -I../libraries/usr/include"
    assert build.environment["LDFLAGS"] == "-L../libraries/usr/lib/x86_64-linux-gnu"
    assert make[0] == "make" and make[-1] == "fio" and strip[0] == "strip"
    assert build.patches == ["hardening"]


def test_it_is_built_once_for_a_source_and_a_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the init or of the kernel costs no build; another compiler or version does."""
    build = Build(monkeypatch)
    apt, run = archive(tmp_path)
    first = fio_program(apt, "3.33-3", LIBRARIES, "gcc 12", RecordingProgress())
    calls = len(run.calls)
    progress = RecordingProgress()
    assert fio_program(apt, "3.33-3", LIBRARIES, "gcc 12", progress) == first
    assert (len(build.steps), len(run.calls), progress.titles) == (3, calls, [])
    others = [
        fio_program(apt, "3.33-3", LIBRARIES, "gcc 13", RecordingProgress()),
        fio_program(apt, "3.33-4", LIBRARIES, "gcc 12", RecordingProgress()),
        fio_program(apt, "3.33-3", LIBRARIES[:1], "gcc 12", RecordingProgress()),
    ]
    assert len({first, *others}) == 4


def test_a_build_that_fails_shows_the_log_and_leaves_no_fio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call tries again."""
    Build(monkeypatch, fails="make")
    apt, _ = archive(tmp_path)
    with pytest.raises(HostError, match="error: no aio") as caught:
        fio_program(apt, "3.33-3", LIBRARIES, "gcc 12", RecordingProgress())
    assert caught.value.evidence is not None and "lab doctor" in caught.value.remedy
    assert [path.name for path in (tmp_path / "cache" / "programs").iterdir()] == ["fio.lock"]


def test_a_patch_that_does_not_apply_is_an_error_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the distribution's patch and the distribution's source: nothing the user gave is wrong."""
    Build(monkeypatch, fails="git")
    apt, _ = archive(tmp_path)
    with pytest.raises(HostError, match="patch does not apply"):
        fio_program(apt, "3.33-3", LIBRARIES, "gcc 12", RecordingProgress())


def test_the_toolchain_is_the_compiler_and_the_c_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another libc.a is another toolchain, though the compiler is the same."""
    library = tmp_path / "libc.a"
    answers = FakeApt({"gcc --version": "gcc (Debian) 12.2\nCopyright", "gcc -print-file-name=libc.a": f"{library}\n"})
    monkeypatch.setattr(module, "run", answers)
    library.write_bytes(b"one")
    first = toolchain()
    library.write_bytes(b"two")
    assert first.startswith("gcc (Debian) 12.2, libc.a ") and toolchain() != first


def test_without_a_compiler_or_a_static_c_library_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcc prints the bare name where it has no such file."""
    for answers in (
        {"gcc": result(127, stderr="no gcc")},
        {"gcc --version": "gcc 12\n", "gcc -print-file-name=libc.a": "libc.a\n"},
    ):
        monkeypatch.setattr(module, "run", FakeApt(answers))
        with pytest.raises(MissingPackagesError) as caught:
            toolchain()
        assert "apt-get install gcc libc6-dev make" in caught.value.remedy
