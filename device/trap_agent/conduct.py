"""What may change between two windows of a run, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass

from trap_agent.settings import AgentSettings
from trap_agent.sinks import Sink
from trap_agent.windows import Draft, WindowPlan


@dataclass(frozen=True, slots=True)
class Conduct:
    """`take` gives settings that wait, once; `on_sleep` is told at every turn of a scheduled sleep."""

    take: Callable[[], AgentSettings | None]
    on_sleep: Callable[[], None]
    on_changed: Callable[[AgentSettings, WindowPlan], None]


STEADY = Conduct(lambda: None, lambda: None, lambda *_: None)
"""Nothing ever changes, and nobody is told."""


class BoundarySink:
    """Hands windows on; when one is closed and the next not yet open, it calls `between`."""

    def __init__(self, sink: Sink) -> None:
        self.between: Callable[[], None] = lambda: None
        self._sink = sink

    def accept(self, draft: Draft) -> None:
        self._sink.accept(draft)
        self.between()
