"""Files over HTTPS, taken up where a power cut or a bad line ended them, and believed for their digest alone."""

import hashlib
import http.client
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self

from trap_contract.errors import BundleError, ConfigError, DeliveryError, StoreError
from trap_contract.rollout import BundleFile, PublishedBundle
from trap_contract.signature import signature_file

from trap_agent.settings import AgentSettings
from trap_agent.statefile import sync

CHUNK_BYTES = 64 * 1024
SYNC_BYTES = 4 * 1024 * 1024
PATIENCE_S = 30.0
SPARE_BYTES = 16 * 1024 * 1024
"""Left free on the card: the outbox needs it more than a new bundle does."""


class Answer(Protocol):
    """What an opened URL gives."""

    status: int
    headers: Any

    def read(self, amount: int, /) -> bytes:
        """At most so many bytes; none at the end."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


Open = Callable[[str, dict[str, str]], Answer]
"""Open a URL with these headers. Raises DeliveryError."""


@dataclass(slots=True)
class Fetch:
    """One bundle on its way into a folder; `is_over` is asked at every chunk, `told` hears how many bytes are there."""

    bundle: PublishedBundle
    url: str
    token: str
    folder: Path
    opened: Open
    is_over: Callable[[], bool]
    told: Callable[[int], None]
    _before: int = 0

    def run(self) -> Path:
        """The bundle with its signature beside it, complete.

        Raises DeliveryError when the line fails or it is over (what is there stays for the next time), BundleError
        when what came is not what was published, StoreError when the card is full or fails.
        """
        files = self.bundle.files
        _check_space(self.folder, self.bundle.size - sum(_have(self.folder / file.name) for file in files))
        try:
            for file in files:
                self._fetch_file(file)
                self._before += file.size
            place = self.folder / self.bundle.name
            signature_file(place).write_text(self.bundle.signature.model_dump_json())
        except OSError as error:
            raise _card(self.folder, error) from error
        return place

    def _fetch_file(self, file: BundleFile) -> None:
        place = self.folder / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if _have(place) > file.size:
            place.unlink()
        if _have(place) < file.size:
            self._append(file, place)
        self.told(self._before + file.size)
        digest = hashlib.sha256(place.read_bytes()).hexdigest()
        if digest != file.sha256:
            place.unlink()
            raise BundleError(f"{self.url}/{file.name}: is not what was published: its SHA-256 is {digest[:16]}...")

    def _append(self, file: BundleFile, place: Path) -> None:
        have, url = _have(place), f"{self.url}/{file.name}"
        headers = {"Authorization": f"Bearer {self.token}", "Range": f"bytes={have}-"}
        with self.opened(url, headers) as answer:
            begin = _begin(answer, have, file.size, url)
            with place.open("r+b" if place.exists() else "wb") as out:
                out.truncate(begin)
                out.seek(begin)
                self._copy(answer, out, file.size)
        if _have(place) < file.size:
            raise DeliveryError(f"{url}: the line ended after {_have(place)} of {file.size} bytes")

    def _copy(self, answer: Answer, out: IO[bytes], size: int) -> None:
        synced = out.tell()
        while not self.is_over():
            try:
                chunk = answer.read(CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise DeliveryError(f"the line broke after {out.tell()} of {size} bytes: {error}") from error
            if not chunk:
                return
            if out.tell() + len(chunk) > size:
                raise DeliveryError(f"the collector sends more than the {size} bytes that were published")
            out.write(chunk)
            if out.tell() - synced >= SYNC_BYTES:
                out.flush()
                synced = out.tell()
                sync(Path(out.name))
            self.told(self._before + out.tell())
        raise DeliveryError("interrupted; the rest is fetched later")


def opener(settings: AgentSettings) -> Open:
    """Opens URLs as these settings trust: the system's authorities and the fleet's, showing the trap's certificate."""
    broker = settings.broker_address
    context = ssl.create_default_context()
    if broker is not None and broker.tls is not None:
        tls = broker.tls
        if tls.ca is not None:
            context.load_verify_locations(tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    director = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)

    def open_url(url: str, headers: dict[str, str]) -> Answer:
        if broker is not None and broker.tls is not None and not url.startswith("https://"):
            raise ConfigError(f"{url}: not https, and this trap's broker is reached by TLS: mend the collector's --url")
        try:
            answer: Answer = director.open(urllib.request.Request(url, headers=headers), timeout=PATIENCE_S)  # noqa: S310 - the contract allows http and https
        except urllib.error.HTTPError as error:
            raise DeliveryError(f"{url}: the collector answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeliveryError(f"{url}: {getattr(error, 'reason', error)}") from error
        return answer

    return open_url


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to whoever it names."""

    def redirect_request(self, *_: object) -> None:
        return None


def _begin(answer: Answer, have: int, size: int, url: str) -> int:
    """Where the answer's first byte belongs: a server that knows no ranges sends everything."""
    if answer.status == http.HTTPStatus.OK:
        return 0
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT and (
        answer.headers.get("Content-Range") == f"bytes {have}-{size - 1}/{size}"
    ):
        return have
    raise DeliveryError(f"{url}: the collector answers {answer.status} with other bytes than were asked for")


def _have(place: Path) -> int:
    return place.stat().st_size if place.is_file() else 0


def _check_space(folder: Path, needed: int) -> None:
    """Twice: it is copied into its slot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _card(folder, error) from error
    if free < 2 * needed + SPARE_BYTES:
        raise StoreError(f"{folder}: {free // 10**6} MB free, too few for a bundle of {needed // 10**6} MB")


def _card(folder: Path, error: OSError) -> StoreError:
    return StoreError(f"{folder}: can't be written: {error.strerror}: check the card and its space")
