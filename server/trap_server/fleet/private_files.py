"""Files that their owner alone may read, from the first byte on and whatever the umask is."""

import os
import secrets
from pathlib import Path

from trap_contract.errors import ConfigError


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder with exactly this mode; one that is there already is given it. Its parent must exist."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"{folder}: not a folder: move it away")
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(mode)


def write_private(file: Path, data: bytes, owner: tuple[int, int] | None = None) -> None:
    """Put `data` in place in one step, mode 0600 from the beginning; `owner` is (user id, group id)."""
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as stream:
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def read_private(file: Path, what: str) -> bytes:
    """The content of a file that nobody but its owner may read. Raises ConfigError for a missing or an open one."""
    try:
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o077:
                raise ConfigError(f"{file}: others can read this {what}: chmod 600 {file}")
            return stream.read()
    except OSError as error:
        raise ConfigError(f"{file}: no {what} to be read: {error.strerror}") from error
