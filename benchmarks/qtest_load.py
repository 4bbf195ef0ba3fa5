"""Prints what a load without a guest does beside fio in a guest: same QEMU, same disk, same IOThreads, taking turns.

The guest under TCG spends most of a request on the guest's own code, so that fio's numbers say little about QEMU's; the
drivers of lab/virtio/load spend nothing of it. Medians are printed, how far the runs lie apart, (max - min) / mean / 2,
and the ratio of the medians.

    python benchmarks/qtest_load.py --qemu build/qemu-system-x86_64 -L build/pc-bios/optionrom -L /usr/share/seabios
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lab.errors import StageError
from lab.experiment.load import Measured, load
from lab.image.build import build_image, default_recipe_path
from lab.image.guest_image import GuestImage
from lab.image.recipe import load_recipe
from lab.machine.command_line import GuestBoot
from lab.machine.guest import booted
from lab.machine.mapping import Device, IOThreadMapping, MappingItem
from lab.machine.spec import Controller, Disk, IOThread, MachineSpec, NullBackend, iothread_ids
from lab.progress import TerminalProgress
from lab.settings import project_dir
from lab.virtio.load.machine import load_machine
from lab.virtio.load.measure import Span, put_under_load
from lab.virtio.load.workload import workload_from_fio
from lab.workload.fio_job import FioJob, read_fio_job

QUEUES = 4
REQUEST_BYTES = 4096
BOOT_S = 120.0
SHOWN = ("iops", "cpu_ns_per_io", "iothread_cpu_ns_per_io")


def machine(iothreads: int) -> MachineSpec:
    """Return the machine of the first job of the lab, its queues round robin over the IOThreads."""
    ids = iothread_ids(iothreads)
    mapping = IOThreadMapping(tuple(MappingItem(name) for name in ids)) if ids else None
    controller = Controller("scsi0", Device.VIRTIO_SCSI, QUEUES, (Disk("disk0", NullBackend()),), mapping=mapping)
    return MachineSpec("tcg", QUEUES, 1024, tuple(IOThread(name) for name in ids), (controller,))


def without_guest(qemu: Path, spec: MachineSpec, fio: FioJob, evidence: Path) -> dict[str, float]:
    """Load a machine with drivers of our own and return its metrics."""
    wanted = workload_from_fio(rw=fio.rw, bs=fio.bs, iodepth=fio.iodepth, numjobs=fio.numjobs, num_queues=QUEUES)
    span = Span(fio.ramp_time_s, fio.runtime_s)
    with load_machine(qemu, replace(spec, accelerator="qtest"), wanted, evidence) as started:
        return put_under_load(started, wanted, span, seed=1, evidence=evidence).metrics(REQUEST_BYTES)


def with_guest(
    qemu: Path, firmware: Sequence[Path], spec: MachineSpec, image: GuestImage, fio: FioJob, evidence: Path
) -> dict[str, float]:
    """Boot a guest, run fio in it and return its metrics."""
    boot = GuestBoot(image.kernel, image.initrd, image.cmdline)
    measured = Measured()
    with booted(qemu, firmware, spec, boot, evidence=evidence, timeout_s=BOOT_S) as guest:
        load(guest, fio, evidence, measured)
    return measured.metrics


def lines(iothreads: int, found: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """Yield a line for each metric: median and spread of both, and the ratio of the medians."""
    for metric in SHOWN:
        values = {name: [run[metric] for run in runs if metric in run] for name, runs in found.items()}
        if not all(values.values()):
            continue
        texts = []
        for numbers in values.values():
            spread = (max(numbers) - min(numbers)) / statistics.mean(numbers) / 2
            texts.append(f"{statistics.median(numbers):>10.0f} +/- {100 * spread:4.1f} %")
        ratio = statistics.median(values["without"]) / statistics.median(values["with"])
        yield f"{iothreads:>9}  {metric:<23}{texts[0]:>22}{texts[1]:>22}{ratio:>10.2f}"


def main() -> None:
    """Load both as often as asked for, in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qemu", type=Path, required=True, help="a qemu-system-x86_64")
    parser.add_argument("-L", dest="firmware", type=Path, action="append", default=[], help="folder with ROM images")
    parser.add_argument("--iothreads", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--runs", type=int, default=5, help="of each of the two")
    parser.add_argument("--runtime", type=int, default=3, help="seconds that are measured")
    options = parser.parse_args()

    image = build_image(load_recipe(default_recipe_path()), progress=TerminalProgress())
    fio = read_fio_job(project_dir() / "jobs" / "fio" / "randread-4k.fio")
    fio = fio.with_options(runtime=f"{options.runtime}s", ramp_time="1s")
    load_average = os.getloadavg()[0]
    print(f"{os.cpu_count()} host CPUs, load {load_average:.1f}; {fio.rw} {fio.bs}, iodepth {fio.iodepth} per queue")
    print(f"{'iothreads':>9}  {'metric':<23}{'without a guest':>22}{'fio, TCG guest':>22}{'ratio':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for iothreads in options.iothreads:
            spec = machine(iothreads)
            found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
            for number in range(options.runs):
                places = [Path(folder) / f"{name}-{iothreads}-{number}" for name in found]
                for place in places:
                    place.mkdir()
                found["without"].append(without_guest(options.qemu, spec, fio, places[0]))
                try:
                    found["with"].append(with_guest(options.qemu, options.firmware, spec, image, fio, places[1]))
                except StageError as err:  # a boot that failed is no reason to lose the others
                    print(f"a run with a guest failed: {err.message.splitlines()[0]}", file=sys.stderr)
            print("\n".join(lines(iothreads, found)), flush=True)


if __name__ == "__main__":
    main()
