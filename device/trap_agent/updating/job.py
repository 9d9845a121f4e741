"""What is known of the rollout that this trap takes part in, and what follows next; without files, lines or clocks."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from trap_contract.rollout import FINAL, Desired, Progress, ProgressState
from trap_contract.signature import Signature

from trap_agent.trial import Slots, other

Step = Literal["fetch", "watch", "return", "wait", "done"]


class Job(BaseModel):
    """A wish of the collector, and how far it has come."""

    model_config = ConfigDict(frozen=True)

    desired: Desired
    state: ProgressState = "downloading"
    fetched: int = 0
    text: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.state in FINAL

    def at(self, state: ProgressState, text: str = "", *, fetched: int | None = None) -> "Job":
        """The same wish, further on."""
        have = self.fetched if fetched is None else fetched
        return self.model_copy(update={"state": state, "text": text, "fetched": have})

    def progress(self, wall_ms: int) -> Progress:
        """As the collector is told."""
        wish = self.desired
        return Progress(
            trap=wish.trap,
            rollout=wish.rollout,
            digest=wish.bundle.digest,
            state=self.state,
            fetched=self.fetched,
            wall_ms=wall_ms,
            text=self.text[:1024],
        )


def taken_up(before: Job | None, wish: Desired) -> Job:
    """The job that a wish becomes: one that is known goes on, or stays done; a withdrawal reopens what it ends."""
    if before is None or before.desired.rollout != wish.rollout:
        return Job(desired=wish)
    if before.desired.action == wish.action:
        return before.model_copy(update={"desired": wish})  # its address and token may be new
    return Job(desired=wish, fetched=before.fetched)


def next_step(job: Job, slots: Slots, counting: Signature | None) -> Step:
    """What to do; `counting` is the signature of the bundle in the active slot."""
    if job.is_done:
        return "done"
    is_here = counting is not None and counting.digest == job.desired.bundle.digest
    if job.desired.action == "withdraw":
        return "return"
    if is_here or job.state == "trial":
        return "watch"
    return "wait" if slots.trial is not None else "fetch"


def refusal(job: Job, counting: Signature | None, trusted: frozenset[str] | None, *, is_fixed: bool) -> str | None:
    """Why this trap may not take the bundle; None if it may."""
    new = job.desired.bundle.signature
    if is_fixed:
        return "this trap runs a model that its settings name: give it --model installed"
    if trusted is None:
        return "this trap trusts no key, so nothing from afar: give it --trust"
    if new.key not in trusted:
        return f"signed by key {new.key[:16]}, which is not trusted here"
    if counting is not None and new.signed_at_s < counting.signed_at_s:
        return (
            f"a downgrade: signed {counting.signed_at_s - new.signed_at_s} s before the bundle that counts here; "
            "to go back on purpose, sign it again with trap-export sign"
        )
    return None


def watched(job: Job, slots: Slots, counting: Signature | None) -> Job:
    """What the slots say of the trial."""
    if counting is None or counting.digest != job.desired.bundle.digest:
        return job.at("rolled_back", slots.outcome)
    size = job.desired.bundle.size
    if slots.trial is not None:
        return job if job.state == "trial" else job.at("trial", fetched=size)
    return job.at("active", slots.outcome, fetched=size)


def can_return(slots: Slots) -> bool:
    """Whether another bundle is there."""
    return slots.active is not None and other(slots.active) in slots.bundles
