"""Where in a job file a mistake is."""

from collections.abc import Mapping

import pytest
from pydantic import ValidationError

from lab.experiment.job_mistakes import Location, Mistake, key_lines, mistakes_from_error
from lab.experiment.job_tables import Job

TEXT = '''\
title = """
[machine]
vcpus = 1
"""
fio = "f"
"odd key" = 1

[ machine ]
vcpus = 2
backend = { driver = "raw" }
host.pin = 3

[[machine.controller]]
disks = 1

[[machine.controller]]   # the second
[machine.controller.backend]
x = 1
[[machine.controller.disk]]
aio = "threads"
[[machine.controller.disk]]
aio = "native"

[profile."quick"]
blocks = 6
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("title",), 1),
        (("fio",), 5),
        (("odd key",), 6),
        (("machine",), 8),
        (("machine", "vcpus"), 9),
        (("machine", "backend"), 10),
        (("machine", "host", "pin"), 11),
        (("machine", "controller", 0), 13),
        (("machine", "controller", 0, "disks"), 14),
        (("machine", "controller", 1), 16),
        (("machine", "controller", 1, "backend", "x"), 18),
        (("machine", "controller", 1, "disk", 0, "aio"), 20),
        (("machine", "controller", 1, "disk", 1, "aio"), 22),
        (("profile", "quick", "blocks"), 25),
    ],
)
def test_every_key_has_its_line(place: Location, line: int) -> None:
    """Strings of several lines are passed over, tables and elements of arrays are told apart."""
    assert key_lines(TEXT)[place] == line


def mistakes(text: str, tree: Mapping[str, object]) -> list[Mistake]:
    """What is wrong with a job of this text and tree."""
    with pytest.raises(ValidationError) as caught:
        Job.model_validate(tree)
    return list(mistakes_from_error(text, caught.value))


GOOD: dict[str, object] = {"title": "t", "fio": "f", "profile": {"quick": {"blocks": 1, "runtime_s": 1}}}


def test_a_mistake_in_the_second_of_two_disks_is_found_there() -> None:
    """The key is counted from 1, as people do, and the hint is of the table it stands in."""
    text = (
        "[[machine.controller]]\n[[machine.controller.disk]]\naio = 'native'\n[[machine.controller.disk]]\ncach = 1\n"
    )
    machine = {"controller": [{"disk": [{"aio": "native"}, {"cach": 1}]}]}
    assert mistakes(text, GOOD | {"machine": machine}) == [
        Mistake(5, "machine.controller[1].disk[2].cach", "there is no such key (did you mean 'cache'?)")
    ]


def test_a_misspelt_word_gets_the_nearest_one() -> None:
    """Of an enumeration and of a list of literals alike."""
    text = "[machine.backend]\naio = 'io-uring'\ndriver = 'qcow'\n"
    found = mistakes(text, GOOD | {"machine": {"backend": {"aio": "io-uring", "driver": "qcow"}}})
    assert [(mistake.line, mistake.message.rpartition(" (")[2]) for mistake in found] == [
        (3, "did you mean 'qcow2'?)"),
        (2, "did you mean 'io_uring'?)"),
    ]


def test_what_stands_in_an_inline_table_has_the_line_of_its_key() -> None:
    """And what stands nowhere, because it is missing, the line of its table or the first."""
    inline = mistakes("\n\nmachine = { vcpu = 1 }", GOOD | {"machine": {"vcpu": 1}})
    assert (inline[0].line, inline[0].key) == (3, "machine.vcpu")
    missing = mistakes("\n", {"fio": "f", "profile": {"a": {"blocks": 1}}})
    assert [(mistake.line, mistake.key) for mistake in missing] == [(1, "title"), (1, "profile.a.runtime_s")]


def test_a_file_that_is_nothing_but_quotes_is_read_to_its_end() -> None:
    """Neither the line finder nor its patterns can be worn out."""
    assert key_lines('"""' * 50_001) == {}
    assert key_lines("[" * 100_000) == {}
    assert key_lines("a." * 50_000) == {}
