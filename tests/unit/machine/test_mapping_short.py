from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.machine.mapping_short import ShortItem, is_iothread_name, items_from_short, short_from_items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("t0", (ShortItem("t0"),)),
        ("t0,t1", (ShortItem("t0"), ShortItem("t1"))),
        ("t0:0-2,t1:3", (ShortItem("t0", ("0", "1", "2")), ShortItem("t1", ("3",)))),
        (" io.a-b : ctrl + 3 - 4 , t1 ", (ShortItem("io.a-b", ("ctrl", "3", "4")), ShortItem("t1"))),
        ("t0:ctrl+event+0", (ShortItem("t0", ("ctrl", "event", "0")),)),
        ("[]", ()),
    ],
)
def test_the_grammar_is_read(text: str, items: tuple[ShortItem, ...]) -> None:
    """Items, queues, ranges and names are taken apart; blanks around the marks do no harm."""
    assert items_from_short(text) == items


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' in the mapping '' is not the name of an IOThread"),
        ("t0,,t1", "is not the name of an IOThread"),
        ("0:t0", "'0' in the mapping '0:t0' is not the name"),
        ("t0:", "'' in the mapping 't0:' is not a queue"),
        ("t0:cmd", "'cmd' in the mapping 't0:cmd' is not a queue"),
        ("t0:0+", "is not a queue"),
        ("t0:-1", "is not a queue"),
        ("t0:ctrl-1", "is not a queue"),
        ("t0:\u0664", "is not a queue"),
        ("t0:3-1", "'3-1' in the mapping 't0:3-1' is not a range of queues"),
        ("t0:0-65536", "is not a range of queues"),
        ("t0:0-65535+0", "lists more than 65536 queues"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused_with_an_example(text: str, complaint: str) -> None:
    """The message names the part that is wrong, the remedy shows a right one."""
    with pytest.raises(InputError) as caught:
        items_from_short(text)
    assert complaint in caught.value.message
    assert caught.value.remedy


def test_neighbouring_numbers_are_drawn_together() -> None:
    """Ranges go up only, so the order of the queues is kept."""
    items = (ShortItem("t0", ("ctrl", "event", "0", "1", "2", "5")), ShortItem("t1", ("4", "3")), ShortItem("t2"))
    assert short_from_items(items) == "t0:ctrl+event+0-2+5,t1:4+3,t2"
    assert short_from_items(()) == "[]"


def test_a_name_outside_the_grammar_has_no_short_form() -> None:
    """A mapping can name what no object can be called; only JSON says that."""
    with pytest.raises(InputError, match="'a b' has no short form"):
        short_from_items((ShortItem("a b"),))


@given(text=st.text(max_size=30))
def test_no_text_ends_in_anything_but_items_or_an_input_error(text: str) -> None:
    """Whatever is typed is either refused, or read, and then read again from what is written."""
    try:
        items = items_from_short(text)
    except InputError:
        return
    assert items_from_short(short_from_items(items)) == items


def test_ids_are_those_that_qemu_gives_to_objects() -> None:
    """A letter first, then letters, digits, dash, dot and underscore, as id_wellformed() has it."""
    assert all(map(is_iothread_name, ("t0", "A", "io-thread_1.x")))
    assert not any(map(is_iothread_name, ("", "0t", "-a", "a b", "a:b", "a,b", "\u00e9a", "t0\n")))
