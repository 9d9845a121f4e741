"""Workers of one model that look at pictures side by side.

A tile is small: two cores finish two tiles in the time of one, while two threads of a runtime hardly speed up one tile.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Worker = TypeVar("Worker")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Crew(Generic[Worker]):
    """At least one worker, each used by one thread at a time; the threads begin with the first work for several."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = tuple(workers)
        self._pool = ThreadPoolExecutor(len(self.workers), "crew")

    def map(self, work: Callable[[Worker, Item], Result], items: Sequence[Item]) -> list[Result]:
        """The work done on every item by whichever worker is free, in the items' order. Raises what the work raises."""
        if min(len(self.workers), len(items)) < 2:
            return [work(self.workers[0], item) for item in items]
        found: dict[int, Result] = {}
        waiting = iter(enumerate(items))  # one `next` at a time: the interpreter's lock is held meanwhile

        def run(worker: Worker) -> None:
            found.update((place, work(worker, item)) for place, item in waiting)

        for done in [self._pool.submit(run, worker) for worker in self.workers]:
            done.result()
        return [found[place] for place in range(len(items))]
