"""How often somebody may ask: counted in this process, by the application's own clock."""

import threading
from collections.abc import Callable

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

LIMITS: dict[str, RateLimitItem] = {
    "log in from one address": parse("20 per minute"),
    "log in by one name": parse("30 per hour"),
    "be refused": parse("60 per minute"),
    "ask": parse("3000 per minute"),
}
MOST_KEYS = 10_000


class Rates:
    """Counts what each address, person and token does."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._limiter = FixedWindowRateLimiter(_Counts(clock))

    def wait_s(self, what: str, who: str) -> int | None:
        """Count one more; None when it may be, else after how many seconds it may be again."""
        if self._limiter.hit(LIMITS[what], what, who):
            return None
        reset_s = self._limiter.get_window_stats(LIMITS[what], what, who).reset_time
        return max(1, round(reset_s - self._clock() / 1000))


class _Counts(Storage):
    """What `limits` keeps its counts in; its own storage in memory reads the wall clock."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing is out of reach here."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, in a window that begins now if none is open."""
        now_s = self._clock() / 1000
        with self._lock:
            if len(self._counts) >= MOST_KEYS:
                self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now_s}
            count, ends_s = self._counts.get(key, (0, 0.0))
            count, ends_s = (count + amount, ends_s) if ends_s > now_s else (amount, now_s + expiry)
            self._counts[key] = count, ends_s
        return count

    def get(self, key: str) -> int:
        """The count of the open window."""
        count, ends_s = self._counts.get(key, (0, 0.0))
        return count if ends_s > self._clock() / 1000 else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds."""
        return self._counts.get(key, (0, self._clock() / 1000))[1]

    def check(self) -> bool:
        """It always works."""
        return True

    def reset(self) -> int:
        """Forget everything."""
        count, self._counts = len(self._counts), {}
        return count

    def clear(self, key: str) -> None:
        """Forget one."""
        self._counts.pop(key, None)
