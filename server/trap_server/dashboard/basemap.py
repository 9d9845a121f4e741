"""The operator's own map below the traps: tiles by a template of their URL, or a PMTiles archive, here or elsewhere."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

ARCHIVE: Final = "/api/v1/map.pmtiles"
"""Where this server hands out an archive of its own."""
_URL = re.compile(r"(?P<origin>https?://[A-Za-z0-9.-]+(?::\d+)?)?/[^\s;,]*")
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"


@dataclass(frozen=True, slots=True)
class Basemap:
    """`address` is what pages ask for, "" for the bundled outlines alone; `file` an archive on this machine."""

    address: str = ""
    attribution: str = ""
    file: Path | None = None

    @property
    def policy(self) -> str:
        """The content security policy of every page: without a map nothing but this server, else its origin too.

        Leaflet blanks a tile that is not wanted any more with a data: picture; pictures of an archive are blob: ones.
        """
        if not self.address:
            return _POLICY
        found = _URL.fullmatch(self.address)
        origin = f" {found['origin']}" if found and found["origin"] else ""
        if is_archive(self.address):
            return f"{_POLICY}; img-src 'self' blob:; connect-src 'self'{origin}"
        return f"{_POLICY}; img-src 'self' data:{origin}"


OUTLINES: Final = Basemap()
"""No map but the countries that come with the wheel."""


def is_archive(address: str) -> bool:
    """Whether it names an archive, not a template."""
    return address.endswith(".pmtiles")


def check_tiles(text: str) -> str:
    """As it is, if a map can be had there. Raises ValueError."""
    if "{s}" in text:
        raise ValueError("write one host in the place of {s}")
    is_template = all(sign in text for sign in ("{z}", "{x}")) and ("{y}" in text or "{-y}" in text)
    is_there = _URL.fullmatch(text) is not None and (is_template or text.startswith("http"))
    if not text or (is_there and (is_template or is_archive(text))) or (is_archive(text) and Path(text).is_file()):
        return text
    raise ValueError("must be https://HOST/.../{z}/{x}/{y}.png, https://HOST/NAME.pmtiles, or a .pmtiles file here")


def basemap_of(tiles: str, attribution: str) -> Basemap:
    """What the settings mean."""
    if is_archive(tiles) and not tiles.startswith("http"):
        return Basemap(ARCHIVE, attribution, Path(tiles))
    return Basemap(tiles, attribution)


Tiles = Annotated[str, AfterValidator(check_tiles)]
