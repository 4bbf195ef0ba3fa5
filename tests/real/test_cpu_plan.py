"""A real guest on planned CPUs: what the kernel says of its threads, and what a run is worth whose threads move."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.build.arms import Arms
from lab.deadline import Deadline
from lab.experiment.job import load_job
from lab.experiment.realise import Bench, realise
from lab.host.accelerator_choice import AcceleratorChoice
from lab.host.cpu_plan import CpuPlan, Sharing, Threads
from lab.host.cpu_plan_choice import plan_from_pins
from lab.host.topology import read_topology
from lab.image.guest_image import GuestImage
from lab.record import Arm, Cell, Outcome, Point, RunRecord, ScheduledRun
from lab.settings import project_dir

JOB = """\
title = "one short run"
fio = "randread.fio"

[machine]
vcpus = 2
iothreads = 1

[profile.quick]
blocks = 1
runtime_s = 1
"""
RUN = ScheduledRun(1, 1, Cell(Arm.BASELINE, Point(())), 7)


@pytest.fixture
def plan() -> CpuPlan:
    """Threads of one guest that share two CPUs, as asked for."""
    topology = read_topology()
    if len(topology.cpus) < 2:
        pytest.skip("threads are moved between two CPUs")
    one, other = (cpu.id for cpu in topology.cpus[:2])
    pins = (f"vcpu0={one}", f"vcpu1={other}", f"iothread0={one}", f"main-loop={other}")
    return plan_from_pins(topology, Threads(2, ("iothread0",)), pins, overlap=True)


@pytest.fixture
def run_while(
    tmp_path: Path, arms: Arms, guest_image: GuestImage, accelerator: AcceleratorChoice, plan: CpuPlan
) -> Callable[[Callable[[dict[str, int]], None]], RunRecord]:
    """Return a function that does a run and calls another one, with the ids of its threads, during the load."""
    (tmp_path / "randread.fio").write_bytes((project_dir() / "jobs" / "fio" / "randread-4k.fio").read_bytes())
    (tmp_path / "short.toml").write_text(JOB)
    loaded = load_job(tmp_path / "short.toml")
    builds = {Arm.BASELINE: arms.baseline, Arm.CANDIDATE: arms.candidate}
    profile = loaded.job.profile["quick"]
    bench = Bench(loaded, profile, builds, guest_image, accelerator.accelerator, "here", plan)
    evidence = tmp_path / "evidence"
    evidence.mkdir()

    def run(meanwhile: Callable[[dict[str, int]], None]) -> RunRecord:
        def watch() -> None:
            Deadline(60).wait_for("the load", lambda: (evidence / "fio.job").exists() or None)
            meanwhile(json.loads((evidence / "cpu-plan.json").read_text())["thread_ids"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        record = realise(bench, RUN, attempt=1, evidence=evidence)
        watcher.join()
        return record

    return run


def test_threads_are_where_the_plan_put_them(
    plan: CpuPlan, run_while: Callable[[Callable[[dict[str, int]], None]], RunRecord]
) -> None:
    """The kernel's own answer during the load is the plan, thread by thread, and the run counts."""
    found: dict[str, frozenset[int]] = {}

    def ask(thread_ids: dict[str, int]) -> None:
        found.update({name: frozenset(os.sched_getaffinity(tid)) for name, tid in thread_ids.items()})

    record = run_while(ask)
    assert record.outcome is Outcome.OK, record.reason
    assert found == dict(plan.cpus)
    assert record.facts["cpu_plan"] == Sharing.PINNED and record.facts["planned_foreign_share"] < 1
    assert record.metrics["iops"] > 100


def test_a_thread_that_is_moved_voids_the_run(
    plan: CpuPlan, run_while: Callable[[Callable[[dict[str, int]], None]], RunRecord]
) -> None:
    """As by software that manages a host's CPUs and knows nothing of the lab."""

    def move(thread_ids: dict[str, int]) -> None:
        os.sched_setaffinity(thread_ids["iothread0"], plan.planned)

    record = run_while(move)
    assert record.outcome is Outcome.VOID and not record.metrics
    assert record.reason.startswith("the CPU plan was not kept: iothread0 may run on CPU ")
