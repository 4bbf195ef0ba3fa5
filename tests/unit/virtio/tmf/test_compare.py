from dataclasses import replace

from lab.virtio.change import Change, text_from_changes
from lab.virtio.tmf.case import LunState, TagState
from lab.virtio.tmf.compare import changes
from lab.virtio.tmf.observation import Observation
from lab.virtio.virtio_scsi import Response, Tmf
from tests.unit.virtio.tmf.made_up import case_of, function_ending, hang, perfect, result_of

CASES = [case_of(mapping=mapping) for mapping in ("none", "2")]
GOOD = [result_of(case) for case in CASES]
HANGS = [result_of(case, hang(case)) for case in CASES]


def test_no_change() -> None:
    """Two binaries that behave alike, well or badly, are alike."""
    assert changes(GOOD, GOOD) == () == changes(HANGS, HANGS)
    assert text_from_changes((), none="does the same") == "The candidate does the same."


def test_a_repaired_hang_is_an_answer() -> None:
    """In one sentence for all mappings."""
    (change,) = changes(HANGS, GOOD)
    assert change.better is True and len(change.cases) == 2
    assert text_from_changes((change,), none="") == (
        "The candidate makes ABORT_TASK answer (2 cases: tag in flight; mappings none, 2)"
    )


def test_a_new_hang_comes_first() -> None:
    """What the candidate breaks stands above what it repairs."""
    query = case_of(Tmf.QUERY_TASK)
    found = changes([*HANGS, result_of(query)], [*GOOD, result_of(query, hang(query))])
    assert [change.better for change in found] == [False, True]
    assert found[0].sentence.startswith("keeps QUERY_TASK from answering (1 case:")


def test_an_answer_that_is_still_wrong() -> None:
    """It is neither better nor worse, and says what is wrong."""
    case = CASES[0]
    wrong = replace(perfect(case)[1], function=function_ending(Response.FUNCTION_REJECTED))
    (change,) = changes([HANGS[0]], [result_of(case, wrong)])
    assert change.better is None
    assert "makes ABORT_TASK answer, though not as it should: the function was answered" in change.sentence


def test_repairs_and_breaks_without_a_hang() -> None:
    """The reason is that of the side that failed."""
    case = CASES[0]
    strays = [result_of(case, replace(perfect(case)[1], strays=1))]
    (repaired,) = changes(strays, GOOD[:1])
    (broken,) = changes(GOOD[:1], strays)
    assert repaired.sentence.startswith("repairs ABORT_TASK: something ended twice") and repaired.better is True
    assert broken.sentence.startswith("breaks ABORT_TASK: something ended twice") and broken.better is False


def test_another_answer_that_is_right_too() -> None:
    """It is said, without judging."""
    case = case_of(Tmf.QUERY_TASK, TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED)
    other = replace(perfect(case)[1], function=function_ending(Response.INCORRECT_LUN))
    (change,) = changes([result_of(case)], [result_of(case, other)])
    assert change.better is None
    assert change.sentence == (
        "answers QUERY_TASK INCORRECT_LUN instead of FUNCTION_COMPLETE, both of which are right, so that it may be "
        "chance (1 case: LUN being unplugged; mappings 2)"
    )


def test_a_rule_that_only_the_candidate_breaks() -> None:
    """It is named, and not taken for a function that hangs."""
    (change,) = changes(GOOD[:1], [result_of(CASES[0], Observation(broken="no answer in it"))])
    assert change.better is False and change.sentence.startswith("breaks ABORT_TASK: no answer in it")


def test_what_is_noted_of_the_candidate_only() -> None:
    """It is said, without judging: commands that finish instead of being aborted, say."""
    seen = perfect(CASES[0])[1]
    finished = replace(seen.commands[1], answer=bytes(108))
    other = replace(seen, commands=(seen.commands[0], finished, *seen.commands[2:]))
    (change,) = changes(GOOD[:1], [result_of(CASES[0], other)])
    assert change.better is None
    assert change.sentence.startswith(
        "has ABORT_TASK noted: the command on LUN 0:0, queue 1 ended OK instead of ABORTED"
    )


def test_what_was_undecided_cannot_be_compared() -> None:
    """On either side."""
    undecided = [result_of(CASES[0], Observation(trouble="x"))]
    (change,) = changes(undecided, GOOD[:1])
    assert change.better is None and change.sentence.startswith("could not be compared for ABORT_TASK")


def test_mappings_that_only_one_binary_takes() -> None:
    """They are named, and compared with nothing."""
    found = changes(GOOD[:1], GOOD[1:])
    assert found == (
        Change("takes the mapping '2', which the baseline does not", (), None),
        Change("does not take the mapping 'none', which the baseline does", (), None),
    )


def test_changes_for_scripts() -> None:
    """The same in JSON."""
    assert changes(HANGS, GOOD)[0].to_json() == {
        "sentence": "makes ABORT_TASK answer (2 cases: tag in flight; mappings none, 2)",
        "better": True,
        "cases": [case.id for case in CASES],
    }
