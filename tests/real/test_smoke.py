"""Real builds of the patches of a series, and a real boot of one: what ``lab build --each-patch --smoke`` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lab.build.arms import Arms
from lab.build.build import Build
from lab.build.patches import build_each_patch
from lab.experiment.cells import cell_from_id
from lab.experiment.job import load_job
from lab.experiment.smoke import Smoke, smoke_build
from lab.host.accelerator_choice import AcceleratorChoice
from lab.image.guest_image import GuestImage
from lab.progress import SilentProgress
from lab.record import Outcome
from lab.series.read import read_series
from lab.settings import project_dir
from tests.real.longer_series import PLANTED, write_longer_series


def test_every_patch_builds_in_a_few_steps_and_is_known_by_its_tree(tmp_path: Path, arms: Arms) -> None:
    """Two patches on two ways to the same tree are one build: the planted one is the demonstration's candidate."""
    series = read_series(write_longer_series(tmp_path / "series"))
    results = build_each_patch(arms.source, series, progress=SilentProgress())
    builds = [result.build for result in results if result.build is not None]
    assert len(builds) == len(series.patches) + 1
    assert builds[PLANTED].key == arms.candidate.key and builds[PLANTED].cached
    assert all(build.cached or build.steps <= 10 for build in builds[1:])
    assert [build.tree_id for build in builds] == list(dict.fromkeys(build.tree_id for build in builds))


def test_a_build_boots_and_fio_verifies(
    tmp_path: Path, qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice
) -> None:
    """A real guest with the mapping that was asked for, and every block of a small disk read back as it was written."""
    loaded = load_job(project_dir() / "jobs" / "virtio-scsi-iothreads.toml")
    smoke = Smoke(loaded, cell_from_id(loaded, None), guest_image, accelerator.accelerator, tmp_path)
    result = smoke_build(smoke, qemu_binary, tmp_path)
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    assert {"fio.json", "fio.job", "console.log", "qemu.log"} <= {path.name for path in tmp_path.iterdir()}
    broken = replace(qemu_binary, folder=tmp_path / "broken")
    broken.folder.mkdir()
    broken.qemu.symlink_to("/bin/false")
    assert smoke_build(smoke, broken, broken.folder).outcome is Outcome.BOOT_FAILED
