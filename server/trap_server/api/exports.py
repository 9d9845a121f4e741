"""Exports as archives: what `trap-server export` writes, behind a login."""

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask
from trap_contract.errors import DataError

from trap_server.api.access import Connection, Date, FilledLine, Line, NameText, NowMs
from trap_server.deployments import deployments
from trap_server.exporting.export import Format, export
from trap_server.exporting.metadata import ExportMetadata
from trap_server.exporting.reading import Period, Selection
from trap_server.exporting.rows import Places
from trap_server.version import software_version

AT_ONCE = threading.Semaphore(2)  # each reads all that was asked for

router = APIRouter(prefix="/api/v1")


class ExportQuery(BaseModel):
    """Which counts, and what the export says of itself."""

    by: Annotated[Period, Query(description="one line each; other than night only in csv and parquet")] = "night"
    since: Date = None
    until: Date = None
    tenant: NameText | None = None
    trap: NameText | None = None
    title: FilledLine = "Mosquito counts"
    publisher: FilledLine = "not told"
    contact: Line = ""
    licence: Line = ""
    taxon: FilledLine = "Culicidae"
    rank: FilledLine = "family"


@router.get("/exports/{format_}", response_class=FileResponse, responses={200: {"content": {"application/zip": {}}}})
def download(
    format_: Format, query: Annotated[ExportQuery, Query()], connection: Connection, now_ms: NowMs
) -> FileResponse:
    """Counts as entomologists exchange them, with effort, zeros, models and thresholds; the answer is a .zip."""
    if not AT_ONCE.acquire(blocking=False):
        raise HTTPException(503, "two exports are being written: try again when they are done", {"Retry-After": "30"})
    folder = Path(tempfile.mkdtemp(prefix="zancudo-export-"))
    try:
        out = folder / f"zancudo-{format_}.zip"
        _write(format_, query, connection, out, now_ms)
    except DataError as error:
        shutil.rmtree(folder)
        raise HTTPException(422, str(error)) from error
    except BaseException:
        shutil.rmtree(folder)
        raise
    finally:
        AT_ONCE.release()
    return FileResponse(
        out, media_type="application/zip", filename=out.name, background=BackgroundTask(shutil.rmtree, folder)
    )


def _write(format_: Format, query: ExportQuery, connection: Connection, out: Path, now_ms: int) -> None:
    metadata = ExportMetadata(
        title=query.title,
        publisher=query.publisher,
        contact=query.contact,
        licence=query.licence,
        taxon=query.taxon,
        taxon_rank=query.rank,
        software_version=software_version(),
        created_at_ms=now_ms,
    )
    export(
        connection,
        format_,
        out,
        period=query.by,
        selection=Selection(query.tenant, query.trap, query.since, query.until),
        places=Places(deployments(connection).values()),
        metadata=metadata,
    )
