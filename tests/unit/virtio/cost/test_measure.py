from pathlib import Path

import pytest

from lab.errors import DeadlineError, StageError
from lab.virtio.cost.callgrind import Profiles
from lab.virtio.cost.measure import CaseCost, measure, plug_in_disk
from lab.virtio.cost.operation import OPERATIONS
from tests.unit.virtio.cost.counted import CountedMachine, no_waiting

READ, FUNCTION = OPERATIONS[0], OPERATIONS[4]
CHECK_CONDITION = bytes((18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x70, 0, 5, *bytes(93)))


def counted(machine: CountedMachine, operation: object = READ, repeats: int = 4) -> CaseCost:
    """Count an operation on a machine."""
    profiles = Profiles(machine, machine.folder)  # type: ignore[arg-type]
    return measure(machine, profiles, operation, "2", repeats=repeats, make_deadline=no_waiting)  # type: ignore[arg-type]


def test_the_cost_of_an_operation_is_exact(tmp_path: Path) -> None:
    """What a burst costs whatever its size, the kick and a turn of the main loop, is not in it."""
    case = counted(CountedMachine(tmp_path, {0x28: 29371}))
    assert case.instructions == 29371 and case.spread == 0
    assert [(one.name, one.instructions) for one in case.functions] == [("serve_40", 29371)]
    assert (case.operation, case.mapping, case.answer, case.trouble) == ("READ", "2", "OK", "")
    assert case.n == READ.operations_between * 4 and case.is_steady
    assert not list(tmp_path.iterdir()), "profiles are removed"


def test_turns_too_many_do_not_count(tmp_path: Path) -> None:
    """The main loop turns now and then more often than needed, in most bursts and in every large one."""
    machine = CountedMachine(tmp_path, {0x28: 1000}, extra=(0, 0, 1, 2, 0, 3, 0, 1, 1))
    case = counted(machine)
    assert (case.instructions, case.spread) == (1000, 0)
    assert [one.name for one in case.functions] == ["serve_40"]


def test_halves_that_disagree_are_the_spread(tmp_path: Path) -> None:
    """Every other burst is dearer by a tenth: half of the bursts say so, and the other half do not."""
    machine = CountedMachine(tmp_path, {0x28: 1000})
    machine.odd = 80_000
    case = counted(machine)
    assert case.instructions == pytest.approx(1050)
    assert case.spread == pytest.approx(100 / 1050)


def test_one_odd_burst_does_not_count(tmp_path: Path) -> None:
    """Now and then a burst pays for tidying up; the median of five does not."""
    machine = CountedMachine(tmp_path, {0x28: 1000})
    machine.odd, machine.every = 80_000, 5
    assert counted(machine, repeats=5).instructions == 1000


def test_the_heap_is_apart(tmp_path: Path) -> None:
    """What malloc does to keep its heap in order is told, and is not part of the cost."""
    machine = CountedMachine(tmp_path, {0x28: 1000})
    machine.heap = 60
    case = counted(machine)
    assert (case.instructions, case.heap) == (1000, 60)
    assert [one.name for one in case.functions] == ["serve_40"]


def test_a_function_is_counted_on_the_ctrl_virtqueue(tmp_path: Path) -> None:
    """Its answer is kept, whatever it is."""
    case = counted(CountedMachine(tmp_path, {1000: 5900}), FUNCTION)
    assert (case.instructions, case.answer) == (5900, "OK")


def test_a_command_that_fails_is_not_counted(tmp_path: Path) -> None:
    """The path of an error is not the path of the request."""
    machine = CountedMachine(tmp_path, {})
    machine.answer = CHECK_CONDITION
    with pytest.raises(StageError, match=r"READ was answered CHECK_CONDITION .*, and OK was expected"):
        counted(machine)


def test_an_operation_that_is_never_answered(tmp_path: Path) -> None:
    """The wait ends, and says for what it was."""
    machine = CountedMachine(tmp_path, {}, answers=False)
    with pytest.raises(DeadlineError, match="answers to 220 times READ"):
        counted(machine)


def test_the_disk_is_ready_before_anything_is_counted(tmp_path: Path) -> None:
    """A unit attention would make the first command fail."""
    machine = CountedMachine(tmp_path, {})
    counted(machine)
    assert machine.done == [("until_ready", {})]


def test_iothreads_do_not_poll(tmp_path: Path) -> None:
    """Polling would count time that passes; the disk answers at once, and the driver comes last."""
    machine = CountedMachine(tmp_path, {})
    plug_in_disk(machine)  # type: ignore[arg-type]
    commands = [command for command, _ in machine.done]
    assert commands == ["qom-set", "qom-set", "blockdev-add", "device_add", "start"]
    assert machine.done[1][1] == {"path": "/objects/t1", "property": "poll-max-ns", "value": 0}
    assert machine.done[2][1]["driver"] == "null-co" and "latency-ns" not in machine.done[2][1]
