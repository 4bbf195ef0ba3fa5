import json
from pathlib import Path

from lab.virtio.tmf.case import LunState, TagState
from lab.virtio.tmf.observation import Observation
from lab.virtio.tmf.show import document, table
from lab.virtio.virtio_scsi import Response, Tmf
from tests.unit.virtio.tmf.made_up import case_of, function_ending, hang, perfect, result_of

QEMU = Path("/usr/bin/qemu")
NEXUS = case_of(Tmf.I_T_NEXUS_RESET, TagState.OTHER_LUN, LunState.ABSENT_TARGET)
NOTED = perfect(NEXUS)[1]
NOTED.function = function_ending(Response.OK)
GONE = case_of(Tmf.QUERY_TASK, TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED, mapping="none")
GONE_SEEN = perfect(GONE)[1]
GONE_SEEN.function = function_ending(Response.INCORRECT_LUN)
RESULTS = (
    result_of(case_of()),
    result_of(case_of(mapping="4"), hang(case_of(mapping="4")), Path("/evidence/4/ABORT_TASK")),
    result_of(case_of(Tmf.QUERY_TASK)),
    result_of(NEXUS, NOTED),
    result_of(GONE, GONE_SEEN),
    result_of(case_of(Tmf.QUERY_TASK, TagState.IN_FLIGHT, LunState.BEING_UNPLUGGED)),
    result_of(case_of(Tmf.CLEAR_ACA), Observation(trouble="no QEMU")),
)


def test_the_table_has_a_row_for_each_function() -> None:
    """Answers by situation, failures counted, deviations marked, columns aligned."""
    lines = table(QEMU, RESULTS, 12.0).splitlines()
    assert lines[0] == "Task management functions of /usr/bin/qemu"
    assert lines[2:8] == [
        "                    in         absent     being",
        "                    flight     target     unplugged",
        "ABORT_TASK          FAIL 1/2   -          -",
        "QUERY_TASK          succeeded  -          mixed",
        "I_T_NEXUS_RESET     -          complete*  -",
        "CLEAR_ACA           ? 1/1      -          -",
    ]
    assert lines[-1] == "7 cases: 5 passed, 1 failed, 1 undecided; 12 s"


def test_what_did_not_pass_is_explained() -> None:
    """With the first case, its reasons, the rule and the evidence."""
    text = table(QEMU, RESULTS, 12.0)
    assert "failed: ABORT_TASK in 1 case: tag in flight; mappings 4\n    first: 4/ABORT_TASK/" in text
    assert "    the function was never answered\n" in text and "    and 2 more of the kind\n" in text
    assert "    rule: SAM-5 7.2 ABORT TASK; VIRTIO 5.6.6.2" in text
    assert "    evidence: /evidence/4/ABORT_TASK\n" in text
    assert "noted: I_T_NEXUS_RESET in 1 case: absent target" in text
    assert "undecided: CLEAR_ACA in 1 case" in text


def test_the_document_has_the_keys_that_scripts_rely_on() -> None:
    """They are a contract: more may come, none may go."""
    found = json.loads(json.dumps(document(QEMU, RESULTS)))
    assert found["binary"] == "/usr/bin/qemu"
    assert found["summary"] == {"passed": 5, "failed": 1, "undecided": 1}
    keys = "subtype mapping tag_state lun_state answer expected commands verdict evidence seconds"
    assert all(set(keys.split()) <= case.keys() for case in found["cases"])
    hung = found["cases"][1]
    assert (hung["subtype"], hung["answer"], hung["verdict"]) == ("ABORT_TASK", None, "failed")
    assert hung["commands"][1] == {
        "lun": "0:0",
        "queue": 1,
        "tag": "0x7e57000000000101",
        "end": None,
        "expected": ["ABORTED"],
        "before_answer": True,
        "served_by": [],
    }
    assert found["cases"][0]["answer"] == "FUNCTION_COMPLETE" == found["cases"][0]["expected"][0]
    assert found["cases"][-1]["commands"] == [] and found["cases"][-1]["served_by"] == []
