"""How much each worker of a load completed to how evenly the virtqueues were served. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lab.machine.mapping_placement import vcpus_of_queue


def jain_index(served: Collection[float]) -> float | None:
    """Return Jain's index: 1 where all are served alike, 1/n where one of n gets everything (DEC-TR-301, 1984).

    :param served: what each got, in any unit.
    :return: None for fewer than two, and where nobody got anything: there is nothing to be fair about.
    """
    squares = sum(one * one for one in served)
    return sum(served) ** 2 / (len(served) * squares) if len(served) > 1 and squares else None


def served_by_queue(by_worker: Sequence[float], num_queues: int, vcpus: int) -> dict[int, float]:
    """Return what each virtqueue of a controller that is the only one completed, where a worker fills it.

    :param by_worker: what each worker got; worker k runs on vCPU k, modulo their number, and fills that vCPU's queue.
    """
    found = {}
    for queue in range(num_queues):
        here = vcpus_of_queue(queue, num_queues, vcpus)
        workers = [got for worker, got in enumerate(by_worker) if worker % vcpus in here]
        if workers:
            found[queue] = sum(workers)
    return found
