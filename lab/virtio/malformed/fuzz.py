"""Any malformed request at all: drawn, put before one QEMU after the other, and made smaller when something is wrong.

Hypothesis draws the requests and makes a failing one smaller. One QEMU serves until it fails: the reset after each
request is part of what is tested. The only module that meets hypothesis outside the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Flaky

from lab.settings import cache_dir
from lab.virtio.malformed.request import (
    DATA_BYTES,
    QUEUE_SIZE,
    RESPONSE_OFFSET,
    Descriptor,
    Flag,
    MalformedRequest,
    Place,
)
from lab.virtio.scsi import read_10, test_unit_ready, write_10
from lab.virtio.virtio_scsi import Lun, Tmf, command_request, tmf_request

_INDIRECT = 1 << 28
_EVENT_INDEX = 1 << 29
_QUEUES = (0, 0, 1, 2, 2, 3)
_SIZES = (0, 1, 4, 16, 24, 51, 108, 512, 0xFFFFFFFF)
_LUN = Lun(0, 0)


@dataclass(frozen=True)
class FuzzFinding:
    """A request with which something is wrong.

    :param request: the smallest that was found.
    :param faults: what is wrong with it.
    """

    request: MalformedRequest
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Fuzzed:
    """What came of drawing requests.

    :param tried: how many.
    :param finding: the smallest with which something is wrong; None where nothing is.
    :param file: where it is stored.
    """

    tried: int
    finding: MalformedRequest | None = None
    faults: tuple[str, ...] = ()
    file: Path | None = None


def requests() -> st.SearchStrategy[MalformedRequest]:
    """Return the strategy for requests: mostly near a request in order, sometimes far from it."""
    return st.builds(
        MalformedRequest,
        queue=st.sampled_from(_QUEUES),
        table=st.lists(_descriptors(), min_size=1, max_size=6).map(tuple),
        heads=st.lists(_indices(), max_size=4).map(tuple),
        index=st.none() | st.integers(0, 0xFFFF),
        indirect=st.lists(_descriptors(), max_size=6).map(tuple),
        data=_data(),
        features=st.sampled_from((0, _INDIRECT, _INDIRECT | _EVENT_INDEX)),
        notify=st.none() | st.integers(0, 0xFFFF),
    )


def _descriptors() -> st.SearchStrategy[Descriptor]:
    in_order = st.sampled_from(
        (
            Descriptor(Place.DATA, 0, 51, Flag.NEXT, 1),
            Descriptor(Place.DATA, RESPONSE_OFFSET, 108, Flag.WRITE),
            Descriptor(Place.TABLE, 0, 32, Flag.INDIRECT),
        )
    )
    anything = st.builds(
        Descriptor,
        place=st.sampled_from((Place.DATA, Place.TABLE, Place.RAM_END, Place.DEVICE)),
        offset=st.integers(-DATA_BYTES, DATA_BYTES),
        size=st.sampled_from(_SIZES) | st.integers(0, 0xFFFFFFFF),
        flags=st.integers(0, 7),
        next=_indices(),
    )
    return in_order | anything


def _indices() -> st.SearchStrategy[int]:
    return st.integers(0, 5) | st.sampled_from((QUEUE_SIZE - 1, QUEUE_SIZE, 0xFFFF))


def _data() -> st.SearchStrategy[bytes]:
    in_order = [command_request(_LUN, 1, command.cdb) for command in (test_unit_ready(), read_10(0), write_10(0, b""))]
    in_order += [tmf_request(subtype, _LUN, 1) for subtype in Tmf]
    return st.sampled_from(in_order) | st.binary(max_size=64)


def fuzz(
    faults_of: Callable[[MalformedRequest], tuple[str, ...]], *, examples: int, start_seed: int
) -> FuzzFinding | None:
    """Try so many requests, and return the smallest with which something is wrong, or None.

    :param faults_of: puts a request before a QEMU and says what is wrong.
    :param start_seed: the same seed draws the same requests with the same version of hypothesis.
    """
    found: list[FuzzFinding] = []

    @seed(start_seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def holds(request: MalformedRequest) -> None:
        faults = faults_of(request)
        if faults:
            found.append(FuzzFinding(request, faults))
            raise AssertionError(faults[0])

    set_hypothesis_home_dir(cache_dir("hypothesis"))  # else a folder .hypothesis appears where the user stands
    try:
        holds()
    except (AssertionError, Flaky, ExceptionGroup):
        return found[-1]
    finally:
        set_hypothesis_home_dir(None)
    return None
