from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.machine.mapping_placement import Placement, cpus_from_text, sharing, vcpus_of_queue
from lab.units import text_from_cpus


def test_pins_are_read() -> None:
    """A vCPU goes by its number, every other name is an IOThread."""
    placement = Placement.from_pins(("vcpu0=0", "vcpu11 = 2,3", "t0=4-6,9"))
    assert placement == Placement({0: frozenset({0}), 11: frozenset({2, 3})}, {"t0": frozenset({4, 5, 6, 9})})


@pytest.mark.parametrize(
    ("pins", "complaint"),
    [
        (("t0",), "'t0' does not place a thread"),
        (("=3",), "does not place a thread"),
        (("t0=1", "t0=2"), "'t0' is placed twice"),
        (("vcpu1=1", "vcpu01=2"), "'vcpu01' is placed twice"),
        (("t0=",), "'' is not a list of CPUs"),
        (("t0=3-1",), "is not a list of CPUs"),
        (("t0=0-99999",), "is not a list of CPUs"),
        (("t0=all",), "is not a list of CPUs"),
    ],
)
def test_a_pin_that_cannot_be_read_is_refused(pins: tuple[str, ...], complaint: str) -> None:
    """The message holds what was typed, the remedy an example."""
    with pytest.raises(InputError) as caught:
        Placement.from_pins(pins)
    assert complaint in caught.value.message
    assert caught.value.remedy


@given(cpus=st.frozensets(st.integers(0, 300), min_size=1))
def test_a_list_of_cpus_is_written_as_it_is_read(cpus: frozenset[int]) -> None:
    """Text and set give each other back."""
    assert cpus_from_text(text_from_cpus(cpus)) == cpus


def test_a_list_of_cpus_is_short() -> None:
    """Neighbours are drawn together as the kernel does."""
    assert text_from_cpus(frozenset({0, 1, 2, 8, 10, 11})) == "0-2,8,10-11"


@given(num_queues=st.integers(1, 64), vcpus=st.integers(1, 64))
def test_every_vcpu_fills_exactly_one_queue(num_queues: int, vcpus: int) -> None:
    """The queues in use share all vCPUs, in order and evenly; the others get none."""
    groups = [vcpus_of_queue(queue, num_queues, vcpus) for queue in range(num_queues)]
    assert [vcpu for group in groups for vcpu in group] == list(range(vcpus))
    used = [len(group) for group in groups if len(group)]
    assert len(used) == min(num_queues, vcpus)
    assert max(used) - min(used) <= 1


def test_the_first_queues_get_one_vcpu_more() -> None:
    """Five vCPUs on two queues: three and two."""
    assert list(vcpus_of_queue(0, 2, 5)) == [0, 1, 2]
    assert list(vcpus_of_queue(1, 2, 5)) == [3, 4]
    assert list(vcpus_of_queue(7, 8, 4)) == []


QUEUES = {"ctrl": None, "event": "t0", "0": "t0", "1": "t1"}


def test_an_iothread_on_the_cpu_of_its_vcpu_is_named() -> None:
    """Only the pair that meets at a queue counts: t0 on the CPU of vCPU 1 is somebody else's neighbour."""
    placement = Placement(
        {0: frozenset({0}), 1: frozenset({1, 2, 3})}, {"t0": frozenset({1}), "t1": frozenset({2, 3, 4})}
    )
    assert list(sharing(QUEUES, 2, 2, placement)) == [
        'queue 1: IOThread "t1" and vCPU 1, which fills the queue, share CPU 2-3'
    ]


def test_threads_without_a_place_share_nothing() -> None:
    """Nothing is said without a plan, about threads the plan leaves out, or where it holds no vCPU."""
    assert list(sharing(QUEUES, 2, 2, None)) == []
    assert list(sharing(QUEUES, 2, 2, Placement({0: frozenset({0})}, {"t1": frozenset({0})}))) == []
    assert list(sharing(QUEUES, 2, None, Placement({}, {"t0": frozenset({0})}))) == []


def test_without_a_number_of_vcpus_the_plan_tells_it() -> None:
    """The highest vCPU placed is taken as the last there is."""
    placement = Placement({0: frozenset({0}), 1: frozenset({1})}, {"t1": frozenset({1})})
    assert len(list(sharing(QUEUES, 2, None, placement))) == 1
