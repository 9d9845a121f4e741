"""Pictures from traps: what makes one acceptable, and each stored once."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import sqlalchemy as sa
from PIL.JpegImagePlugin import JpegImageFile
from trap_contract.errors import MessageError
from trap_contract.messages import Evidence
from trap_contract.topics import TrapAddress

from trap_server import schema
from trap_server.bulk import insert

KEPT_BYTES: Final = 100_000_000
"""JPEG bytes kept of one trap; the oldest pictures go first."""

_MOST_PX: Final = 4096
_E = schema.evidence.c


@dataclass(frozen=True, slots=True)
class OfferedPicture:
    """Evidence whose JPEG is whole, and the size of the picture in px."""

    address: TrapAddress
    evidence: Evidence
    size: tuple[int, int]
    received_at_ms: int


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height of a JPEG. Raises MessageError for other bytes, for one cut short, and for one too large."""
    try:
        with JpegImageFile(BytesIO(data)) as picture:
            width, height = picture.size
            if max(width, height) > _MOST_PX:
                raise MessageError(f"Evidence: its picture is {width}x{height} px, {_MOST_PX} is the most")
            picture.draft("L", (8, 8))  # reads every byte, and decodes an eighth of the pixels
            picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise MessageError(f"Evidence: its JPEG is broken: {error}") from error
    return width, height


def keep(connection: sa.Connection, offered: Sequence[OfferedPicture], most_bytes: int) -> None:
    """Insert those that are new, and forget the oldest of a trap that has more than `most_bytes`."""
    if not offered:
        return
    statement = insert(connection, schema.evidence).on_conflict_do_nothing()
    connection.execute(statement, [_row(one) for one in offered])
    for address in dict.fromkeys(one.address for one in offered):
        _forget(connection, address, most_bytes)


def _row(offered: OfferedPicture) -> dict[str, object]:
    evidence, jpeg = offered.evidence, offered.evidence.picture
    return {
        "tenant": offered.address.tenant,
        "trap": offered.address.trap,
        "evidence": evidence.id,
        "kind": evidence.kind,
        "wall_ms": evidence.wall_ms,
        "received_at_ms": offered.received_at_ms,
        "boot": evidence.window.boot if evidence.window else None,
        "seq": evidence.window.seq if evidence.window else None,
        "label": evidence.label,
        "width": offered.size[0],
        "height": offered.size[1],
        "bytes": len(jpeg),
        "body": evidence.model_dump_json(exclude={"jpeg"}),
        "jpeg": jpeg,
    }


def _forget(connection: sa.Connection, address: TrapAddress, most_bytes: int) -> None:
    of_trap = sa.and_(_E.tenant == address.tenant, _E.trap == address.trap)
    newer = sa.func.sum(_E.bytes).over(order_by=_E.id.desc()).label("newer")
    sized = sa.select(_E.id, newer).where(of_trap).subquery()
    connection.execute(
        sa.delete(schema.evidence).where(_E.id.in_(sa.select(sized.c.id).where(sized.c.newer > most_bytes)))
    )
