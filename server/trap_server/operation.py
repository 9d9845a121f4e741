"""For those who keep the server running: alive, ready, metrics."""

import sqlalchemy as sa
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from trap_server import queries
from trap_server.answers import Readiness
from trap_server.api.access import Clock, Engine, NowMs
from trap_server.api.entry import Viewer
from trap_server.metrics import render_metrics

router = APIRouter()


@router.get("/healthz")
def healthz() -> dict[str, bool]:
    """Whether the process answers."""
    return {"alive": True}


@router.get("/readyz")
def readyz(engine: Engine, now_ms: NowMs, response: Response) -> Readiness:
    """Whether the database can be read and ingest has reported in the last 30 s; 503 if not."""
    try:
        with engine.begin() as connection:
            ingest = queries.ingest_health(queries.collectors(connection), now_ms)
    except sa.exc.DBAPIError:
        readiness = Readiness(ready=False, database="unreachable", ingest="silent")
    else:
        readiness = Readiness(ready=ingest != "silent", database="reachable", ingest=ingest)
    response.status_code = 200 if readiness.ready else 503
    return readiness


@router.get("/metrics", response_class=Response)
def metrics(engine: Engine, clock: Clock, _viewer: Viewer) -> Response:
    """Prometheus metrics; Prometheus sends a viewer's token as `authorization: {credentials: TOKEN}`."""
    return Response(render_metrics(engine, clock), media_type=CONTENT_TYPE_LATEST)
