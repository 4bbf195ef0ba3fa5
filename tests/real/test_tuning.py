"""The host's own settings, pinned threads of our own, and the lock: what only a kernel can answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import HostError
from lab.host.cpu_plan import Threads
from lab.host.cpu_plan_apply import apply_plan, threads_of, verify_plan
from lab.host.cpu_plan_choice import plan_cpus
from lab.host.exclusive import host_lock
from lab.host.passport_reading import NoiseWatch, read_noise
from lab.host.topology import read_topology
from lab.host.tuning import propose, restore, tune
from lab.host.tuning_controls import HostControls
from lab.host.tuning_journal import JournalFile

THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.fixture
def thp() -> Iterator[str]:
    """Return how transparent huge pages are set, and set them so again at the end."""
    if not THP.exists() or not os.access(THP, os.W_OK):
        pytest.skip("transparent huge pages cannot be set here")
    before = HostControls().read(str(THP.relative_to("/")))
    try:
        yield before
    finally:
        THP.write_text(before)


def test_huge_pages_are_tuned_and_restored(thp: str, tmp_path: Path) -> None:
    """The kernel takes the new value and the old one again; the journal is kept elsewhere than the host's own."""
    controls, file = HostControls(), JournalFile(tmp_path)
    other = next(value for value in ("never", "always") if value != thp)
    with host_lock("tune the host"):
        tune(controls, file, propose(controls, (f"thp={other}",)).entries, at="2026-01-02T03:04:05+00:00")
        assert f"[{other}]" in THP.read_text()
        (done,) = restore(controls, file)
    assert f"[{thp}]" in THP.read_text() and done.ok and not file.path.exists()


def test_host_is_held_once() -> None:
    """A second holder is refused while there is a first, and let in afterwards."""
    with host_lock("run an experiment"), pytest.raises(HostError, match="cannot tune the host now"):  # noqa: SIM117
        with host_lock("tune the host"):
            pytest.fail("two hold the host")
    with host_lock("tune the host"):
        pass


def test_threads_are_where_the_plan_puts_them() -> None:
    """The kernel puts threads of this process on the planned CPUs and says so; one that moves is found."""
    done = threading.Event()
    ids: dict[str, int] = {}
    workers = [threading.Thread(target=done.wait) for _ in range(2)]
    try:
        for name, worker in zip(("main-loop", "vcpu0"), workers, strict=True):
            worker.start()
            assert worker.native_id is not None
            ids[name] = worker.native_id
        names = {thread_id: name for name, thread_id in ids.items()}
        plan = plan_cpus(read_topology(), Threads(1))
        assert set(names) <= threads_of(os.getpid())
        apply_plan(plan, names)
        assert verify_plan(plan, names) == ()
        elsewhere = frozenset(cpu.id for cpu in read_topology().cpus) - plan.cpus["vcpu0"]
        if elsewhere:
            os.sched_setaffinity(ids["vcpu0"], elsewhere)
            assert len(verify_plan(plan, names)) == 1
    finally:
        done.set()
        for worker in workers:
            worker.join()


def test_this_host_can_be_read() -> None:
    """/proc/stat of a real kernel has every CPU of the topology, and a passport comes of it."""
    watch = NoiseWatch()
    assert {cpu.id for cpu in read_topology().cpus} <= set(read_noise().cpus)
    passport = watch.passport()
    assert passport.seconds > 0 and 0 <= passport.foreign_share <= 1 and passport.to_json()
