"""Machine specification to QEMU argv. Pure: the same specification gives the same words.

Every device is written as JSON: ``iothread-vq-mapping`` is a list and exists in JSON syntax only, and QEMU makes all
``key=value`` devices before all JSON ones (system/vl.c), so one JSON controller with a ``key=value`` disk ends in
"Bus 'scsi0.0' not found".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.machine.blockdev import blockdev_from_backend, cache_of, throttle_groups
from lab.machine.mapping import Device
from lab.machine.mapping_json import PROPERTY
from lab.machine.spec import Controller, Disk, GuestMemory, IOThread, MachineSpec, ScsiDisk, Topology

QMP_CHARDEV = "qmp0"
NETDEV = "net0"
MEMORY = "memory0"


@dataclass(frozen=True)
class GuestBoot:
    """What the guest boots: direct kernel boot, no disk image.

    :param kernel: vmlinux or bzImage.
    :param initrd: the whole guest system.
    :param arguments: the kernel command line but for the console.
    """

    kernel: Path
    initrd: Path
    arguments: str


@dataclass(frozen=True)
class Wiring:
    """How the machine is connected to whoever started it.

    :param qmp: the ``-chardev`` of the monitor.
    :param serial: the ``-chardev`` of the console.
    :param ssh_port: TCP port on 127.0.0.1 that reaches the guest's port 22; 0 lets the host choose.
    """

    qmp: dict[str, Any]
    serial: dict[str, Any]
    ssh_port: int

    @classmethod
    def for_lab(cls, qmp_fd: int, console: Path) -> Wiring:
        """Connect the monitor to an inherited socket (no path to collide or to leave behind), the console to a file."""
        return cls(
            qmp={"backend": "socket", "fd": str(qmp_fd)},
            serial={"backend": "file", "path": str(console)},
            ssh_port=0,
        )

    @classmethod
    def for_people(cls, ssh_port: int) -> Wiring:
        """Connect the console to the terminal and the monitor to a socket in the current folder."""
        return cls(
            qmp={"backend": "socket", "path": "qmp.sock", "server": "on", "wait": "off"},
            serial={"backend": "stdio", "signal": "off"},
            ssh_port=ssh_port,
        )


def argv_from_spec(
    qemu: Path, firmware: Sequence[Path], spec: MachineSpec, boot: GuestBoot, wiring: Wiring
) -> tuple[str, ...]:
    """Return the argv that starts the machine.

    :param firmware: folders with ROM images, for ``-L``, searched in order.
    """
    accelerator = "tcg,thread=multi" if spec.accelerator == "tcg" else spec.accelerator
    words = [str(qemu), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    for folder in firmware:
        words += ["-L", str(folder)]
    memory = object_from_memory(spec.memory, spec.memory_mib)
    machine = spec.machine_type if memory is None else f"{spec.machine_type},memory-backend={MEMORY}"
    words += ["-machine", machine, "-accel", accelerator, "-cpu", spec.cpu_model]
    words += ["-smp", _smp(spec.vcpus, spec.topology), "-m", f"{spec.memory_mib}M"]
    words += [] if memory is None else ["-object", _json(memory)]
    words += ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", kernel_command_line(spec, boot)]
    words += ["-chardev", _key_values({"id": QMP_CHARDEV, **wiring.qmp}, first="backend")]
    words += ["-mon", f"chardev={QMP_CHARDEV},mode=control"]
    words += ["-chardev", _key_values({"id": "console0", **wiring.serial}, first="backend")]
    words += ["-serial", "chardev:console0"]
    forward = f"tcp:127.0.0.1:{wiring.ssh_port}-:22"
    words += ["-netdev", _json({"type": "user", "id": NETDEV, "restrict": True, "hostfwd": [{"str": forward}]})]
    words += ["-device", _json({"driver": "virtio-net-pci", "netdev": NETDEV, "romfile": ""})]
    for iothread in spec.iothreads:
        words += ["-object", _json(object_from_iothread(iothread))]
    for controller in spec.controllers:
        for disk in controller.disks:
            for group in throttle_groups(disk.id, disk.filters):
                words += ["-object", _json(group)]
            words += ["-blockdev", _json(blockdev_from_backend(disk.id, disk.backend, disk.filters))]
        for device in devices_from_controller(controller):
            words += ["-device", _json(device)]
    return tuple(words)


def kernel_command_line(spec: MachineSpec, boot: GuestBoot) -> str:
    """Return the whole kernel command line: console, what the image needs, what the machine asks for."""
    # Without "force" the driver waits for a hint that only a CPU model with kvm-hint-dedicated gives it.
    haltpoll = "cpuidle_haltpoll.force=1" if spec.haltpoll else ""
    parts = ("console=ttyS0", boot.arguments, haltpoll, spec.kernel_arguments)
    return " ".join(part for part in parts if part)


def object_from_iothread(iothread: IOThread) -> dict[str, Any]:
    """Return the arguments of ``-object`` or ``object-add`` for an IOThread (qapi/qom.json, IothreadProperties)."""
    polling = {
        "poll-max-ns": iothread.poll_max_ns,
        "poll-grow": iothread.poll_grow,
        "poll-shrink": iothread.poll_shrink,
        "aio-max-batch": iothread.aio_max_batch,
    }
    return {"qom-type": "iothread", "id": iothread.id, **{k: v for k, v in polling.items() if v is not None}}


def object_from_memory(memory: GuestMemory, memory_mib: int) -> dict[str, Any] | None:
    """Return the arguments of ``-object`` for the guest's memory; None for QEMU's own (qapi/qom.json)."""
    if memory == GuestMemory():
        return None
    where = (
        {"qom-type": "memory-backend-memfd"}
        if memory.folder is None
        else {"qom-type": "memory-backend-file", "mem-path": str(memory.folder)}
    )
    options: dict[str, Any] = {**where, "id": MEMORY, "size": memory_mib << 20, "share": memory.share}
    if memory.hugepage_kib is not None:
        options |= {"hugetlb": True, "hugetlbsize": memory.hugepage_kib << 10}
    if memory.prealloc:
        options["prealloc"] = True
    if memory.policy is not None:
        options |= {"host-nodes": list(memory.host_nodes), "policy": memory.policy.value}
    return options


def devices_from_controller(controller: Controller) -> tuple[dict[str, Any], ...]:
    """Return the arguments of each ``-device`` or ``device_add``: the controller first, then its disks."""
    options: dict[str, Any] = {}
    if controller.iothread is not None:
        options["iothread"] = controller.iothread
    if controller.mapping is not None:
        options[PROPERTY] = controller.mapping.to_json()
    size_property = "queue-size" if controller.model is Device.VIRTIO_BLK else "virtqueue_size"
    if controller.queue_size is not None:
        options[size_property] = controller.queue_size
    queues = {controller.model.num_queues_property: controller.num_queues}
    head = {"driver": controller.model.value, "id": controller.id, **queues, **options}
    if controller.model is Device.VIRTIO_BLK:
        disk = controller.disks[0]
        return ({**head, "drive": disk.id, **_write_cache(disk)},)
    disks = (
        {
            "driver": disk.scsi.value,
            "id": f"{disk.id}-dev",
            "bus": f"{controller.id}.0",
            "drive": disk.id,
            "lun": lun,
            **_write_cache(disk),
        }
        for lun, disk in enumerate(controller.disks)
    )
    return (head, *disks)


def _write_cache(disk: Disk) -> dict[str, str]:
    """Return the half of a cache mode that is the device's; scsi-block and the null drivers have none."""
    cache = cache_of(disk.backend)
    if cache is None or disk.scsi is ScsiDisk.BLOCK:
        return {}
    return {"write-cache": "on" if cache.write_cache else "off"}


def _smp(vcpus: int, topology: Topology) -> str:
    parts = {"sockets": topology.sockets, "cores": topology.cores, "threads": topology.threads}
    return ",".join((str(vcpus), *(f"{name}={number}" for name, number in parts.items() if number is not None)))


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _key_values(options: dict[str, Any], *, first: str) -> str:
    """Return ``key=value`` syntax, a comma in a value doubled as QEMU wants it (util/keyval.c)."""
    rest = (f"{key}={str(value).replace(',', ',,')}" for key, value in options.items() if key != first)
    return ",".join((str(options[first]), *rest))
