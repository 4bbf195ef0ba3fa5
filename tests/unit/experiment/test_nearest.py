"""The word that was probably meant."""

from lab.experiment.nearest import nearest


def test_a_close_word_is_offered_and_a_far_one_is_not() -> None:
    """One hint, or none; a word without end costs nothing."""
    assert nearest("vcpu", ("vcpus", "disks")) == " (did you mean 'vcpus'?)"
    assert nearest("zzz", ("vcpus", "disks")) == ""
    assert nearest("v" * 1_000_000, ("vcpus",)) == ""
