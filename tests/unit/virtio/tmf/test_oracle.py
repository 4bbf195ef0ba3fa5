import pytest

from lab.virtio.tmf.case import LunState, TagState, TmfCase, matrix_cases
from lab.virtio.tmf.oracle import Expectation, expectation, waits_for_commands
from lab.virtio.tmf.plan import ADDRESSED, SIBLING, STRANGER, plan_from_case
from lab.virtio.virtio_scsi import Response, Tmf

UNKNOWN = 8


def expected(
    subtype: int, tag_state: TagState = TagState.IN_FLIGHT, lun_state: LunState = LunState.PRESENT
) -> Expectation:
    """Return what is allowed for a function sent to queue 1's command."""
    case = TmfCase(subtype, tag_state, lun_state, 1, "none")
    return expectation(case, plan_from_case(case))


def ends(
    subtype: int, tag_state: TagState = TagState.IN_FLIGHT, lun_state: LunState = LunState.PRESENT
) -> dict[str, list[str]]:
    """Return how the commands of each unit may end, in the order of their queues."""
    case = TmfCase(subtype, tag_state, lun_state, 1, "none")
    plan = plan_from_case(case)
    found: dict[str, list[str]] = {}
    for command, allowed in zip(plan.held, expectation(case, plan).commands, strict=True):
        found.setdefault(command.unit.name, []).append("/".join(sorted(allowed.ends)))
    return found


@pytest.mark.parametrize(
    ("subtype", "addressed", "sibling"),
    [
        (Tmf.ABORT_TASK, ["OK", "ABORTED", "OK", "OK"], "OK"),
        (Tmf.ABORT_TASK_SET, ["ABORTED"] * 4, "OK"),
        (Tmf.CLEAR_TASK_SET, ["ABORTED"] * 4, "OK"),
        (Tmf.LOGICAL_UNIT_RESET, ["RESET"] * 4, "OK"),
        (Tmf.I_T_NEXUS_RESET, ["RESET"] * 4, "RESET"),
        (Tmf.CLEAR_ACA, ["OK"] * 4, "OK"),
        (Tmf.QUERY_TASK, ["OK"] * 4, "OK"),
        (Tmf.QUERY_TASK_SET, ["OK"] * 4, "OK"),
        (UNKNOWN, ["OK"] * 4, "OK"),
    ],
)
def test_what_a_function_does_to_commands_in_flight(subtype: int, addressed: list[str], sibling: str) -> None:
    """Exactly the commands it selects end by it; the sibling LUN only with its target, the stranger never."""
    assert ends(subtype) == {"addressed": addressed, "sibling": [sibling], "stranger": ["OK"]}


@pytest.mark.parametrize("subtype", [Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET, Tmf.LOGICAL_UNIT_RESET])
def test_functions_on_a_lun_ignore_the_tag(subtype: int) -> None:
    """A tag that was never seen makes no difference to them (VIRTIO 1.2, 5.6.6.2: irrelevant fields are ignored)."""
    assert ends(subtype, TagState.NEVER_SEEN) == ends(subtype, TagState.IN_FLIGHT)


def test_a_tag_that_is_not_on_the_lun_aborts_nothing() -> None:
    """Neither a finished command, nor one with that tag elsewhere, nor one whose tag is nearly the same."""
    for tag_state in (TagState.FINISHED, TagState.OTHER_LUN, TagState.NEVER_SEEN):
        assert {end for units in ends(Tmf.ABORT_TASK, tag_state).values() for end in units} == {"OK"}
        assert expected(Tmf.ABORT_TASK, tag_state).answers == {Response.OK}


@pytest.mark.parametrize(
    ("subtype", "tag_state", "answer"),
    [
        (Tmf.ABORT_TASK, TagState.IN_FLIGHT, Response.OK),
        (Tmf.CLEAR_ACA, TagState.IN_FLIGHT, Response.FUNCTION_REJECTED),
        (UNKNOWN, TagState.FINISHED, Response.FUNCTION_REJECTED),
        (Tmf.QUERY_TASK, TagState.IN_FLIGHT, Response.FUNCTION_SUCCEEDED),
        (Tmf.QUERY_TASK, TagState.FINISHED, Response.OK),
        (Tmf.QUERY_TASK, TagState.NEVER_SEEN, Response.OK),
        (Tmf.QUERY_TASK, TagState.OTHER_LUN, Response.OK),
        (Tmf.QUERY_TASK_SET, TagState.IN_FLIGHT, Response.FUNCTION_SUCCEEDED),
        (Tmf.QUERY_TASK_SET, TagState.NEVER_SEEN, Response.FUNCTION_SUCCEEDED),
        (Tmf.QUERY_TASK_SET, TagState.FINISHED, Response.OK),
        (Tmf.QUERY_TASK_SET, TagState.OTHER_LUN, Response.OK),
    ],
)
def test_answers_of_a_lun_that_is_there(subtype: int, tag_state: TagState, answer: Response) -> None:
    """The service responses of SAM-5 clause 7."""
    assert expected(subtype, tag_state).answers == {answer}


def test_a_query_while_the_command_is_being_aborted() -> None:
    """SAM does not say whether it is still there; both answers are right."""
    assert expected(Tmf.QUERY_TASK, TagState.BEING_ABORTED).answers == {Response.OK, Response.FUNCTION_SUCCEEDED}


@pytest.mark.parametrize("subtype", Tmf)
def test_absent_luns(subtype: Tmf) -> None:
    """The LUN is named as wrong, except by what ignores it and by what may be refused without looking.

    That BAD_TARGET says so is noted: no rule tells the two apart.
    """
    answers, tolerated = {Response.INCORRECT_LUN}, [Response.BAD_TARGET]
    if subtype is Tmf.I_T_NEXUS_RESET:
        answers, tolerated = {Response.OK}, []
    elif subtype is Tmf.CLEAR_ACA:
        answers |= {Response.FUNCTION_REJECTED}
    found = expected(subtype, TagState.OTHER_LUN, LunState.ABSENT_LUN)
    assert found.answers == answers and [value for value, _ in found.tolerated] == tolerated


def test_a_nexus_reset_by_way_of_an_absent_lun_resets_the_target() -> None:
    """The single level LUN is ignored (VIRTIO 1.2, section 5.6.6.2)."""
    found = expected(Tmf.I_T_NEXUS_RESET, TagState.OTHER_LUN, LunState.ABSENT_LUN)
    assert found.resets == frozenset({ADDRESSED.lun, SIBLING.lun})
    commands = ends(Tmf.I_T_NEXUS_RESET, TagState.OTHER_LUN, LunState.ABSENT_LUN)
    assert commands == {"sibling": ["RESET"] * 4, "stranger": ["OK"]}


@pytest.mark.parametrize("subtype", [*Tmf, UNKNOWN])
def test_absent_targets(subtype: int) -> None:
    """Nothing is there: BAD_TARGET, no command ends by it, nothing is reset; a harmless deviation is only noted."""
    found = expected(subtype, TagState.OTHER_LUN, LunState.ABSENT_TARGET)
    refused = {Response.FUNCTION_REJECTED} if subtype in (Tmf.CLEAR_ACA, UNKNOWN) else set()
    assert found.answers == {Response.BAD_TARGET} | refused and found.resets == frozenset()
    assert {end for command in found.commands for end in command.ends} == {"OK"}
    tolerated = {Response.INCORRECT_LUN} | ({Response.OK} if subtype == Tmf.I_T_NEXUS_RESET else set())
    assert {value for value, _ in found.tolerated} == tolerated


@pytest.mark.parametrize("lun_state", [LunState.BEING_UNPLUGGED, LunState.UNPLUGGED_MEANWHILE])
@pytest.mark.parametrize("subtype", Tmf)
def test_luns_that_go(subtype: Tmf, lun_state: LunState) -> None:
    """The answer may be that of a LUN that is there or is not; its commands may end in many ways, others as ever."""
    found = expected(subtype, TagState.IN_FLIGHT, lun_state)
    assert {Response.BAD_TARGET, Response.INCORRECT_LUN} < found.answers and found.lun_goes
    commands = ends(subtype, TagState.IN_FLIGHT, lun_state)
    assert all("ABORTED" in end and "OK" in end and "INCORRECT_LUN" not in end for end in commands["addressed"])
    assert commands["stranger"] == ["OK"]


def test_an_earlier_abort_shows_in_the_command() -> None:
    """Its command ends ABORTED even where the function itself ends nothing, and either way where it resets."""
    assert ends(Tmf.QUERY_TASK, TagState.BEING_ABORTED)["addressed"] == ["OK", "ABORTED", "OK", "OK"]
    assert ends(Tmf.LOGICAL_UNIT_RESET, TagState.BEING_ABORTED)["addressed"][1] == "ABORTED/RESET"


def test_a_command_that_finished_in_time_is_noted() -> None:
    """It has to end, "possibly" ABORTED or RESET (VIRTIO 1.2, section 5.6.6.2); what is not selected has to end OK."""
    for subtype in (Tmf.ABORT_TASK, Tmf.LOGICAL_UNIT_RESET):
        for command in expected(subtype).commands:
            assert command.tolerated == ({"OK"} if command.before_answer else set())
    aborted = expected(Tmf.QUERY_TASK, TagState.BEING_ABORTED).commands[1]
    assert aborted.ends == {"ABORTED"} and aborted.tolerated == {"OK"} and not aborted.before_answer


def test_resets_are_reported_by_the_luns_they_hit() -> None:
    """And by no others."""
    assert expected(Tmf.LOGICAL_UNIT_RESET).resets == frozenset({ADDRESSED.lun})
    assert expected(Tmf.I_T_NEXUS_RESET).resets == frozenset({ADDRESSED.lun, SIBLING.lun})
    assert expected(Tmf.ABORT_TASK_SET).resets == frozenset() and STRANGER.lun not in {ADDRESSED.lun, SIBLING.lun}


def test_what_has_to_end_before_the_answer() -> None:
    """Exactly what the function ends."""
    before = [command.before_answer for command in expected(Tmf.ABORT_TASK).commands]
    assert before == [False, True, False, False, False, False]
    assert not any(command.before_answer for command in expected(Tmf.QUERY_TASK_SET).commands)


def test_which_functions_wait() -> None:
    """Those that end commands."""
    assert [subtype.name for subtype in Tmf if not waits_for_commands(subtype)] == [
        "CLEAR_ACA",
        "QUERY_TASK",
        "QUERY_TASK_SET",
    ]


def test_every_case_has_a_rule_and_an_answer() -> None:
    """No case of the matrix is without an opinion."""
    for case in matrix_cases(["none"]):
        found = expectation(case, plan_from_case(case))
        assert found.answers and found.rule and all(command.ends for command in found.commands)
