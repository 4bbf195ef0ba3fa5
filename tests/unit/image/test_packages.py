from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import HostError
from lab.host.apt import PackageVersion, PrivateApt
from lab.host.apt_config import AptConfiguration
from lab.image import packages as module
from lab.image.packages import Resolution, remember, remembered, resolve
from lab.image.recipe import Recipe, load_recipe
from lab.settings import project_dir
from tests.unit.host.fake_apt import Answer, FakeApt

DAY_S = 24 * 3600.0
KERNEL = "linux-image-6.1.0-56-cloud-amd64"


def default() -> Recipe:
    """Return the default recipe."""
    return load_recipe(project_dir() / "guest-images" / "default.toml")


def simulated(*packages: str) -> str:
    """Return what ``apt-get install --simulate`` prints."""
    return "".join(f"Inst {package} (1.0 Debian:12 [amd64])\n" for package in packages)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """A Debian archive; the second kernel of the recipe is Ubuntu's."""
    monkeypatch.setattr(module, "toolchain", lambda: "gcc 12")
    solver = "apt-get install --simulate --no-install-recommends --quiet"
    return {
        "apt-cache policy linux-image-cloud-amd64": "  Candidate: 6.1\n",
        "apt-cache policy linux-image-virtual": "",
        f"{solver} linux-image-cloud-amd64": simulated(KERNEL, "linux-image-cloud-amd64", "kmod", "initramfs-tools"),
        f"{solver} busybox-static dropbear-bin sg3-utils": simulated("busybox-static", "dropbear-bin", "libc6"),
        f"{solver} libaio-dev zlib1g-dev": simulated("libaio-dev", "zlib1g-dev", "libc6-dev"),
        "apt-cache showsrc --only-source fio": "Version: 3.33-3\n",
    }


def resolved(answers: dict[str, Answer]) -> Resolution:
    """Resolve the default recipe."""
    return resolve(default(), PrivateApt(AptConfiguration(Path("/nowhere"), FakeApt(answers))))


def names(packages: tuple[PackageVersion, ...]) -> list[str]:
    """Return the names."""
    return [package.name for package in packages]


def test_a_recipe_becomes_exact_versions(answers: dict[str, Answer]) -> None:
    """Of the kernel only the package that holds it; of fio's libraries only their development files."""
    found = resolved(answers)
    assert names(found.kernel) == [KERNEL]
    assert names(found.programs) == ["busybox-static", "dropbear-bin", "libc6"]
    assert (found.fio, names(found.fio_libraries), found.toolchain) == (
        "3.33-3",
        ["libaio-dev", "zlib1g-dev"],
        "gcc 12",
    )


def test_the_first_kernel_that_the_distribution_has_is_taken(answers: dict[str, Answer]) -> None:
    """On Ubuntu the modules are a package of their own."""
    answers["apt-cache policy linux-image-cloud-amd64"] = "  Candidate: (none)\n"
    answers["apt-cache policy linux-image-virtual"] = "  Candidate: 6.8\n"
    answers["apt-get install --simulate --no-install-recommends --quiet linux-image-virtual"] = simulated(
        "linux-image-virtual", "linux-image-6.8.0-1-generic", "linux-modules-6.8.0-1-generic", "linux-base"
    )
    assert names(resolved(answers).kernel) == ["linux-image-6.8.0-1-generic", "linux-modules-6.8.0-1-generic"]


def test_a_distribution_without_any_of_the_kernels_is_told(answers: dict[str, Answer]) -> None:
    """With what to change in the recipe."""
    answers["apt-cache policy linux-image-cloud-amd64"] = ""
    with pytest.raises(HostError, match="none of these kernel packages") as caught:
        resolved(answers)
    assert "[kernel]" in caught.value.remedy


def test_a_distribution_without_fios_source_is_told(answers: dict[str, Answer]) -> None:
    """A mirror without source packages, say."""
    answers["apt-cache showsrc --only-source fio"] = ""
    with pytest.raises(HostError, match="no source package 'fio'"):
        resolved(answers)


def test_what_was_resolved_is_remembered_for_a_day_and_for_this_recipe(
    answers: dict[str, Answer], tmp_path: Path
) -> None:
    """Then an image at hand needs neither network nor apt."""
    file = tmp_path / "default.resolved.json"
    found = resolved(answers)
    remember(file, default(), found)
    written_s = file.stat().st_mtime
    assert remembered(file, default(), now_s=written_s + DAY_S - 60) == found
    assert remembered(file, default(), now_s=written_s + DAY_S + 60) is None
    assert remembered(file, default(), now_s=written_s - 60) is None
    other = default().model_copy(update={"name": "other"})
    assert remembered(file, other, now_s=written_s) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"recipe": "x", "kernel": 7}'])
def test_what_another_version_wrote_is_asked_again(tmp_path: Path, text: str) -> None:
    """Rather than an error nobody can do anything about."""
    file = tmp_path / "default.resolved.json"
    assert remembered(file, default()) is None
    file.write_text(text)
    os.utime(file)
    assert remembered(file, default()) is None
