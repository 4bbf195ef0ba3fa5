import pytest

from lab.virtio.tmf.case import LunState, TagState, TmfCase
from lab.virtio.tmf.plan import ADDRESSED, SIBLING, STRANGER, UNITS, Unplug, plan_from_case
from lab.virtio.virtio_scsi import Lun, Tmf


def case(tag_state: TagState, lun_state: LunState = LunState.PRESENT) -> TmfCase:
    """Return a case on queue 2."""
    return TmfCase(Tmf.ABORT_TASK, tag_state, lun_state, 2, "none")


@pytest.mark.parametrize(
    ("tag_state", "on_addressed", "on_sibling"),
    [
        (TagState.IN_FLIGHT, 4, 1),
        (TagState.NEVER_SEEN, 4, 1),
        (TagState.BEING_ABORTED, 4, 1),
        (TagState.FINISHED, 0, 1),
        (TagState.OTHER_LUN, 0, 4),
    ],
)
def test_what_is_in_flight(tag_state: TagState, on_addressed: int, on_sibling: int) -> None:
    """The addressed LUN has a command on each queue or none; a stranger's command is always there."""
    held = plan_from_case(case(tag_state)).held
    units = [command.unit for command in held]
    assert [units.count(unit) for unit in (ADDRESSED, SIBLING, STRANGER)] == [on_addressed, on_sibling, 1]


def test_the_same_tag_is_in_flight_on_other_luns() -> None:
    """Tags are per LUN, so the same one elsewhere is a trap for whoever looks at the tag alone."""
    plan = plan_from_case(case(TagState.IN_FLIGHT))
    assert {command.unit for command in plan.held if command.tag == plan.tag} == set(UNITS)


def test_a_tag_that_was_never_seen_has_a_neighbour_with_the_same_low_half() -> None:
    """Whoever compares 32 bits only, aborts the wrong command."""
    plan = plan_from_case(case(TagState.NEVER_SEEN))
    tags = {command.tag for command in plan.held}
    assert plan.tag not in tags and plan.tag & 0xFFFFFFFF in {tag & 0xFFFFFFFF for tag in tags}


def test_the_disk_can_tell_the_commands_apart() -> None:
    """No two commands of a unit read the same block."""
    for tag_state in TagState:
        plan = plan_from_case(case(tag_state))
        places = [(command.unit, command.lba) for command in plan.held]
        assert len(set(places)) == len(places)


def test_a_finished_command_had_the_tag() -> None:
    """It ran on the addressed LUN before anything else."""
    plan = plan_from_case(case(TagState.FINISHED))
    assert [(command.unit, command.tag) for command in plan.finished] == [(ADDRESSED, plan.tag)]
    assert plan_from_case(case(TagState.IN_FLIGHT)).finished == ()


def test_where_the_function_goes() -> None:
    """To a LUN that is there, to one that is not, to a target that is not."""
    luns = [
        plan_from_case(case(TagState.OTHER_LUN, lun_state)).lun
        for lun_state in (LunState.PRESENT, LunState.ABSENT_LUN, LunState.ABSENT_TARGET)
    ]
    there = {unit.lun for unit in UNITS}
    assert luns[0] in there and luns[1] not in there and luns[2] not in there
    assert luns[1].target == luns[0].target and luns[2].target not in {lun.target for lun in there}
    assert isinstance(luns[0], Lun)


def test_when_the_disk_is_unplugged() -> None:
    """Before the function, after it, or not at all; an earlier abort is sent in one state only."""
    assert plan_from_case(case(TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED)).unplug is Unplug.BEFORE
    assert plan_from_case(case(TagState.IN_FLIGHT, LunState.UNPLUGGED_MEANWHILE)).unplug is Unplug.AFTER
    assert plan_from_case(case(TagState.IN_FLIGHT)).unplug is Unplug.NEVER
    assert [state for state in TagState if plan_from_case(case(state)).aborted_before] == [TagState.BEING_ABORTED]
