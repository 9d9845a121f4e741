"""Workers side by side."""

import threading

import pytest
from trap_contract.crew import Crew


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 2, 50])
def test_results_come_in_the_order_of_the_items(workers: int, items: int) -> None:
    crew = Crew(range(workers))
    assert crew.map(lambda _worker, item: 10 * item, range(items)) == [10 * item for item in range(items)]


def test_workers_work_at_the_same_time_and_none_does_two_things_at_once() -> None:
    meeting, busy = threading.Barrier(2, timeout=20), [threading.Lock(), threading.Lock()]

    def work(worker: threading.Lock, _item: int) -> bool:
        meeting.wait()  # never passed unless both are at work
        is_free = worker.acquire(blocking=False)
        meeting.wait()
        worker.release()
        return is_free

    assert Crew(busy).map(work, range(2)) == [True, True]


def test_what_the_work_raises_is_raised() -> None:
    def work(_worker: int, item: int) -> int:
        if item == 3:
            raise ValueError("the fourth")
        return item

    with pytest.raises(ValueError, match="the fourth"):
        Crew(range(2)).map(work, range(8))
