from dataclasses import replace

from lab.analysis.compare import compare_results
from lab.report.captions import alerts_of, caption_of, plain_caption
from tests.unit.analysis.campaign import Campaign
from tests.unit.report.examples import HOSTILE, results


def test_a_picture_says_where_it_comes_from() -> None:
    """Host, experiment, commits and binaries, at its foot and in the metadata of its file."""
    caption = caption_of(compare_results(results(Campaign())), "title", ("marks",), ("alert",))
    assert caption.notes[0] == "marks" and "tier tcg" in caption.notes[1] and "0123456789ab" in caption.notes[2]
    assert caption.alerts == ("alert",)
    description = caption.metadata["Description"]
    assert "INCONCLUSIVE" in description and "a" * 64 in description and "b" * 64 in description


def test_metadata_is_printable_ascii() -> None:
    """A PNG text chunk holds no other, and XML no control characters."""
    made = results(Campaign())
    comparison = compare_results(replace(made, question=replace(made.question, title=f"{HOSTILE}\n\x00")))
    for caption in (caption_of(comparison, HOSTILE, ()), plain_caption(HOSTILE, (), HOSTILE, f"\t{HOSTILE}\r")):
        assert all(text.isascii() and text.isprintable() for text in caption.metadata.values())


def test_claims_that_the_numbers_do_not_support_are_alerts() -> None:
    """Software emulation and too few CPUs forbid reading absolute values; other caveats do not."""
    comparison = compare_results(results(Campaign()))
    assert len(alerts_of(comparison)) == 2 < len(comparison.caveats)
