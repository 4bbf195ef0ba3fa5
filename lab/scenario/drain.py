"""Block jobs and graph changes that drain the loaded disk's queues, with its data verified meanwhile and afterwards.

Commands and events: qapi/block-core.json, qapi/job.json. A drain stops the virtqueues of a device, waits for what is in
flight and starts them again in their IOThreads: where requests are lost or a wait never ends.
"""

from __future__ import annotations

import os
from typing import Any

from lab.scenario.region import AFTER, BEFORE, Region
from lab.scenario.site import old_data, used_data
from lab.scenario.stage import STEP_S, ScenarioError, Stage

_MIB = 1 << 20
_SLOW_IOPS = 200
_SLOW_FACTOR, _SLOW_MORE = 2, 64
"""How much more than that may complete: what was in flight, and the burst of 100 ms that util/throttle.c allows."""
_SLOW_BYTES_PER_S = 1 << 18
"""A backup gets to the end of the smallest disk in four minutes: long after the guest has written there."""
_GROWTH_BYTES = 16 * _MIB


def snapshot(stage: Stage, number: int) -> None:
    """Put a qcow2 overlay on the loaded disk (blockdev-snapshot-sync); what is below must stay as it is."""
    region = Region(stage)
    region.fill(BEFORE)
    below = stage.site.scratch / f"overlay{number - 1}.qcow2" if number else stage.site.disk_file
    stage.disturb("blockdev-snapshot-sync")
    _overlay(stage, number)
    as_it_was = used_data(below)
    region.fill(AFTER)
    if used_data(below) != as_it_was:
        raise ScenarioError("the image below the overlay was written after the snapshot")
    if region.in_guest() != AFTER:
        raise ScenarioError("the disk does not hold what the guest wrote after the snapshot")


def stream(stage: Stage, number: int) -> None:
    """Put an overlay on the disk and stream what is below into it."""
    overlay = _overlay(stage, number)
    stage.disturb("block-stream")
    stage.qmp("block-stream", {"job-id": f"stream{number}", "device": overlay})
    stage.end_block_job(f"stream{number}")


def commit(stage: Stage, number: int) -> None:
    """Put an overlay on the disk, let it fill, and commit it into what is below while it is written."""
    overlay = _overlay(stage, number)
    stage.settle()
    stage.disturb("block-commit")
    stage.qmp("block-commit", {"job-id": f"commit{number}", "device": overlay})
    stage.end_block_job(f"commit{number}", pivot=True)


def mirror(stage: Stage, number: int) -> None:
    """Mirror the disk to another file and go on with that one (blockdev-mirror, pivot)."""
    target = _raw_target(stage, f"mirror{number}")
    stage.disturb("blockdev-mirror")
    arguments = {"job-id": f"mirror-job{number}", "device": _root_node(stage), "target": target, "sync": "full"}
    stage.qmp("blockdev-mirror", arguments)
    stage.end_block_job(f"mirror-job{number}", pivot=True)


def backup(stage: Stage, number: int) -> None:
    """Copy the disk as it is at one moment (blockdev-backup), though it is written meanwhile."""
    name, job = f"backup{number}", f"backup-job{number}"
    target = _raw_target(stage, name)
    region = Region(stage)
    region.fill(BEFORE)
    stage.disturb("blockdev-backup")
    arguments = {"job-id": job, "device": _root_node(stage), "target": target, "sync": "full"}
    stage.qmp("blockdev-backup", {**arguments, "speed": _SLOW_BYTES_PER_S})
    region.fill(AFTER)
    stage.qmp("block-job-set-speed", {"device": job, "speed": 0})
    stage.end_block_job(job)
    stage.qmp("blockdev-del", {"node-name": target})
    copy = stage.site.scratch / f"{name}.raw"
    if old_data(stage.site.disk_file) != old_data(copy):
        raise ScenarioError("the backup does not hold the data that was on the disk before")
    if region.in_image(copy) != BEFORE:
        raise ScenarioError("the backup does not hold what the guest overwrote while it was made")
    if region.in_image(stage.site.disk_file) != AFTER:
        raise ScenarioError("the disk does not hold what the guest wrote while it was backed up")


def resize(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Grow the disk by 16 MiB; the guest must see it (block_resize)."""
    size = _size_bytes(stage) + _GROWTH_BYTES
    stage.disturb("block_resize")
    stage.qmp("block_resize", {"node-name": _root_node(stage), "size": size})
    stage.wait_disk_size(size)


def throttle(stage: Stage, number: int) -> None:  # noqa: ARG001 - every scenario is told its turn
    """Throttle the disk, which must have an effect, and let it go again (block_set_io_throttle)."""
    none = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
    device = {"id": _block_device(stage)["qdev"]}
    stage.disturb("throttle on")
    stage.qmp("block_set_io_throttle", {**device, **none, "iops": _SLOW_IOPS})
    stage.settle()
    watched = stage.make_deadline(STEP_S)
    before = _operations(stage)
    stage.disturb("throttle off")
    done = _operations(stage) - before
    seconds = watched.elapsed_s()
    stage.qmp("block_set_io_throttle", {**device, **none})
    if done > _SLOW_FACTOR * _SLOW_IOPS * seconds + _SLOW_MORE:
        raise ScenarioError(f"{done} requests completed in {seconds:.1f} s under a limit of {_SLOW_IOPS} in a second")


def _overlay(stage: Stage, number: int) -> str:
    name = f"overlay{number}"
    arguments = {
        "node-name": _root_node(stage),
        "snapshot-file": str(stage.site.scratch / f"{name}.qcow2"),
        "snapshot-node-name": name,
        "format": "qcow2",
    }
    stage.qmp("blockdev-snapshot-sync", arguments)
    return name


def _raw_target(stage: Stage, name: str) -> str:
    path = stage.site.scratch / f"{name}.raw"
    path.touch()
    os.truncate(path, _size_bytes(stage))
    file = {"driver": "file", "filename": str(path)}
    stage.qmp("blockdev-add", {"driver": "raw", "node-name": name, "file": file})
    return name


def _root_node(stage: Stage) -> str:
    """Return the node that the device uses now.

    :raise ScenarioError: QEMU does not name one.
    """
    inserted = _block_device(stage).get("inserted", {})
    if "node-name" not in inserted:
        raise ScenarioError(f"query-block names no node of {stage.disk_device}")
    return str(inserted["node-name"])


def _size_bytes(stage: Stage) -> int:
    """Return the size of the loaded disk, as QEMU sees it now.

    :raise ScenarioError: QEMU does not say.
    """
    image = _block_device(stage).get("inserted", {}).get("image", {})
    if "virtual-size" not in image:
        raise ScenarioError(f"query-block tells no size of {stage.disk_device}")
    return int(image["virtual-size"])


def _operations(stage: Stage) -> int:
    """Return how many requests of the loaded disk have reached its image so far; those that were merged are one.

    :raise ScenarioError: QEMU does not say.
    """
    for device in stage.qmp("query-blockstats"):
        if stage.disk_device in str(device.get("qdev", "")):
            stats = device["stats"]
            return sum(int(stats[f"{way}_operations"]) - int(stats[f"{way}_merged"]) for way in ("rd", "wr"))
    raise ScenarioError(f"query-blockstats does not know {stage.disk_device}")


def _block_device(stage: Stage) -> dict[str, Any]:
    """Return what QEMU says of the loaded disk; the device of a virtio-blk disk is known by its QOM path only.

    :raise ScenarioError: QEMU does not know it.
    """
    for device in stage.qmp("query-block"):
        if stage.disk_device in str(device.get("qdev", "")):
            return dict(device)
    raise ScenarioError(f"query-block does not know {stage.disk_device}")
