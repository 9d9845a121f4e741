"""A live view for whoever stands at the trap: what it sees, boxes and counts, on the LAN, behind a token."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trap_contract.detections import Detections
from trap_contract.errors import ConfigError
from trap_contract.logs import log
from trap_contract.settings import ANY_HOST

from trap_agent.observer import OnAnalysed
from trap_agent.preview.stage import About, Stage
from trap_agent.sources import Frame

if TYPE_CHECKING:
    from trap_agent.preview.server import PreviewServer

Address = tuple[str, int]

_TOKEN_BYTES = 24


@contextmanager
def previewed(address: Address | None, about: About, on_analysed: OnAnalysed | None) -> Iterator[OnAnalysed | None]:
    """What to tell of analysed frames while the block lasts: the preview, where an address is given, and `on_analysed`.

    The preview's address with its token is logged once. Raises ConfigError when it can't be listened on.
    """
    if address is None:
        yield on_analysed
        return
    stage, token = Stage(about), secrets.token_urlsafe(_TOKEN_BYTES)

    def tell(frame: Frame, found: Detections) -> None:
        stage.show(frame, found)
        if on_analysed is not None:
            on_analysed(frame, found)

    with _listening(address, stage, token) as server:
        host = socket.gethostname() if address[0] == ANY_HOST else address[0]
        log.info("preview: whoever has this address may look", url=f"http://{host}:{server.port}/?token={token}")
        yield tell


def _listening(address: Address, stage: Stage, token: str) -> "PreviewServer":
    from trap_agent.preview.server import PreviewServer

    try:
        return PreviewServer(address, stage, token)
    except OSError as error:
        place = f"{address[0]}:{address[1]}"
        raise ConfigError(f"--preview {place}: can't listen there: {error.strerror}: give another") from error
