from pathlib import Path

import pytest

from lab.virtio.race.operations import Operations, text_of, throttle_limit
from lab.virtio.race.schedule import Action, Step
from lab.virtio.tmf.plan import UNITS


def operations(*iothreads: str) -> Operations:
    """Return the operations of a machine with these IOThreads."""
    return Operations(UNITS, iothreads or ("t0", "t1"), Path("/folder"))


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step(Action.UNPLUG_DISK, 1), 'device_del {"id": "disk-sibling"}'),
        (Step(Action.STOP), "stop"),
        (Step(Action.CONT), "cont"),
        (Step(Action.SYSTEM_RESET), "system_reset"),
        (Step(Action.IOTHREAD_DEL, queue=3), 'object-del {"id": "t1"}'),
        (Step(Action.IOTHREAD_ADD, queue=3), 'object-add {"qom-type": "iothread", "id": "t1"}'),
        (Step(Action.MIRROR_END), 'block-job-complete {"device": "mirror-addressed"}'),
        (Step(Action.MIRROR_CANCEL), 'block-job-cancel {"device": "mirror-addressed"}'),
    ],
)
def test_a_step_is_a_command(step: Step, text: str) -> None:
    """With the names that the machine was started with."""
    (command,) = operations().commands(step)
    assert text_of(command) == text


@pytest.mark.parametrize("export", ["sibling", "sibling-disk", "sibling-copy"])
def test_an_export_is_behind_a_disk(export: str) -> None:
    """As itself, below a throttle filter, or as the copy that a mirror fills."""
    assert operations().lun_of_export(export) == UNITS[1].lun


def test_a_controller_goes_by_a_reset() -> None:
    """There is no guest that could let it go."""
    assert [name for name, _ in operations().commands(Step(Action.CONTROLLER_DEL))] == ["device_del", "system_reset"]


def test_a_snapshot_is_on_top_afterwards() -> None:
    """The next snapshot, a mirror and a disk that is plugged again use it."""
    made = operations()
    ((_, first),) = made.commands(Step(Action.SNAPSHOT))
    ((_, second),) = made.commands(Step(Action.SNAPSHOT))
    assert first["node-name"] == "addressed" and second["node-name"] == first["snapshot-node-name"] == "addressed-1"
    assert second["snapshot-file"] == "/folder/addressed-2.qcow2"
    ((_, mirror),) = made.commands(Step(Action.MIRROR))
    assert (mirror["device"], mirror["target"]) == ("addressed-2", "addressed-copy")
    ((_, device),) = made.commands(Step(Action.PLUG_DISK))
    assert device["drive"] == "addressed-2"


def test_a_reopen_changes_the_group() -> None:
    """And back the next time."""
    made = operations()
    groups = [made.commands(Step(Action.REOPEN))[0][1]["options"][0]["throttle-group"] for _ in range(3)]  # type: ignore[index]
    assert groups == ["other", "slow", "other"]


def test_limits() -> None:
    """Of the first group, in requests a second."""
    assert operations().commands(Step(Action.THROTTLE, count=10)) == (throttle_limit(10),)
    assert throttle_limit(0)[1]["value"] == {"iops-total": 0}


def test_other_steps_are_no_commands() -> None:
    """They are done by the driver."""
    assert operations().commands(Step(Action.READ)) == ()
