from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import HostError, InputError
from lab.experiment import capabilities as module
from lab.experiment.capabilities import mapping_changes, require_capabilities
from lab.experiment.cells import checked_cells
from lab.machine.capabilities import Capabilities
from lab.machine.mapping import Dialect
from lab.record import Arm
from tests.unit.experiment.made_up import BASELINE, CANDIDATE, loaded_job
from tests.unit.experiment.test_job import GOOD
from tests.unit.machine.made_up_qemu import CAPABILITIES, OLD

BUILDS = {Arm.BASELINE: BASELINE, Arm.CANDIDATE: CANDIDATE}
Answer = Capabilities | InputError
Check = Callable[..., tuple[str, ...]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check a job against what the two binaries can do."""

    def run(baseline: Answer, candidate: Answer, text: str = GOOD) -> tuple[str, ...]:
        def found(qemu: Path) -> Capabilities:
            answer = baseline if qemu == BASELINE.qemu else candidate
            if isinstance(answer, InputError):
                raise answer
            return answer

        monkeypatch.setattr(module, "capabilities_of", found)
        loaded = loaded_job(tmp_path, text)
        cells, _ = checked_cells(loaded, loaded.profile(None)[1])
        return require_capabilities(loaded, cells, BUILDS, "tcg")

    return run


def test_two_binaries_that_can_do_it_are_taken(check: Check) -> None:
    """Without a word."""
    assert check(CAPABILITIES, CAPABILITIES) == ()


def test_a_baseline_from_before_the_property_is_refused(check: Check) -> None:
    """With the arm, its version, what is missing and a cell that needs it, and that the other has it."""
    with pytest.raises(InputError, match=r"the baseline \(QEMU 7.2.22\) has no property iothread-vq-mapping") as caught:
        check(OLD, CAPABILITIES)
    assert "which baseline.iodepth=1.iothreads=1 needs and 3 other cells" in caught.value.message
    assert caught.value.message.endswith("other cells") and caught.value.remedy.startswith("the candidate has it")
    assert caught.value.exit_code == 2


def test_a_candidate_that_lost_something_is_refused(check: Check) -> None:
    """The other way round."""
    with pytest.raises(InputError, match="the candidate") as caught:
        check(CAPABILITIES, replace(CAPABILITIES, machine_types=("pc",)))
    assert caught.value.remedy.startswith("the baseline has it")


def test_what_both_lack_is_said_of_both(check: Check) -> None:
    """The job is what has to change."""
    with pytest.raises(InputError, match=r"the baseline .*; the candidate ") as caught:
        check(OLD, OLD)
    assert caught.value.remedy.startswith("leave it out of the job")


def test_many_missing_things_are_counted(check: Check) -> None:
    """The first few are named."""
    bare = replace(CAPABILITIES, machine_types=(), cpu_models=(), accelerators=(), devices={}, block_drivers=())
    with pytest.raises(InputError, match=r"and \d+ more$"):
        check(bare, CAPABILITIES)


def test_what_needs_no_mapping_runs_on_an_old_binary(check: Check) -> None:
    """Only what the job asks for is asked of the binary."""
    assert check(OLD, OLD, GOOD.replace("vcpus = 4", 'vcpus = 4\nmapping = "none"')) == ()


def test_what_the_host_refuses_is_the_hosts_fault(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another exit code: another host may do."""
    monkeypatch.setattr(module, "host_refusals", lambda *_: ("aio=io_uring: Operation not permitted",))
    with pytest.raises(HostError, match=r"this host refuses .*: aio=io_uring: Operation not permitted$"):
        check(CAPABILITIES, CAPABILITIES)


def test_a_binary_that_does_not_answer_is_left_to_its_runs(check: Check) -> None:
    """A candidate that crashes at its start is what the experiment is to find."""
    (warning,) = check(CAPABILITIES, InputError("x cannot be asked\nit printed:\nboom"))
    assert warning == "the candidate could not be asked what it can do: x cannot be asked"


def test_another_dialect_of_the_mapping_is_warned_about(check: Check) -> None:
    """A round robin is accepted by both and spreads other queues."""
    other = replace(CAPABILITIES, scsi_dialect=Dialect.ALL_QUEUES)
    (warning,) = check(CAPABILITIES, other)
    assert "what a mapping of virtio-scsi counts" in warning
    assert mapping_changes(OLD, other) == mapping_changes(CAPABILITIES, CAPABILITIES) == ()
