"""Ways in which a model can be bad, for rehearsals."""

from enum import StrEnum


class Fault(StrEnum):
    """What is bad with the model on some traps."""

    blind = "blind"  # sees a tenth of the insects
    ghosts = "ghosts"  # sees five times as many
    crash = "crash"  # ends the agent; its trial fails
    slow = "slow"  # half of the time is lost
    hot = "hot"  # the processor throttles
