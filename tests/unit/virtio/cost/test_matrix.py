from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.errors import BootError
from lab.progress import SilentProgress
from lab.virtio.cost import matrix
from lab.virtio.cost.matrix import Subject, count_costs
from lab.virtio.cost.measure import CaseCost
from lab.virtio.cost.operation import OPERATIONS, Operation
from lab.virtio.qtest_machine import QtestSpec
from tests.unit.virtio.cost.counted import CountedMachine, case_of, late

SUBJECT = Subject("baseline", Path("qemu"), ("none", "2"))


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> list[QtestSpec]:
    """Return the machines that were started; none of them is real, and every operation costs the same."""
    started: list[QtestSpec] = []

    @contextmanager
    def start_machine(spec: QtestSpec, folder: Path) -> Iterator[CountedMachine]:
        started.append(spec)
        yield CountedMachine(folder, {})

    def measure(_machine: object, _profiles: object, operation: Operation, mapping: str) -> CaseCost:
        return case_of(operation.name, mapping, functions={"f": 100.0})

    monkeypatch.setattr(matrix, "start_machine", start_machine)
    monkeypatch.setattr(matrix, "measure", measure)
    return started


def test_a_machine_for_each_binary_and_mapping(specs: list[QtestSpec]) -> None:
    """Every operation on each; results are in the order that was asked for."""
    subjects = (SUBJECT, Subject("candidate", Path("other"), ("2",)))
    costs = count_costs(subjects, OPERATIONS[:3], progress=SilentProgress())
    assert [(one.mapping, one.operation) for one in costs["baseline"]] == [
        (mapping, operation.name) for mapping in ("none", "2") for operation in OPERATIONS[:3]
    ]
    assert len(costs["candidate"]) == 3 and len(specs) == 3
    assert {spec.qemu.name for spec in specs} == {"qemu", "other"}
    assert all("valgrind" in spec.wrapper for spec in specs)
    assert sorted(len(spec.iothreads) for spec in specs) == [0, 2, 2]


def test_after_trouble_the_rest_goes_on_with_a_new_machine(
    specs: list[QtestSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that is never answered may have taken QEMU with it."""

    def measure(_machine: object, _profiles: object, operation: Operation, mapping: str) -> CaseCost:
        return late() if operation.name == "WRITE" else case_of(operation.name, mapping, functions={"f": 1.0})

    monkeypatch.setattr(matrix, "measure", measure)
    costs = count_costs([SUBJECT], OPERATIONS[:3], progress=SilentProgress(), workers=1)["baseline"]
    assert [bool(cost.trouble) for cost in costs] == [False, True, False] * 2
    assert len(specs) == 4


def test_a_qemu_that_does_not_start_ends_it_all(specs: list[QtestSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the first one's."""

    def fail(_spec: object, _folder: object) -> None:
        raise BootError("starting QEMU for qtest: QEMU ended by itself")

    monkeypatch.setattr(matrix, "start_machine", fail)
    with pytest.raises(BootError, match="ended by itself"):
        count_costs([SUBJECT], OPERATIONS[:1], progress=SilentProgress())
    assert not specs
