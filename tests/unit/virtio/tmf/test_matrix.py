from lab.virtio.tmf.matrix import Backtraces
from lab.virtio.virtio_scsi import Tmf
from tests.unit.virtio.tmf.made_up import case_of


def test_one_backtrace_for_each_function() -> None:
    """They take seconds, and the second looks like the first."""
    backtraces = Backtraces()
    wanted = [backtraces.wanted(case_of(subtype, mapping=mapping)) for subtype in Tmf for mapping in ("none", "2")]
    assert wanted == [True, False] * 8
