"""Notes on traps."""

from dataclasses import asdict

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from trap_contract.topics import TrapAddress

from trap_server import notes
from trap_server.accounts.audit_log import record
from trap_server.api.access import Before, CalendarMs, Connection, FilledLine, Limit, NowMs, Number, Trap, Writing
from trap_server.api.entry import Operator
from trap_server.notes import Kind, Note

router = APIRouter(prefix="/api/v1")


class NoteBody(BaseModel):
    """What was done or seen at a trap."""

    kind: Kind = "other"
    text: FilledLine
    at_ms: CalendarMs | None = None


class NoteAnswer(BaseModel):
    """A note with who wrote it, and when."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    tenant: str
    trap: str
    kind: Kind
    text: str
    at_ms: int
    by: str
    written_ms: int


class NotesAnswer(BaseModel):
    """Notes, newest first, and where to go on."""

    notes: list[NoteAnswer]
    next_cursor: int | None


@router.get("/traps/{tenant}/{trap}/notes")
def list_notes(found: Trap, connection: Connection, cursor: Before = None, limit: Limit = 100) -> NotesAnswer:
    """What people did or saw at the trap."""
    written = notes.notes(connection, TrapAddress(found.tenant, found.trap), cursor, limit)
    answers = [NoteAnswer.model_validate(one) for one in written]
    return NotesAnswer(notes=answers, next_cursor=answers[-1].id if len(answers) == limit else None)


@router.post("/traps/{tenant}/{trap}/notes", status_code=201)
def write_note(operator: Operator, found: Trap, body: NoteBody, writing: Writing, now_ms: NowMs) -> NoteAnswer:
    """Say what was done, at `at_ms` or now."""
    at_ms = now_ms if body.at_ms is None else body.at_ms
    new = Note(found.tenant, found.trap, body.kind, body.text, at_ms, operator.signature, now_ms)
    written = notes.write(writing, new)
    record(writing, operator, now_ms, "notes.write", written.id, **asdict(new))
    return NoteAnswer.model_validate(written)


@router.delete("/notes/{number}", status_code=204)
def remove_note(number: Number, operator: Operator, writing: Writing, now_ms: NowMs) -> None:
    """Take a note back."""
    found = notes.note(writing, number)
    if found is None:
        raise HTTPException(404, f"there is no note {number}")
    notes.remove(writing, number)
    record(writing, operator, now_ms, "notes.remove", number, before=asdict(found))
