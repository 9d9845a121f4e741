"""The operator's own map, where this server keeps it."""

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse

from trap_server.dashboard.basemap import Basemap

router = APIRouter(prefix="/api/v1")


@router.get(
    "/map.pmtiles",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/vnd.pmtiles": {}}},
        206: {"content": {"application/vnd.pmtiles": {}}, "description": "the range that was asked for"},
        404: {"description": "this server keeps no map"},
    },
)
def archive(request: Request) -> FileResponse:
    """The archive of tiles; pages ask for ranges of it."""
    basemap: Basemap = request.app.state.basemap
    if basemap.file is None or not basemap.file.is_file():
        raise HTTPException(404, "this server keeps no map: set TRAP_SERVER_MAP_TILES")
    return FileResponse(basemap.file, media_type="application/vnd.pmtiles")
