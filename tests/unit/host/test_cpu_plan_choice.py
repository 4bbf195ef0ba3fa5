"""Making plans: what fits first, in the stated order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import ExitCode, HostError, InputError
from lab.host.cpu_plan import MAIN_LOOP, CpuPlan, Sharing, Threads
from lab.host.cpu_plan_choice import plan_cpus, plan_from_pins, plan_nothing
from lab.host.topology import BlockDevice, Cpu, Topology


def _topology(cores: int, *, nodes: int = 1, smt: bool = False, isolated: frozenset[int] = frozenset()) -> Topology:
    """Return a host whose CPU n and n + cores are siblings and whose nodes have neighbouring cores."""
    return Topology(
        tuple(
            Cpu(number, number % cores, number % cores * nodes // cores, number in isolated)
            for number in range(cores * (2 if smt else 1))
        )
    )


def _plan(topology: Topology, vcpus: int, iothreads: int, *, node: int | None = None) -> CpuPlan:
    device = None if node is None else BlockDevice("sda", node, ())
    return plan_cpus(topology, Threads(vcpus, tuple(f"iothread{n}" for n in range(iothreads))), device=device)


def _on(plan: CpuPlan, *names: str) -> list[int]:
    return sorted(cpu for name in names for cpu in plan.cpus[name])


def test_each_thread_gets_a_core() -> None:
    """With room enough each thread has a core to itself, and the core of CPU 0 is left to the kernel."""
    plan = _plan(_topology(8, smt=True), 4, 2)
    assert _on(plan, *plan.threads.names) == [1, 2, 3, 4, 5, 6, 7]
    assert plan.sharing is Sharing.NONE


def test_guest_stays_on_one_node() -> None:
    """A node with room for all is taken, although two nodes would have more cores to themselves."""
    plan = _plan(_topology(8, nodes=2, smt=True), 4, 1)
    assert plan.nodes in ((0,), (1,)) and plan.sharing is Sharing.NONE


@pytest.mark.parametrize("node", [0, 1])
def test_node_of_the_device_is_preferred(node: int) -> None:
    """Between equal nodes the one of the disk wins."""
    assert _plan(_topology(8, nodes=2), 2, 1, node=node).nodes == (node,)


def test_whole_cores_come_before_being_near() -> None:
    """The disk's node with siblings only loses against the other with whole cores."""
    near = tuple(Cpu(number, number % 2, 0) for number in range(4))
    far = tuple(Cpu(number, number, 1) for number in range(4, 8))
    assert _plan(Topology((*near, *far)), 2, 1, node=0).nodes == (1,)


def test_isolated_cpus_are_taken_first() -> None:
    """Isolated CPUs are there for this."""
    plan = _plan(_topology(8, isolated=frozenset({4, 5, 6, 7})), 2, 1)
    assert _on(plan, *plan.threads.names) == [4, 5, 6, 7]


def test_node_with_isolated_cpus_is_preferred() -> None:
    """Of two nodes the one with isolated CPUs is better."""
    assert _plan(_topology(8, nodes=2, isolated=frozenset({4, 5, 6, 7})), 2, 1).nodes == (1,)


def test_vcpus_share_cores_before_an_iothread_does() -> None:
    """Where cores have to be shared, vCPUs are put beside vCPUs, and IOThreads keep whole cores."""
    plan = _plan(_topology(5, smt=True), 4, 2)
    cores = {name: next(iter(cpus)) % 5 for name, cpus in plan.cpus.items()}
    assert cores["vcpu0"] == cores["vcpu1"] and cores["vcpu2"] == cores["vcpu3"]
    assert len({cores["iothread0"], cores["iothread1"], cores[MAIN_LOOP], cores["vcpu0"], cores["vcpu2"]}) == 5


def test_main_loop_shares_a_core_before_two_iothreads_do() -> None:
    """Of what the vCPUs leave, IOThreads take whole cores, and the main loop, which idles, takes what is left."""
    plan = _plan(_topology(3, smt=True), 2, 2)
    core = {name: next(iter(cpus)) % 3 for name, cpus in plan.cpus.items()}
    assert core["vcpu0"] == core["vcpu1"]
    assert core["iothread0"] not in (core["iothread1"], core[MAIN_LOOP], core["vcpu0"])
    assert core["iothread1"] == core[MAIN_LOOP]


def test_plan_degrades_in_the_stated_order() -> None:
    """One CPU less at a time: nodes are crossed, the main loop shares, the vCPUs share, at last all do."""
    steps = [(_plan(_topology(cores), 4, 2)).sharing for cores in range(8, 0, -1)]
    assert steps == [Sharing.NONE] * 2 + [Sharing.MAIN_LOOP] + [Sharing.VCPUS] * 2 + [Sharing.ALL] * 3
    assert _plan(_topology(8, nodes=2), 4, 2).nodes == (0, 1)


def test_main_loop_shares_with_the_vcpus_only() -> None:
    """Where the main loop has no CPU of its own, it keeps off the IOThreads."""
    plan = _plan(_topology(6), 4, 2)
    assert plan.cpus[MAIN_LOOP] == frozenset(_on(plan, "vcpu0", "vcpu1", "vcpu2", "vcpu3"))


def test_iothreads_keep_their_cpus_when_vcpus_share() -> None:
    """IOThreads get a CPU each before vCPUs do."""
    plan = _plan(_topology(4), 4, 2)
    assert plan.cpus["vcpu0"] == plan.cpus["vcpu3"] == plan.cpus[MAIN_LOOP]
    assert len(plan.cpus["iothread0"] | plan.cpus["iothread1"]) == 2
    assert not plan.cpus["vcpu0"] & (plan.cpus["iothread0"] | plan.cpus["iothread1"])


def test_threads_that_share_keep_off_isolated_cpus() -> None:
    """The scheduler balances nothing between them: IOThreads take them, one each, and the others stay unused."""
    plan = _plan(_topology(6, isolated=frozenset({3, 4, 5})), 6, 2)
    assert plan.sharing is Sharing.VCPUS
    assert sorted(_on(plan, "iothread0", "iothread1")) == [3, 4]
    assert plan.cpus["vcpu0"] == plan.cpus[MAIN_LOOP] == frozenset({0, 1, 2})


def test_all_threads_share_isolated_cpus_only_where_there_are_no_others() -> None:
    """A set of CPUs for everybody is one that the scheduler balances, if there is one."""
    crowd = _plan(_topology(3, isolated=frozenset({2})), 9, 1)
    assert crowd.sharing is Sharing.ALL and crowd.planned == {0, 1}
    assert _plan(_topology(2, isolated=frozenset({0, 1})), 9, 1).planned == {0, 1}


@given(
    cores=st.integers(1, 12),
    nodes=st.integers(1, 3),
    smt=st.booleans(),
    vcpus=st.integers(1, 12),
    iothreads=st.integers(0, 8),
    isolated=st.frozensets(st.integers(0, 23)),
)
@settings(max_examples=200, deadline=None)
def test_plan_keeps_its_promises(
    cores: int, nodes: int, smt: bool, vcpus: int, iothreads: int, isolated: frozenset[int]
) -> None:
    """Every thread has a usable place, nobody shares who was promised not to, and strict agrees."""
    topology = _topology(cores, nodes=nodes, smt=smt, isolated=isolated)
    plan = _plan(topology, vcpus, iothreads)
    assert set(plan.cpus) == set(plan.threads.names)
    assert all(cpus and cpus <= {cpu.id for cpu in topology.cpus} for cpus in plan.cpus.values())
    busy = [name for name in plan.threads.names if name != MAIN_LOOP]
    if plan.sharing in (Sharing.NONE, Sharing.MAIN_LOOP):
        assert len(_on(plan, *busy)) == len(set(_on(plan, *busy))) == len(busy)
    assert (plan.sharing is Sharing.NONE) is (len(topology.cpus) >= vcpus + iothreads + 1)
    assert bool(plan.cannot_claim()) or plan.sharing is Sharing.NONE
    if plan.sharing is Sharing.NONE:
        assert plan_cpus(topology, plan.threads, strict=True) == plan
    else:
        with pytest.raises(HostError):
            plan_cpus(topology, plan.threads, strict=True)


def test_strict_plan_names_the_shortage() -> None:
    """Who asks for CPUs of their own gets an error on a small host, not a smaller plan."""
    with pytest.raises(HostError, match="7 threads want a CPU each, and 2 may be used") as caught:
        plan_cpus(_topology(2), Threads(4, ("a", "b")), strict=True)
    assert caught.value.exit_code is ExitCode.HOST and caught.value.remedy


def test_no_plan_pins_nothing() -> None:
    """A plan of nothing is a plan, which says so."""
    plan = plan_nothing(_topology(2), Threads(4))
    assert not plan.is_pinned and plan.cpus == {} and plan.irq_cpus == frozenset() and not plan.exclusive


@pytest.mark.parametrize(
    ("pins", "why"),
    [
        (("vcpu0=0", "main-loop=1"), "'iothread0' has no CPU"),
        (("vcpu0=0", "iothread0=0", "main-loop=1"), "vcpu0 and iothread0 share CPU 0"),
        (("vcpu0=0", "iothread0=0-1", "main-loop=1"), "share CPU 0"),
        (("vcpu0=0", "vcpu0=1"), "'vcpu0' is pinned twice"),
        (("vcpu7=0",), "'vcpu7' is no thread of this guest"),
        (("vcpu0=9",), "may not be used here"),
        (("vcpu0",), "does not place a thread"),
        (("vcpu0=",), "does not place a thread"),
        (("vcpu0=x",), "does not place a thread"),
        (("vcpu0=0-999999999",), "does not place a thread"),
        (("vcpu0=3-1",), "may not be used here"),
    ],
)
def test_pins_that_make_no_plan_are_refused(pins: tuple[str, ...], why: str) -> None:
    """A plan somebody wrote names every thread, CPUs that are there, and no CPU twice."""
    with pytest.raises(InputError, match=why) as caught:
        plan_from_pins(_topology(4), Threads(1, ("iothread0",)), pins)
    assert caught.value.remedy


def test_overlap_that_was_asked_for_is_made() -> None:
    """An overlap is an error unless it is meant."""
    pins = ("vcpu0=0", "iothread0=0", "main-loop=1")
    plan = plan_from_pins(_topology(4), Threads(1, ("iothread0",)), pins, overlap=True)
    assert plan.sharing is Sharing.PINNED and not plan.exclusive


@pytest.mark.parametrize(
    ("threads", "why"),
    [
        (Threads(0), "at least one vCPU"),
        (Threads(1, ("a", "a")), "'a' cannot name"),
        (Threads(1, (MAIN_LOOP,)), "'main-loop' cannot name"),
        (Threads(1, ("vcpu3",)), "'vcpu3' cannot name"),
    ],
)
def test_threads_have_names_of_their_own(threads: Threads, why: str) -> None:
    """Two threads of one name could not be told apart."""
    with pytest.raises(InputError, match=why):
        plan_cpus(_topology(4), threads)
