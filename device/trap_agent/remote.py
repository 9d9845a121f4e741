"""Commands from the collector: each is carried out once, in time, or answered with why not.

What was answered is in one file, replaced in one step.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from trap_contract.errors import MessageError, SourceError, StoreError
from trap_contract.logs import log
from trap_contract.messages import Answer, Command, CommandState, parse_message

from trap_agent.clock import Clock
from trap_agent.session import Heard
from trap_agent.statefile import read_state, write_state

FILE_NAME: Final = "remote.json"

_REMEMBERED = 200
_MOST_TEXT = 4096


class Memory(BaseModel):
    """The last answers, oldest first."""

    answers: dict[str, Answer] = {}


class Remote:
    """Carries out what comes for one trap."""

    def __init__(
        self,
        trap: str,
        folder: Path,
        clock: Clock,
        *,
        status: Callable[[], str],
        restart: Callable[[], None],
        snapshot: Callable[[str], str],
    ) -> None:
        self._trap = trap
        self._file = folder / FILE_NAME
        self._clock = clock
        self._status = status
        self._restart = restart
        self._snapshot = snapshot
        self._memory = read_state(self._file, Memory) or Memory()
        self._to_say = [answer for answer in self._memory.answers.values() if answer.state == "running"]

    def begun(self) -> list[Answer]:
        """Answers to the commands that this start completes."""
        done = [answer.model_copy(update={"state": "done", "text": "restarted"}) for answer in self._to_say]
        self._to_say = []
        try:
            for answer in done:
                self._remember(answer)
        except StoreError as error:
            log.error("a command's answer is not kept", error=str(error))
        return done

    def obey(self, heard: Heard) -> Answer | None:
        """Carry a command out; the answer to it, None to what is no command for this trap."""
        command = self._understood(heard)
        if command is None:
            return None
        known = self._memory.answers.get(command.id)
        if known is not None:
            return known
        answer = self._untimely(command, heard) or self._carried_out(command)
        log.info("command answered", command=command.name, id=command.id, state=answer.state, text=answer.text)
        return answer

    def _understood(self, heard: Heard) -> Command | None:
        if heard.is_retained:
            log.warning("command ignored: it is retained, and would come back at every connect")
            return None
        try:
            command = parse_message(Command, heard.payload)
        except MessageError as error:
            log.warning("command ignored", error=str(error))
            return None
        if command.trap != self._trap:
            log.warning("command ignored", error=f"it is for trap {command.trap!r}")
            return None
        return command

    def _untimely(self, command: Command, heard: Heard) -> Answer | None:
        """Why it must not be carried out now; a clock that nothing vouches for leaves the judgement to the broker."""
        now = self._clock.now()
        if not now.is_synced and heard.expiry_s is None:
            text = (
                "this trap's clock is not synchronised, and the message has no MQTT expiry that the broker would keep"
            )
            return self._answer(command, "refused", text)
        if now.is_synced and now.wall_ms > command.expires_wall_ms:
            late_s = (now.wall_ms - command.expires_wall_ms) / 1000
            return self._answer(command, "expired", f"it came {late_s:.0f} s too late")
        return None

    def _carried_out(self, command: Command) -> Answer:
        actions = {
            "status": self._tell_status,
            "restart": self._begin_restart,
            "snapshot": self._take_snapshot,
        }
        action = actions.get(command.name)
        if action is None:
            return self._answer(command, "refused", f"no command {command.name!r}; there are {', '.join(actions)}")
        try:
            return action(command)
        except (SourceError, StoreError) as error:
            return self._answer(command, "failed", str(error))

    def _tell_status(self, command: Command) -> Answer:
        return self._answer(command, "done", self._status())

    def _begin_restart(self, command: Command) -> Answer:
        answer = self._answer(command, "running", "restarting")
        self._remember(answer)
        self._restart()
        return answer

    def _take_snapshot(self, command: Command) -> Answer:
        answer = self._answer(command, "done", self._snapshot(command.id))
        self._remember(answer)
        return answer

    def _answer(self, command: Command, state: CommandState, text: str) -> Answer:
        return Answer(trap=self._trap, id=command.id, state=state, text=text[:_MOST_TEXT])

    def _remember(self, answer: Answer) -> None:
        """Keep an answer. Raises StoreError, and then it is not kept."""
        answers = {**self._memory.answers, answer.id: answer}
        memory = Memory(answers=dict(list(answers.items())[-_REMEMBERED:]))
        write_state(self._file, memory)
        self._memory = memory
