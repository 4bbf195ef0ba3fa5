import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.virtio.cost.compare import compare
from lab.virtio.cost.measure import CaseCost
from lab.virtio.cost.show import change_to_json, cost_table, costliest_functions, difference_table, document
from tests.unit.virtio.cost.counted import case_of

CASES = (
    case_of(functions={"pop": 900.0, "free": 100.0}),
    case_of(mapping="2", functions={"pop": 1100.0, "free": 102.0}, spread=0.002),
    replace(case_of("LOGICAL_UNIT_RESET", "2", functions={"reset": 500.0}), is_steady=False),
    CaseCost("ABORT_TASK", "2", trouble="no answer"),
)


def test_the_document_has_the_keys_of_the_contract() -> None:
    """It is JSON, and what could not be counted is null."""
    found = json.loads(json.dumps(document(Path("/q"), CASES), allow_nan=False))
    assert (found["binary"], found["counter"]) == ("/q", "callgrind")
    first = found["cases"][0]
    assert {"command": "READ", "mapping": "none", "instructions": 1000.0, "n": 100}.items() <= first.items()
    assert first["functions"][0] == {"name": "pop", "instructions": 900.0}
    assert found["cases"][3]["instructions"] is None and found["cases"][3]["trouble"] == "no answer"


def test_the_table_has_a_column_for_each_mapping() -> None:
    """Unsteady numbers are marked, what is missing has its reason below, and the functions are ranked."""
    text = cost_table(Path("/q"), CASES)
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines() if line}
    assert rows["READ"][1:] == ["1,000", "1,202"]
    assert rows["LOGICAL_UNIT_RESET"][1:] == ["-", "~500"] and rows["ABORT_TASK"][1:] == ["-", "-"]
    assert "agree within 0.200 %" in text and "threads have to meet" in text
    assert "ABORT_TASK, mapping 2: no answer" in text
    assert [line.split()[-1] for line in text.splitlines()[-3:]] == ["pop", "reset", "free"]


def test_means_are_over_what_was_counted() -> None:
    """A case without a cost does not dilute the others."""
    assert costliest_functions([CASES[0], CASES[3]]) == {"pop": 900.0, "free": 100.0}
    assert "Where they go" not in cost_table(Path("/q"), CASES[3:])


def test_differences_are_told_with_their_functions() -> None:
    """Case by case, counted, and ranked; an unsteady case is not judged."""
    after = [
        case_of(functions={"pop": 900.0, "free": 100.0, "loop": 500.0}),
        CASES[1],
        replace(CASES[2], instructions=700.0),
        CASES[3],
    ]
    changes = compare(CASES, after)
    text = difference_table(changes, smallest_effect=0.01)
    lines = text.splitlines()
    assert lines[3].split() == ["READ", "none", "1,000", "1,500", "+500", "+50.0", "%", "dearer"]
    assert lines[5].endswith("not judged") and lines[6].endswith("undecided")
    assert "4 cases: 1 dearer, 1 alike, 1 undecided, 1 not judged (alike is within 1 %)" in text
    assert lines[-1].split() == ["+500", "0", "->", "500", "loop", "(READ,", "mapping", "none)"]
    assert change_to_json(changes[0])["functions"] == [{"name": "loop", "baseline": 0.0, "candidate": 500.0}]
    assert change_to_json(changes[0])["fraction"] == pytest.approx(0.5)
    assert change_to_json(changes[3])["difference"] is None


def test_where_nothing_changed_no_function_is_named() -> None:
    """Two counts of one binary."""
    assert "No function's cost changed" in difference_table(compare(CASES[:2], CASES[:2]), smallest_effect=0.01)
