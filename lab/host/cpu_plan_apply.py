"""A CPU plan and thread ids to pinned threads, and affinities read back to what differs from the plan.

Applying proves nothing: the kernel silently narrows an affinity to the cpuset (sched_setaffinity(2)), and whoever
manages the host may move threads later. So a plan is verified after it was applied and again after the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lab.errors import StageError
from lab.host.cpu_plan import MAIN_LOOP, CpuPlan
from lab.units import text_from_cpus

_PROC = Path("/proc")


class PinningError(StageError):
    """A thread could not be put where the plan wants it."""


class Affinities(Protocol):
    """Where threads may run."""

    def get(self, thread_id: int) -> frozenset[int]:
        """Return the CPUs of a thread."""
        ...

    def set(self, thread_id: int, cpus: frozenset[int]) -> None:
        """Move a thread."""


class KernelAffinities:
    """Asks the kernel, sched_setaffinity(2)."""

    def get(self, thread_id: int) -> frozenset[int]:
        """Return the CPUs of a thread.

        :raise OSError: there is no such thread.
        """
        return frozenset(os.sched_getaffinity(thread_id))

    def set(self, thread_id: int, cpus: frozenset[int]) -> None:
        """Move a thread.

        :raise OSError: there is no such thread, it is not ours, or it may use none of these CPUs.
        """
        os.sched_setaffinity(thread_id, cpus)


def apply_plan(
    plan: CpuPlan,
    names: Mapping[int, str],
    *,
    process_threads: frozenset[int] = frozenset(),
    affinities: Affinities | None = None,
) -> None:
    """Pin every thread of the plan, and every thread that nobody named to where the main loop is.

    The main loop is pinned first: threads that it starts meanwhile inherit its place.

    :param names: thread id to name, as QMP tells (``ThreadMap.names``).
    :param process_threads: all threads of QEMU (:func:`threads_of`): workers, RCU, signals.
    :raise PinningError: a thread of the plan does not exist, or the kernel refuses.
    """
    kernel = affinities or KernelAffinities()
    if not plan.is_pinned:
        return
    ids = {name: thread_id for thread_id, name in names.items()}
    missing = [name for name in plan.cpus if name not in ids]
    if missing:
        raise PinningError(
            f"the CPU plan has a place for {missing[0]}, but QEMU has no such thread",
            remedy="make the plan for the same number of vCPUs and IOThreads; TCG wants one thread per vCPU",
        )
    for name in (MAIN_LOOP, *(name for name in plan.cpus if name != MAIN_LOOP)):
        try:
            kernel.set(ids[name], plan.cpus[name])
        except OSError as err:
            raise PinningError(
                f"{name} (thread {ids[name]}) cannot be put on CPU {text_from_cpus(plan.cpus[name])}: {err.strerror}",
                remedy="is the CPU online, and does the cgroup's cpuset grant it? 'lab host show' tells",
            ) from err
    for thread_id in process_threads - names.keys():
        try:
            kernel.set(thread_id, plan.cpus[MAIN_LOOP])
        except OSError:
            continue  # a worker that ended meanwhile


def verify_plan(plan: CpuPlan, names: Mapping[int, str], *, affinities: Affinities | None = None) -> tuple[str, ...]:
    """Read the affinities back and return a sentence for each that is not as planned; a run with one is void.

    :param names: thread id to name, as for :func:`apply_plan`.
    """
    kernel = affinities or KernelAffinities()
    ids = {name: thread_id for thread_id, name in names.items()}
    differences = []
    for name, wanted in plan.cpus.items():
        if name not in ids:
            differences.append(f"{name} does not exist")
            continue
        try:
            found = kernel.get(ids[name])
        except OSError as err:
            differences.append(f"{name} (thread {ids[name]}) cannot be asked: {err.strerror}")
            continue
        if found != wanted:
            differences.append(f"{name} may run on CPU {text_from_cpus(found)}, not on {text_from_cpus(wanted)}")
    return tuple(differences)


def intruders(
    plan: CpuPlan,
    names: Mapping[int, str],
    process_threads: frozenset[int],
    *,
    affinities: Affinities | None = None,
) -> tuple[str, ...]:
    """Return a sentence for each IOThread whose CPUs other threads of QEMU share, although the plan does not say so.

    Workers of ``aio=threads`` are started by the thread that submits (``spawn_thread()`` in util/thread-pool.c) and
    inherit its CPUs. To be called after the load: they come with it, and stay for some seconds.

    :param names: thread id to name, as for :func:`apply_plan`.
    :param process_threads: all threads of QEMU.
    """
    kernel = affinities or KernelAffinities()
    found: set[str] = set()
    for thread_id in process_threads - names.keys() if plan.is_pinned else ():
        try:
            cpus = kernel.get(thread_id)
        except OSError:
            continue  # a worker that ended meanwhile
        if cpus != plan.cpus[MAIN_LOOP]:
            found |= {name for name in plan.threads.iothreads if cpus & plan.cpus[name]}
    return tuple(
        f"worker threads of QEMU (aio=threads) shared the CPUs of {name}, which started them: docs/host.md"
        for name in sorted(found)
    )


def threads_of(pid: int, *, proc: Path = _PROC) -> frozenset[int]:
    """Return the ids of all threads of a process; none where it is gone."""
    try:
        return frozenset(int(task.name) for task in (proc / str(pid) / "task").iterdir())
    except OSError:
        return frozenset()
