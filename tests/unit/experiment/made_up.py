"""Builds, an image and an accelerator that nobody made, for tests of what is done with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from lab.build.arms import Arms
from lab.build.build import Build
from lab.experiment.cells import checked_cells
from lab.experiment.job import LoadedJob
from lab.host.accelerator_choice import AcceleratorChoice, Attempt, Tier
from lab.image.guest_image import GuestImage
from tests.unit.experiment.test_job import FIO, GOOD, load

TCG_ONLY = AcceleratorChoice(
    "tcg",
    "/dev/kvm does not exist",
    (Attempt(Tier.TCG, works=True, detail="a guest boots", seconds=9), Attempt(Tier.KVM, False, "no /dev/kvm", 0)),
)
WITH_KVM = AcceleratorChoice(
    "kvm",
    "a guest boots",
    (Attempt(Tier.TCG, works=True, detail="a guest boots", seconds=9), Attempt(Tier.KVM, True, "a guest boots", 2)),
)
IMAGE = GuestImage("1234abcd", Path("vmlinux"), Path("initrd"), "quiet", "6.1.0-99-amd64", {"fio": "fio-3.33"})
BASELINE = Build(
    folder=Path("baseline"),
    key="b" * 8,
    commit="0" * 40,
    tree_id="1" * 40,
    origin="qemu.git",
    version="10.0.0",
    configure_options=("--target-list=x86_64-softmmu",),
    compiler="gcc 12.2.0",
    linker="ld 2.40",
    libraries={"glib": "2.74"},
    c_flags=("-O2",),
    binary_sha256="b" * 64,
    firmware_sha256={"kvmvapic.bin": "f" * 64},
    built_at="2026-01-02T03:04:05Z",
    seconds=100.0,
    steps=1000,
)
CANDIDATE = replace(BASELINE, folder=Path("candidate"), key="c" * 8, commit="2" * 40, binary_sha256="c" * 64)


def arms(*, baseline: Build = BASELINE, candidate: Build = CANDIDATE) -> Arms:
    """Return two builds of one source."""
    return Arms(cast("Any", SimpleNamespace(commit="0" * 40)), baseline, candidate)


def loaded_job(folder: Path, text: str = GOOD) -> LoadedJob:
    """Return a job with its fio job in a folder."""
    (folder / "fio").mkdir(exist_ok=True)
    (folder / "fio" / "j.fio").write_text(FIO)
    return load(folder, text)


def changed_job(folder: Path, text: str, *changes: tuple[str, str]) -> LoadedJob:
    """Return a job with changes: what stands there before, and after."""
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return loaded_job(folder, text)


def checked(loaded: LoadedJob) -> tuple[str, ...]:
    """Check the job's cells and return what there is to warn about."""
    return checked_cells(loaded, loaded.job.profile["quick"])[1]
