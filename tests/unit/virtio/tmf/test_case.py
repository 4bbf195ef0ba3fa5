from collections import Counter

from lab.virtio.tmf.case import NUM_QUEUES, LunState, TagState, TmfCase, matrix_cases, situation
from lab.virtio.virtio_scsi import Tmf


def test_every_function_meets_every_state() -> None:
    """Each of the eight functions is sent in each state of tag and LUN."""
    cases = matrix_cases(["none"])
    for subtype in Tmf:
        seen = {(case.tag_state, case.lun_state) for case in cases if case.subtype == subtype}
        assert {tag for tag, lun in seen if lun is LunState.PRESENT} == set(TagState)
        assert {lun for _, lun in seen} == set(LunState)


def test_unknown_functions_are_sent_too() -> None:
    """A number just above the known ones and the largest there is."""
    assert {case.subtype for case in matrix_cases(["none"])} == {*Tmf, 8, 0xFFFFFFFF}


def test_functions_on_a_tag_meet_it_on_every_queue() -> None:
    """ABORT_TASK and QUERY_TASK find their command on each queue; others need not be asked that often."""
    cases = [case for case in matrix_cases(["4"]) if case.tag_state is TagState.IN_FLIGHT]
    counts = Counter(case.subtype for case in cases if case.lun_state is LunState.PRESENT)
    assert counts[Tmf.ABORT_TASK] == counts[Tmf.QUERY_TASK] == NUM_QUEUES
    assert counts[Tmf.LOGICAL_UNIT_RESET] == 1


def test_cases_are_named_and_no_two_alike() -> None:
    """The id of a case says all of it, without blanks."""
    cases = matrix_cases(["none", "2"])
    assert len({case.id for case in cases}) == len(cases)
    case = TmfCase(Tmf.QUERY_TASK, TagState.NEVER_SEEN, LunState.PRESENT, 3, "2")
    assert case.id == "2/QUERY_TASK/never-seen/present/queue-3"


def test_mappings_alternate() -> None:
    """Machines of different mappings run beside each other, so that no mapping gets the quiet half of the run."""
    assert [case.mapping for case in matrix_cases(["none", "2"])[:4]] == ["none", "2", "none", "2"]


def test_situations_are_words() -> None:
    """The state that is not the default is named."""
    words = [
        situation(TmfCase(0, TagState.IN_FLIGHT, lun_state, 0, "none"))
        for lun_state in (LunState.PRESENT, LunState.ABSENT_TARGET, LunState.BEING_UNPLUGGED)
    ]
    assert words == ["tag in flight", "absent target", "LUN being unplugged"]
