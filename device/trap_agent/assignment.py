"""Which of these is which of those: pairs at the least total cost."""

import lap
import numpy as np
from numpy.typing import NDArray

_NEVER = 1e3  # far above any sum of costs that matters; lap takes 1e6 and more for infinite


def assign(cost: NDArray[np.float64], is_possible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pairs (P, 2) of row and column, in order of rows, that are possible and as many and as cheap as can be.

    `cost` and `is_possible` are (N, M), costs 0 to about 10. Jonker and Volgenant 1987, as in `lap`.
    """
    if not is_possible.any():
        return np.zeros((0, 2), np.int64)
    _, columns, _ = lap.lapjv(np.where(is_possible, cost, _NEVER), extend_cost=True)
    rows = np.flatnonzero(columns >= 0)
    pairs = np.stack([rows, columns[rows]], axis=1).astype(np.int64)
    return pairs[is_possible[pairs[:, 0], pairs[:, 1]]]
