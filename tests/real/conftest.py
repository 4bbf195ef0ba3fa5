"""What the real tests share: a QEMU built from source and a guest image, both made once per machine and cached."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.build.arms import Arms
from lab.build.build import Build
from lab.experiment.arms import ArmsRequest, arms_from_request
from lab.host.accelerator import probe_accelerator
from lab.host.accelerator_choice import AcceleratorChoice
from lab.image.build import build_image
from lab.image.guest_image import GuestImage
from lab.image.recipe import load_recipe
from lab.machine.command_line import GuestBoot
from lab.progress import TerminalProgress
from lab.settings import project_dir

DEMONSTRATION = project_dir() / "jobs" / "series" / "virtio-scsi-busy-wait"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is real."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def arms() -> Arms:
    """Baseline and candidate of the demonstration, built from the distribution's source; minutes on the first call."""
    return arms_from_request(ArmsRequest(series=DEMONSTRATION), progress=TerminalProgress())


@pytest.fixture(scope="session")
def qemu_binary(arms: Arms) -> Build:
    """The baseline: a QEMU of ours with its firmware folders."""
    return arms.baseline


@pytest.fixture(scope="session")
def guest_image() -> GuestImage:
    """The default guest image."""
    return build_image(load_recipe(project_dir() / "guest-images" / "default.toml"), progress=TerminalProgress())


@pytest.fixture(scope="session")
def accelerator(qemu_binary: Build, guest_image: GuestImage) -> AcceleratorChoice:
    """What really boots a guest on this host."""
    return probe_accelerator(qemu_binary.qemu, qemu_binary.firmware, guest_image, progress=TerminalProgress())


def boot_of(image: GuestImage) -> GuestBoot:
    """How an image is booted."""
    return GuestBoot(image.kernel, image.initrd, image.cmdline)
