from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from lab.errors import CommandError, ExitCode, MissingPackagesError
from lab.host.distribution import Distribution
from lab.host.packages import (
    can_install,
    install_command,
    install_packages,
    missing_optional_packages,
    missing_packages,
    require_packages,
)
from lab.host.requirements import OPTIONAL, REQUIREMENTS, VALGRIND, Probe, Requirement
from lab.testing import RecordingProgress

DEBIAN = Distribution("debian", (), "Debian")
FEDORA = Distribution("fedora", (), "Fedora")
ROCKY = Distribution("rocky", ("rhel", "centos", "fedora"), "Rocky")
RHEL = Distribution("rhel", ("fedora",), "RHEL")
RHEL_CRB = "codeready-builder-for-rhel-$(rpm -E %rhel)-$(arch)-rpms"
ARCH = Distribution("arch", (), "Arch")


def required(*names: str) -> tuple[Requirement, ...]:
    """Return requirements by name."""
    found = tuple(one for one in REQUIREMENTS if one.name in names)
    assert len(found) == len(names)
    return found


class Apt:
    """An apt-get that does what it is told to, or fails.

    :param fails: the words that fail, ``update`` or ``install``.
    :param installs: whether an installation has an effect.
    """

    def __init__(self, *fails: str, installs: bool = True) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.environments: list[Mapping[str, str] | None] = []
        self._fails = fails
        self._installs = installs
        self.installed = False

    def __call__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        timeout_s: float = 1.0,
        on_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Record the call."""
        words = tuple(str(word) for word in argv)
        assert words[0] == "apt-get" and log.name == "apt-get.log" and timeout_s >= 60
        self.calls.append(words)
        self.environments.append(env)
        on_line("Reading package lists...")
        for word in self._fails:
            if word in words:
                raise CommandError(f"'apt-get {word}' failed with exit status 100:\nE: broken")
        self.installed = self.installed or ("install" in words and self._installs)

    def has(self, _probe: Probe) -> bool:
        """Tell whether things are installed."""
        return self.installed


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))


def test_what_is_missing_is_named_in_order() -> None:
    """Everything, something or nothing may be missing."""
    assert missing_packages(lambda _: False) == REQUIREMENTS
    assert missing_packages(lambda _: True) == ()
    gcc = required("gcc")[0]
    assert missing_packages(lambda probe: probe != gcc.probe) == (gcc,)


def test_requiring_installs_nothing_and_names_the_command() -> None:
    """A lab that finds something missing says what and how to get it, with exit code 3."""
    require_packages(lambda _: True)
    with pytest.raises(MissingPackagesError, match="this host lacks gcc, C library headers") as caught:
        require_packages(lambda _: False)
    assert caught.value.exit_code is ExitCode.HOST and caught.value.remedy


def test_what_single_verbs_need_is_apart() -> None:
    """It is asked for by the verb, and its lack keeps nothing else from running."""
    assert missing_optional_packages(lambda _: False) == OPTIONAL and missing_optional_packages(lambda _: True) == ()
    require_packages(lambda probe: probe != VALGRIND.probe)
    with pytest.raises(MissingPackagesError, match=r"this host lacks Valgrind$") as caught:
        require_packages(lambda _: False, wanted=(VALGRIND,))
    assert "valgrind" in caught.value.remedy


@pytest.mark.parametrize(
    ("distribution", "is_root", "command"),
    [
        (DEBIAN, True, "apt-get update && apt-get install --no-install-recommends libslirp-dev libaio-dev"),
        (DEBIAN, False, "sudo apt-get update && sudo apt-get install --no-install-recommends libslirp-dev libaio-dev"),
        (FEDORA, False, "sudo dnf install libslirp-devel libaio-devel"),
        (ROCKY, True, "dnf config-manager --set-enabled crb && dnf install libslirp-devel libaio-devel"),
        (
            RHEL,
            False,
            f"sudo subscription-manager repos --enable {RHEL_CRB} && sudo dnf install libslirp-devel libaio-devel",
        ),
        (
            ARCH,
            True,
            "install what Debian calls libslirp-dev, libaio-dev and Fedora calls libslirp-devel, libaio-devel",
        ),
    ],
)
def test_the_command_fits_the_distribution(distribution: Distribution, is_root: bool, command: str) -> None:
    """Each family has its own names, RHEL its extra repository, root no sudo."""
    assert install_command(required("libslirp", "libaio"), distribution, is_root=is_root) == command


def test_the_extra_repository_is_named_only_where_it_is_needed() -> None:
    """What RHEL has in its main repositories does not ask for CodeReady Builder."""
    assert install_command(required("gcc"), ROCKY, is_root=True) == "dnf install gcc"


def test_a_package_is_named_once() -> None:
    """Two requirements in one package are one name."""
    gcc = required("gcc")[0]
    assert install_command((gcc, gcc), FEDORA, is_root=True) == "dnf install gcc"


@pytest.mark.parametrize(
    ("distribution", "is_root", "able"), [(DEBIAN, True, True), (DEBIAN, False, False), (FEDORA, True, False)]
)
def test_the_lab_installs_with_apt_as_root_only(distribution: Distribution, is_root: bool, able: bool) -> None:
    """Anywhere else it says the command."""
    assert can_install(distribution, is_root=is_root) is able


def test_missing_packages_are_installed() -> None:
    """The lists are renewed first, nothing is asked, recommended packages stay away, a lock is waited for."""
    apt, progress = Apt(), RecordingProgress()
    install_packages(required("gcc", "zlib"), progress, distribution=DEBIAN, is_root=True, has=apt.has, run=apt)
    options = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
    assert apt.calls == [
        (*options, "update"),
        (*options, "install", "--yes", "--no-install-recommends", "gcc", "zlib1g-dev"),
    ]
    assert apt.environments == [{"DEBIAN_FRONTEND": "noninteractive"}] * 2
    assert progress.titles == ["installing gcc, zlib1g-dev"]
    assert progress.stages[0].updates[0].note == "Reading package lists..."


def test_nothing_missing_is_nothing_done() -> None:
    """Without anything to install no package manager is started, whatever the host is."""
    apt = Apt("install")
    install_packages((), RecordingProgress(), distribution=ARCH, is_root=False, has=apt.has, run=apt)
    assert apt.calls == []


def test_old_lists_are_tried_where_new_ones_cannot_be_had() -> None:
    """One broken source on the host does not stop an installation from the others."""
    apt, progress = Apt("update"), RecordingProgress()
    install_packages(required("gcc"), progress, distribution=DEBIAN, is_root=True, has=apt.has, run=apt)
    assert apt.installed and "going on with those at hand" in progress.lines[0]


@pytest.mark.parametrize(
    ("distribution", "is_root", "why", "remedy"),
    [
        (DEBIAN, False, "only root can install packages", "sudo apt-get update && sudo apt-get install"),
        (FEDORA, True, "the lab installs with apt only", "dnf install gcc"),
        (ARCH, True, "the lab installs with apt only", "install what Debian calls gcc and Fedora calls gcc"),
    ],
)
def test_where_the_lab_cannot_install_it_says_what_to_run(
    distribution: Distribution, is_root: bool, why: str, remedy: str
) -> None:
    """No package manager is started; the remedy is the command."""
    apt = Apt()
    with pytest.raises(MissingPackagesError, match=why) as caught:
        install_packages(
            required("gcc"), RecordingProgress(), distribution=distribution, is_root=is_root, has=apt.has, run=apt
        )
    assert caught.value.remedy.startswith(remedy) and caught.value.exit_code is ExitCode.HOST
    assert apt.calls == []


def test_an_installation_that_fails_says_where_the_log_is() -> None:
    """The error ends with what apt said, the remedy names the log and the command."""
    apt = Apt("install")
    with pytest.raises(MissingPackagesError, match="E: broken") as caught:
        install_packages(required("gcc"), RecordingProgress(), distribution=DEBIAN, is_root=True, has=apt.has, run=apt)
    assert caught.value.evidence is not None and str(caught.value.evidence) in caught.value.remedy
    assert "apt-get install" in caught.value.remedy


def test_an_installation_without_effect_is_an_error() -> None:
    """apt's success is not believed: the probes are asked again."""
    apt = Apt(installs=False)
    with pytest.raises(MissingPackagesError, match="apt-get succeeded, and this host still lacks gcc"):
        install_packages(required("gcc"), RecordingProgress(), distribution=DEBIAN, is_root=True, has=apt.has, run=apt)
