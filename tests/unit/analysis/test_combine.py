"""Several results are judged as one where they were measured alike, and refused with every difference where not."""

from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from lab.analysis.combine import Stored, against_stored, pooled
from lab.analysis.compare import compare_results
from lab.analysis.csv_file import CsvSettings, read_csv
from lab.analysis.results import Results, read_results
from lab.analysis.verdict import Verdict
from lab.errors import InputError, NotComparableError
from lab.record import Arm, Point
from tests.unit.analysis.campaign import BUILD, BUILDS, EXPERIMENT, HOST, Campaign, write_campaign

NO_DIGEST = {"binary_sha256": None}


def written(folder: Path, campaign: Campaign, **changes: object) -> Results:
    """Return a written campaign, read again."""
    return read_results(write_campaign(folder, campaign, **changes))  # type: ignore[arg-type]


def _same(effect: float, _point: Point) -> float:
    return effect


def on_host(results: Results, name: str) -> Results:
    """Return results as if another host had made them."""
    records = tuple(replace(record, host=name) for record in results.records)
    return replace(results, host={**results.host, "fingerprint": name}, records=records)


def test_blocks_of_two_hosts_are_one_experiment(tmp_path: Path) -> None:
    """Six blocks of each of two hosts make twelve pairs, and each host's own change is a warning."""
    slow = Campaign(seed=2, level=lambda point: 100.0, effect=lambda point: 0.8)
    one = on_host(written(tmp_path / "a", Campaign(effect=lambda point: 0.8)), "host-a")
    comparison = compare_results(pooled([one, on_host(written(tmp_path / "b", slow), "host-b")]))
    assert [point.n for point in comparison.judged] == [12, 12, 12]
    assert comparison.verdict is Verdict.REGRESSED
    assert any("on host-a (6)" in caveat.text for point in comparison.judged for caveat in point.caveats)
    assert not any("are pooled" in caveat.text for caveat in comparison.caveats)


def test_repeats_on_one_host_are_pooled_with_a_warning(tmp_path: Path) -> None:
    """Two experiments on one host count together, and the reader is told what that may do to false alarms."""
    found = pooled([written(tmp_path / "a", Campaign()), written(tmp_path / "b", Campaign(seed=2))])
    assert len({run.id for run in found.schedule}) == len(found.schedule) == 72
    assert any("2 experiments on one host are pooled" in warning for warning in found.warnings)


def test_csv_files_are_pooled_block_after_block(tmp_path: Path) -> None:
    """Files have no schedule, and both begin at block 1: none replaces the runs of another, in whatever order."""
    several = []
    for name, effect in (("a", 1.0), ("b", 0.9)):
        rows = [
            f"{arm},{block},{value}"
            for block in range(1, 9)
            for arm, value in (("baseline", 100.0), ("candidate", 100 * effect))
        ]
        path = tmp_path / f"{name}.csv"
        path.write_text("arm,block,iops\n" + "\n".join(rows) + "\n")
        several.append(read_csv(path, CsvSettings()))
    for order in (several, several[::-1]):
        (point,) = compare_results(pooled(order)).judged
        assert point.n == 16 and point.numbers is not None and point.numbers.ratio == pytest.approx(0.9**0.5)


def test_another_smallest_effect_is_another_question(tmp_path: Path) -> None:
    """What matters was fixed before each of them; the order in which they are named must not choose."""
    other = EXPERIMENT.replace("smallest_effect = ", "smallest_effect = 0.5 # ")
    assert other != EXPERIMENT
    second = written(tmp_path / "b", Campaign(seed=2), experiment=other)
    with pytest.raises(NotComparableError, match="another smallest effect"):
        pooled([written(tmp_path / "a", Campaign()), second])


def test_unlike_builds_of_a_second_folder_are_not_pooled(tmp_path: Path) -> None:
    """A folder that cannot be judged alone does not hide behind the builds of another; force is still told."""
    unlike = {**BUILDS, "candidate": {**BUILD, "commit": f"fedcba98{2 * '76543210fedcba98'}", "compiler": "gcc 14"}}
    first = written(tmp_path / "a", Campaign())
    with pytest.raises(NotComparableError, match="b: the builds differ in compiler"):
        pooled([first, written(tmp_path / "b", Campaign(seed=2), builds=unlike)])
    forced = written(
        tmp_path / "c", Campaign(seed=3), builds={**unlike, "warnings": ["compared by force"], "forced": True}
    )
    assert "compared by force" in pooled([first, forced]).warnings


def test_a_longer_stored_baseline_does_not_keep_the_candidate_from_passing(tmp_path: Path) -> None:
    """Blocks that were never planned for the candidate are not runs that it owes."""
    stored = written(tmp_path / "stored", Campaign(seed=3, blocks=8, noise=0.002))
    results = written(tmp_path / "new", Campaign(seed=4, noise=0.002))
    assert compare_results(against_stored(results, Stored(stored))).verdict is Verdict.NO_CHANGE_DETECTED


def test_a_folder_named_twice(tmp_path: Path) -> None:
    """The same data does not count twice."""
    results = written(tmp_path / "a", Campaign())
    with pytest.raises(InputError, match="named twice"):
        pooled([results, results])


def test_a_copy_is_not_pooled_nor_its_own_baseline(tmp_path: Path) -> None:
    """Three blocks beside their copy are three, as a CI artifact has them or a saved baseline; so is a half of them."""
    campaign = Campaign(blocks=3)
    original, copy, other = (written(tmp_path / name, campaign) for name in ("a", "b", "c"))
    with pytest.raises(InputError, match=r"a and .*b hold the same runs"):
        pooled([original, copy])
    with pytest.raises(InputError, match="hold the same runs"):
        against_stored(original, Stored(copy))
    half = replace(other, records=other.records[:2])
    with pytest.raises(InputError, match="hold the same runs"):
        pooled([written(tmp_path / "d", Campaign(blocks=3, seed=2)), original, half])


def test_a_csv_file_is_a_copy_where_all_of_it_is_the_same(tmp_path: Path) -> None:
    """Rows in another order too; a single equal value, of coarse ones for example, may be chance."""
    rows = [f"{arm},{block},{100 + block}" for block in (1, 2) for arm in ("baseline", "candidate")]
    several = []
    for name, lines in (("a", rows), ("b", rows[::-1]), ("c", [*rows[:3], "candidate,2,99"])):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["arm,block,iops", *lines, ""]))
        several.append(read_csv(path, CsvSettings()))
    one, same, other = several
    with pytest.raises(InputError, match="hold the same runs"):
        pooled([one, same])
    assert len(pooled([one, other]).records) == 8


def test_binaries_that_nobody_named_are_no_control(tmp_path: Path) -> None:
    """Two commits without a checksum on record are not one binary."""
    nameless = {arm: {**BUILD, "binary_sha256": None, "commit": "9" * 40} for arm in ("baseline", "candidate")}
    stored = written(tmp_path / "s", Campaign(seed=3, noise=0.002), builds=nameless)
    results = written(tmp_path / "n", Campaign(noise=0.002), builds={**nameless, "baseline": {**BUILD, **NO_DIGEST}})
    assert compare_results(against_stored(results, Stored(stored))).verdict is Verdict.INCONCLUSIVE


def test_unlike_questions_and_sources_are_listed(tmp_path: Path) -> None:
    """Another fio job, metric or commit is not pooled, and the error names each."""
    other = EXPERIMENT.replace("randread", "randwrite").replace('["iops"]', '["clat_p50_ns"]')
    builds = {**BUILDS, "candidate": {**BUILD, "commit": "f" * 40, "tree_id": "2" * 40}}
    second = written(tmp_path / "b", Campaign(), experiment=other, builds=builds)
    with pytest.raises(NotComparableError) as caught:
        pooled([written(tmp_path / "a", Campaign()), second])
    assert caught.value.exit_code == 4
    assert "the question: fio is fio/randread-4k.fio and fio/randwrite-4k.fio" in caught.value.message
    assert "[judge] decides by other metrics" in caught.value.message
    assert "the candidate: commit differs" in caught.value.message


def test_a_candidate_against_a_stored_baseline(tmp_path: Path) -> None:
    """The candidate of one is judged against the baseline of another; the same binary in both is a control."""
    stored = written(tmp_path / "stored", Campaign(seed=3))
    results = written(tmp_path / "new", Campaign(seed=4, effect=lambda point: 0.7))
    comparison = compare_results(against_stored(results, Stored(stored)))
    assert comparison.verdict is Verdict.REGRESSED
    texts = [caveat.text for caveat in comparison.caveats]
    assert any("the baseline is the baseline of stored, measured at another time" in text for text in texts)
    for point in comparison.judged:
        assert point.moved is not None and point.moved[0] < 1 < point.moved[1]
        assert any("the same baseline binary moved by" in caveat.text for caveat in point.caveats)


def test_the_stored_candidate_can_be_the_baseline(tmp_path: Path) -> None:
    """Revision 2 of a series against revision 1: the arm is chosen."""
    stored = written(tmp_path / "stored", Campaign(seed=3, effect=lambda point: 0.7))
    results = written(tmp_path / "new", Campaign(seed=4, effect=lambda point: 0.7))
    combined = against_stored(results, Stored(stored, Arm.CANDIDATE))
    assert all(point.numbers and 0.9 < point.numbers.ratio < 1.1 for point in compare_results(combined).judged)
    assert combined.builds["baseline"] == stored.builds["candidate"]


def test_a_host_that_moved_by_itself_cannot_be_compared(tmp_path: Path) -> None:
    """Where the same binary got 30 % slower between the sessions, no change can be told from the host's."""
    stored = written(tmp_path / "stored", Campaign(seed=3))
    slower = Campaign(seed=4, level=lambda point: 0.7 * Campaign().level(point))
    with pytest.raises(NotComparableError, match="the same baseline binary moved by -"):
        against_stored(written(tmp_path / "new", slower), Stored(stored))


def test_a_change_that_the_host_may_have_made_is_no_verdict(tmp_path: Path) -> None:
    """The control of a rough host reaches further than a loss of 12 % does, so nobody knows whose it is."""
    stored = written(tmp_path / "stored", Campaign(seed=31, noise=0.002))
    new = Campaign(seed=33, noise=0.002, effect=lambda point: 0.88)
    sway = cycle((0.85, 1.2))
    records = [
        record
        if record.scheduled.cell.arm is Arm.CANDIDATE
        else replace(record, metrics={"iops": record.metrics["iops"] * next(sway)})
        for record in new.records()
    ]
    results = written(tmp_path / "new", new, records=records)
    comparison = compare_results(against_stored(results, Stored(stored)))
    assert Verdict.REGRESSED not in {point.verdict for point in comparison.judged}
    texts = [caveat.text for point in comparison.judged for caveat in point.caveats]
    assert any(text.endswith("so the host may have made all of this change") for text in texts)


def test_without_a_common_binary_there_is_no_verdict(tmp_path: Path) -> None:
    """Two sessions that share no binary: a loss of half, or none at all, may be the host's; nothing is ruled out."""
    builds = {**BUILDS, "baseline": {**BUILD, "binary_sha256": "d" * 64}}
    stored = written(tmp_path / "stored", Campaign(seed=3), builds=builds)
    for name, effect in (("same", 1.0), ("half", 0.5)):
        results = written(tmp_path / name, Campaign(noise=0.001, effect=partial(_same, effect)))
        comparison = compare_results(against_stored(results, Stored(stored)))
        assert comparison.verdict is Verdict.INCONCLUSIVE
        assert all(point.ruled_out is None and point.runs_needed is None for point in comparison.judged)
        assert all("the host may have made any change" in str(point.caveats) for point in comparison.judged)


def test_every_difference_from_a_stored_baseline_is_listed(tmp_path: Path) -> None:
    """Another kernel, machine or compiler is refused, and the error names each with both values."""
    host = {**HOST, "fingerprint": "ff", "kernel_release": "6.12.0"}
    experiment = EXPERIMENT + "\n[machine]\nvcpus = 8\n"
    builds = {arm: {**BUILD, "compiler": "gcc 14"} for arm in ("baseline", "candidate")}
    stored = written(tmp_path / "s", Campaign(), host=host, experiment=experiment, builds=builds)
    with pytest.raises(NotComparableError) as caught:
        against_stored(written(tmp_path / "new", Campaign()), Stored(stored))
    for text in (
        "the host: kernel_release is 6.1.0-99-amd64 and 6.12.0",
        "the question: machine.vcpus is not known and 8",
        "the builds: compiler is gcc 12.2.0 and gcc 14",
    ):
        assert text in caught.value.message


def test_a_result_is_not_its_own_baseline(tmp_path: Path) -> None:
    """Naming one folder as both is a mistake."""
    results = written(tmp_path / "a", Campaign())
    with pytest.raises(InputError, match="both the result and its baseline"):
        against_stored(results, Stored(results))
