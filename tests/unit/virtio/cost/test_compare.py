from dataclasses import replace

import pytest

from lab.virtio.cost.compare import Change, FunctionChange, compare, gravest, rank_functions
from tests.unit.virtio.cost.counted import case_of

BEFORE = case_of(functions={"pop": 900.0, "free": 99.5, "noise": 0.5})


@pytest.mark.parametrize(
    ("more", "spread", "change"),
    [
        (9.9, 0.001, Change.ALIKE),
        (11.0, 0.001, Change.UNDECIDED),
        (13.0, 0.001, Change.DEARER),
        (13.0, 0.01, Change.UNDECIDED),
        (-13.0, 0.001, Change.CHEAPER),
        (-9.9, 0.1, Change.ALIKE),
    ],
)
def test_a_change_is_larger_than_the_effect_and_the_spreads(more: float, spread: float, change: Change) -> None:
    """At 1000 instructions and 1 %: what lies between the effect and the effect plus the spreads is undecided."""
    after = case_of(functions={"pop": 900.0 + more, "free": 100.0}, spread=spread)
    (found,) = compare([BEFORE], [after])
    assert found.change is change
    assert found.difference == pytest.approx(more) and found.fraction == pytest.approx(more / 1000)


def test_functions_that_changed_are_named_and_ranked() -> None:
    """The largest change first, those that are new or gone among them; what is noise has no name."""
    after = case_of(functions={"pop": 850.0, "loop": 200.0, "noise": 1.0})
    (found,) = compare([BEFORE], [after])
    assert [one.name for one in found.functions] == ["loop", "free", "pop"]
    assert found.functions[0] == FunctionChange("loop", 0.0, 200.0)
    assert found.functions[1].difference == -99.5


def test_functions_are_ranked_over_all_cases() -> None:
    """With the case where the change is largest, and in how many there is one."""
    write = case_of("WRITE", "2", functions={"pop": 900.0, "free": 100.0})
    after = [
        case_of(functions={"pop": 950.0, "free": 100.0}),
        case_of("WRITE", "2", functions={"pop": 980.0, "free": 100.0}),
    ]
    (ranked,) = rank_functions(compare([BEFORE, write], after))
    assert (ranked.largest.name, ranked.largest.difference, ranked.cases) == ("pop", 80.0, 2)
    assert ranked.where == ("WRITE", "2")
    assert rank_functions(compare([BEFORE], [BEFORE])) == ()


def test_a_case_that_could_not_be_counted_is_undecided() -> None:
    """On either side."""
    broken = replace(BEFORE, instructions=0.0, functions=(), trouble="no answer")
    for pair in ((BEFORE, broken), (broken, BEFORE)):
        (found,) = compare([pair[0]], [pair[1]])
        assert found.change is Change.UNDECIDED and found.functions == ()
    assert compare([broken], [broken])[0].fraction == 0.0


def test_unsteady_counts_are_not_judged() -> None:
    """Two counts of one binary differ by as much."""
    before, after = (replace(case_of(functions={"f": cost}), is_steady=False) for cost in (100.0, 130.0))
    assert compare([before], [after])[0].change is Change.UNSTEADY


def test_only_cases_of_both_are_compared() -> None:
    """A mapping that one binary does not take has no counterpart."""
    assert compare([BEFORE, case_of(mapping="2", functions={"f": 1.0})], [BEFORE])[0].baseline is BEFORE
    assert len(compare([BEFORE, case_of(mapping="2", functions={"f": 1.0})], [BEFORE])) == 1


def test_the_gravest_change_decides() -> None:
    """Dearer before undecided before cheaper before alike; where nothing was judged nothing is decided."""
    same = compare([BEFORE], [BEFORE])
    dearer, cheaper, unsure = (
        compare([BEFORE], [case_of(functions={"pop": cost})]) for cost in (2000.0, 500.0, 1011.0)
    )
    unsteady = compare(*([replace(case_of(functions={"f": cost}), is_steady=False)] for cost in (100.0, 130.0)))
    assert gravest([]) is gravest(unsteady) is Change.UNDECIDED
    assert gravest(same) is gravest([*same, *unsteady]) is Change.ALIKE
    assert gravest([*cheaper, *unsure, *dearer]) is Change.DEARER
    assert gravest([*cheaper, *unsure]) is Change.UNDECIDED
    assert gravest([*same, *cheaper]) is Change.CHEAPER
