from functools import partial
from pathlib import Path
from typing import cast

import pytest

from lab.errors import DeviceError
from lab.testing import FakeClock
from lab.virtio.qtest_machine import QtestMachine
from lab.virtio.tmf.case import TmfCase, matrix_cases
from lab.virtio.tmf.controller import controller_mapping
from lab.virtio.tmf.judge import Judgement, judge
from lab.virtio.tmf.matrix import Backtraces, _observed
from lab.virtio.tmf.observation import Observation
from lab.virtio.tmf.oracle import expectation
from lab.virtio.tmf.perform import Performance
from lab.virtio.tmf.plan import UNITS, plan_from_case
from lab.virtio.tmf.watchdog import Stall
from lab.virtio.verdict import Verdict
from tests.unit.virtio.tmf.model import Model


class Asleep:
    """A process that does nothing by itself: the model acts only when it is touched."""

    def cpu_ns(self) -> int:
        """Return the CPU time, which stands still."""
        return 0

    def wants_cpu(self) -> bool:
        """Nothing is ready to run."""
        return False


def performed(case: TmfCase, model: Model) -> tuple[Observation, Judgement]:
    """Perform a case on a model, on a fake clock, and judge it."""
    plan = plan_from_case(case)
    machine = cast("QtestMachine", model)
    performance = Performance(machine, case, plan, process=Asleep(), make_deadline=FakeClock().deadline)
    performance.run()
    seen = performance.observation
    mapping = controller_mapping(case.mapping, 4)
    return seen, judge(plan, expectation(case, plan), seen, mapping.served_by)


@pytest.mark.parametrize(("mapping", "iothreads"), [("none", 0), ("1", 1), ("2", 2), ("4", 4)])
def test_a_device_without_fault_passes_the_matrix(tmp_path: Path, mapping: str, iothreads: int) -> None:
    """Every case, with every number of IOThreads."""
    for case in matrix_cases([mapping]):
        (tmp_path / case.id).mkdir(parents=True)
        _, judgement = performed(case, Model(tmp_path / case.id, iothreads=iothreads))
        assert judgement == Judgement(Verdict.PASSED), case.id


@pytest.mark.parametrize(
    ("fault", "where", "reason"),
    [
        ("never answers", "QUERY_TASK/finished/present", "the function was never answered"),
        ("never answers", "ABORT_TASK/in-flight/present", "the function was never answered"),
        ("answers early", "ABORT_TASK_SET/in-flight/present", "ended after the function that ends it"),
        ("answers early", "ABORT_TASK/being-aborted/present", "ended after the function that ends it"),
        ("accepts everything", "CLEAR_ACA/in-flight/present", "answered FUNCTION_COMPLETE instead of"),
        ("aborts in a reset", "LOGICAL_UNIT_RESET/in-flight/present", "ended ABORTED instead of RESET"),
        ("forgets the unit attention", "I_T_NEXUS_RESET/in-flight/present", "does not report its reset"),
        ("compares half a tag", "ABORT_TASK/never-seen/present", "ended ABORTED instead of OK"),
        ("ignores the LUN", "ABORT_TASK/in-flight/present", "LUN 0:1, queue 3 ended ABORTED instead of OK"),
        ("resets one LUN only", "I_T_NEXUS_RESET/in-flight/present", "LUN 0:1, queue 3 ended after the function"),
        ("lets go of commands too soon", "ABORT_TASK/in-flight/present", "wrote to its data buffer"),
        ("lets go of commands too soon", "LOGICAL_UNIT_RESET/in-flight/present", "wrote to its data buffer"),
        ("answers the earlier abort early", "QUERY_TASK/being-aborted/present", "before its command had ended"),
        ("resets everything", "LOGICAL_UNIT_RESET/in-flight/unplugged-meanwhile", "LUN 1:2 was not reset and said"),
        ("loses aborted commands", "CLEAR_TASK_SET/in-flight/present", "never ended"),
        ("ends commands twice", "QUERY_TASK_SET/in-flight/present", "something ended twice"),
        ("reads the wrong block", "QUERY_TASK/in-flight/present", "wrong data"),
        ("serves everything in the main loop", "CLEAR_ACA/in-flight/present", "the mapping says"),
        ("refuses device_del", "QUERY_TASK/in-flight/unplugged-meanwhile", "device_del: no such device"),
    ],
)
def test_each_fault_is_found(tmp_path: Path, fault: str, where: str, reason: str) -> None:
    """A device that does one thing wrong fails the case that is about it, for that reason."""
    case = next(c for c in matrix_cases(["2"]) if c.id == f"2/{where}/queue-3")
    _, judgement = performed(case, Model(tmp_path, fault=fault))
    assert judgement.verdict is Verdict.FAILED
    assert any(reason in text for text in judgement.reasons), judgement.reasons


def test_a_hang_is_noted_with_what_was_waited_for(tmp_path: Path) -> None:
    """The first stall counts, and what did end is there all the same."""
    case = next(c for c in matrix_cases(["2"]) if c.id == "2/ABORT_TASK/in-flight/present/queue-3")
    seen, _ = performed(case, Model(tmp_path, fault="never answers"))
    assert (seen.stall, seen.waiting_for) == (Stall.ASLEEP, "everything to end")
    assert seen.function is not None and not seen.function.ended and all(ending.ended for ending in seen.commands)
    assert seen.after == {}


def test_a_lun_that_never_becomes_ready(tmp_path: Path) -> None:
    """A case on a disk that keeps reporting something cannot be set up."""

    class Restless(set[object]):
        def discard(self, element: object) -> None:
            """Keep it: the next command meets it again."""

    model = Model(tmp_path)
    model.attentions = Restless(unit.lun for unit in UNITS)  # type: ignore[assignment]
    with pytest.raises(DeviceError, match="not ready after 8 times"):
        performed(matrix_cases(["2"])[0], model)


@pytest.mark.parametrize("fault", ["writes no response", "says it wrote nothing"])
def test_what_comes_back_without_an_answer(tmp_path: Path, fault: str) -> None:
    """A buffer of zeros would be FUNCTION_COMPLETE; the case ends there, and says what rule was broken."""
    case = next(c for c in matrix_cases(["2"]) if c.id == "2/ABORT_TASK/in-flight/present/queue-3")
    with pytest.raises(DeviceError, match=r"without an answer|says it wrote 0 bytes"):
        performed(case, Model(tmp_path, fault=fault))


def test_a_rule_that_is_broken_is_no_trouble_of_the_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It goes to the judge as what it is, and is a fault there."""
    monkeypatch.setattr("lab.virtio.tmf.matrix.crash_text", lambda _: None)
    model = Model(tmp_path, fault="writes no response")
    case = next(c for c in matrix_cases(["2"]) if c.id == "2/ABORT_TASK/in-flight/present/queue-3")
    monkeypatch.setattr("lab.virtio.tmf.matrix.Performance", partial(Performance, process=Asleep()))
    seen = _observed(cast("QtestMachine", model), case, plan_from_case(case), Backtraces())
    assert (seen.broken, seen.trouble) == ("the device returned a request without an answer in it", "")
