"""Disks in files, made by the lab and loaded by fio in a real guest, through the code of an experiment."""

from __future__ import annotations

import json
from pathlib import Path

from lab.build.build import Build
from lab.command import run
from lab.experiment.cells import checked_cells
from lab.experiment.job import load_job
from lab.experiment.machines import machine_from_cell
from lab.experiment.placement import plan_for_job
from lab.experiment.realise import Bench, realise
from lab.experiment.storage import prepare_storage
from lab.host.accelerator_choice import AcceleratorChoice
from lab.host.block_device import content
from lab.image.guest_image import GuestImage
from lab.progress import SilentProgress
from lab.record import Arm, Outcome, ScheduledRun
from lab.settings import project_dir

JOB = """\
title = "two files on one controller"
fio = "randwrite.fio"

[machine]
device = "virtio-scsi-pci"
vcpus = 2
iothreads = 2
scheduler = "none"
machine_type = "pc"
cores = 2
memory_share = true

[machine.backend]
driver = "raw"
size_gib = 1
throttle_iops = 500

[[machine.controller]]
num_queues = 2

[[machine.controller.disk]]
aio = "native"

[[machine.controller.disk]]
driver = "qcow2"
cluster_kib = 128
cache = "directsync"

[profile.quick]
blocks = 1
runtime_s = 2
"""


def test_fio_loads_every_disk_of_a_machine(
    tmp_path: Path, qemu_binary: Build, guest_image: GuestImage, accelerator: AcceleratorChoice
) -> None:
    """A raw and a qcow2 file, both throttled, are written by one fio job: each disk gets half of the requests."""
    fio = (project_dir() / "jobs" / "fio" / "randwrite-4k.fio").read_bytes()
    (tmp_path / "randwrite.fio").write_bytes(fio)
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    loaded = load_job(path)
    _, profile = loaded.profile(None)
    cells, _ = checked_cells(loaded, profile)
    spec = machine_from_cell(loaded, cells[0], accelerator.accelerator)
    prepare_storage((spec,), qemu_binary.qemu_img, SilentProgress())
    builds = dict.fromkeys(Arm, qemu_binary)
    bench = Bench(loaded, profile, builds, guest_image, accelerator.accelerator, "here", plan_for_job(loaded, cells))
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    record = realise(bench, ScheduledRun(1, 1, cells[0], 7), attempt=1, evidence=evidence)
    assert record.outcome is Outcome.OK, record.reason
    assert record.facts["scheduler"] == "none"
    assert 300 < record.metrics["iops"] < 2500  # twice 500 and what the throttle lets through at the start
    report = json.loads((evidence / "fio.json").read_text())
    written = {disk["name"]: disk["write_ios"] for disk in report["disk_util"]}
    assert written.keys() == {"sda", "sdb"}
    assert 0.5 < written["sda"] / written["sdb"] < 2


def test_a_swap_signature_is_seen(tmp_path: Path) -> None:
    """blkid is asked, and what it says is understood; the same file without a signature is empty."""
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    assert content(image) == ""
    run(("/usr/sbin/mkswap", image))
    assert content(image) == "swap (other)"
