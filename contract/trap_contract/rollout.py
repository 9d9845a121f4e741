"""How a bundle reaches a trap: what the collector wishes on `desired`, and what the trap says of it on `progress`.

Both are retained, for both are states: a trap that was off for a week learns at its next connect what it shall count
with, and a collector that was off what became of it. `desired` ends with the rollout's deadline.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from trap_contract.messages import Milliseconds, Name
from trap_contract.signature import Signature

MOST_FILES = 32
MOST_BYTES = 512 * 1024 * 1024

RolloutId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_PART = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
FileName = Annotated[str, StringConstraints(pattern=f"^{_PART}(/{_PART}){{0,2}}$")]
"""A path below the bundle: each part begins with a letter or digit, so that none can lead out of a folder."""

ProgressState = Literal["downloading", "trial", "active", "rolled_back", "refused", "failed", "expired"]
FINAL: frozenset[ProgressState] = frozenset({"active", "rolled_back", "refused", "failed", "expired"})
"""`downloading` and `trial` lead to one of these."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class BundleFile(_Model):
    """One file of a bundle, and what it must be."""

    name: FileName
    size: Annotated[int, Field(ge=1, le=MOST_BYTES, description="bytes")]
    sha256: Sha256


class PublishedBundle(_Model):
    """A signed bundle as a trap fetches it: a .tflite or .onnx file, or the files of an OpenVINO folder.

    `name` is the file or folder; a folder's files are named NAME/FILE.
    """

    name: Annotated[str, StringConstraints(pattern=f"^{_PART}$")]
    model: Annotated[str, Field(min_length=1, max_length=128, description="id in its manifest")]
    model_sha256: Annotated[Sha256, Field(description="as windows name the model")]
    signature: Signature
    files: Annotated[tuple[BundleFile, ...], Field(min_length=1, max_length=MOST_FILES)]

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        names = [file.name for file in self.files]
        is_file = names == [self.name]
        if not is_file and any(PurePosixPath(name).parts[0] != self.name or "/" not in name for name in names):
            raise ValueError(f"files must be {self.name} itself, or all lie below {self.name}/")
        if len(set(names)) != len(names) or self.size > MOST_BYTES:
            raise ValueError("files must have names of their own, and 512 MiB together at most")
        return self

    @property
    def digest(self) -> str:
        """What is signed, and what the bundle is called by."""
        return self.signature.digest

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(file.size for file in self.files)


class Desired(_Model):
    """Topic `desired`, retained: the bundle that this trap shall count with.

    `install`: fetch each file from URL/FILE by HTTP range requests with `Authorization: Bearer TOKEN`, check it, and
    put it on trial. `withdraw`: a bundle that this rollout brought shall go; the trap returns to the one before.
    """

    v: Literal[1] = 1
    trap: Name
    rollout: RolloutId
    action: Literal["install", "withdraw"]
    bundle: PublishedBundle
    url: Annotated[str, Field(max_length=1024)]
    token: Annotated[str, Field(max_length=256, repr=False)]
    deadline_wall_ms: Annotated[Milliseconds, Field(description="no installation begins later")]

    @model_validator(mode="after")
    def _fetchable(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("url must be https://HOST[:PORT]/PATH")
        return self


class Progress(_Model):
    """Topic `progress`, retained: how far this trap has come with a rollout, said again at every connect.

    `trial`: the bundle counts, and is watched; `active`: it passed; `rolled_back`: the one before counts again;
    `refused`: the trap may not take it; `failed`: it could not be had or does not run. `text` says why.
    """

    v: Literal[1] = 1
    trap: Name
    rollout: RolloutId
    digest: Sha256
    state: ProgressState
    fetched: Annotated[int, Field(ge=0, description="bytes")] = 0
    wall_ms: Milliseconds
    text: Annotated[str, Field(max_length=1024)] = ""
