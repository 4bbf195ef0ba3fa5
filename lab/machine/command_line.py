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

from lab.machine.mapping import Device
from lab.machine.mapping_json import PROPERTY
from lab.machine.spec import Backend, Controller, IOThread, MachineSpec, NullBackend

QMP_CHARDEV = "qmp0"
NETDEV = "net0"


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
    words += ["-machine", spec.machine_type, "-accel", accelerator, "-cpu", spec.cpu_model]
    words += ["-smp", str(spec.vcpus), "-m", f"{spec.memory_mib}M"]
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
            words += ["-blockdev", _json(blockdev_from_backend(disk.id, disk.backend))]
        for device in devices_from_controller(controller):
            words += ["-device", _json(device)]
    return tuple(words)


def kernel_command_line(spec: MachineSpec, boot: GuestBoot) -> str:
    """Return the whole kernel command line: console, what the image needs, what the machine asks for."""
    parts = ("console=ttyS0", boot.arguments, spec.kernel_arguments)
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


def blockdev_from_backend(node_name: str, backend: Backend) -> dict[str, Any]:
    """Return the arguments of ``-blockdev`` or ``blockdev-add`` (qapi/block-core.json, BlockdevOptions)."""
    if isinstance(backend, NullBackend):
        options: dict[str, Any] = {"driver": backend.driver, "node-name": node_name, "size": backend.size_bytes}
        if backend.latency_ns:
            options["latency-ns"] = backend.latency_ns
        if backend.read_zeroes:
            options["read-zeroes"] = True
        return options
    cache = {"direct": backend.direct, "no-flush": False}
    protocol = {"driver": "file", "filename": str(backend.path), "aio": backend.aio, "cache": cache}
    return {"driver": "raw", "node-name": node_name, "cache": cache, "file": protocol}


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
        return ({**head, "drive": controller.disks[0].id},)
    disks = (
        {"driver": "scsi-hd", "id": f"{disk.id}-dev", "bus": f"{controller.id}.0", "drive": disk.id, "lun": lun}
        for lun, disk in enumerate(controller.disks)
    )
    return (head, *disks)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _key_values(options: dict[str, Any], *, first: str) -> str:
    """Return ``key=value`` syntax, a comma in a value doubled as QEMU wants it (util/keyval.c)."""
    rest = (f"{key}={str(value).replace(',', ',,')}" for key, value in options.items() if key != first)
    return ",".join((str(options[first]), *rest))
