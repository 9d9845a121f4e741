"""Where the three partitions lie on the card; a master boot record, because a Pi 3's boot ROM reads no other."""

from dataclasses import dataclass
from typing import Final

from trap_contract.errors import ConfigError

MIB: Final = 1024 * 1024
SECTOR: Final = 512
DISK_ID: Final = 0x7472617A
_FAT32_LBA = 0x0C
_LINUX = 0x83


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; sizes and places in MiB."""

    number: int
    label: str
    start: int
    size: int
    kind: int

    @property
    def end(self) -> int:
        """The first MiB behind it."""
        return self.start + self.size


@dataclass(frozen=True, slots=True)
class Layout:
    """The card: boot files, the system, which nobody writes, and the data, which grows to the card's end."""

    boot: int = 256
    root: int = 1536
    data: int = 128
    lead: int = 4

    def __post_init__(self) -> None:
        """Raises ConfigError for a size that makes no partition."""
        if min(self.boot - 33, self.root - 1, self.data - 8, self.lead - 1) < 0:
            raise ConfigError(f"{self}: FAT32 needs 33 MiB, data 8, and 1 must lie before the first partition")

    @property
    def partitions(self) -> tuple[Partition, Partition, Partition]:
        """In the order of the card, without a hole."""
        boot = Partition(1, "TRAPBOOT", self.lead, self.boot, _FAT32_LBA)
        root = Partition(2, "trap-root", boot.end, self.root, _LINUX)
        return boot, root, Partition(3, "trap-var", root.end, self.data, _LINUX)

    @property
    def size(self) -> int:
        """The whole image, in MiB."""
        return self.partitions[-1].end

    @property
    def script(self) -> str:
        """What sfdisk(8) is told."""
        lines = [
            f"start={one.start}MiB, size={one.size}MiB, type={one.kind:x}{', bootable' if one.number == 1 else ''}"
            for one in self.partitions
        ]
        return f"label: dos\nlabel-id: {DISK_ID:#x}\n" + "\n".join(lines) + "\n"
