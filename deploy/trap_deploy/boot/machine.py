"""One emulated trap: an image's copy, booted by qemu with the kernel and initrd of its own boot partition."""

import json
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from trap_contract.errors import ConfigError, ZancudoError

from trap_deploy.image.filesystems import run
from trap_deploy.image.layout import MIB, Layout

HOST: Final = "10.0.2.2"
"""This machine, as the guest sees it."""
COMMAND_LINE: Final = (
    "console=ttyAMA0 root=LABEL=trap-root ro rootwait fsck.repair=yes panic=10 net.ifnames=0 systemd.getty_auto=0 "
    "systemd.ssh_auto=no systemd.wants=p.service systemd.default_device_timeout_sec=300"
)
_CLOCK = ("-icount", "shift=0,sleep=on")
"""An instruction takes the guest a nanosecond, about as on a Pi 3: on a busy machine its timeouts wait for it."""
_PROBE_UNIT = """\
[Unit]
Description=Do what the test asks for
DefaultDependencies=no
Requires=dev-virtio\\x2dports-zancudo.probe.device
After=dev-virtio\\x2dports-zancudo.probe.device

[Service]
ImportCredential=zancudo.probe
ExecStart=/usr/bin/python3 ${CREDENTIALS_DIRECTORY}/zancudo.probe
Restart=always
"""


class GuestError(ZancudoError):
    """The guest did not come up, or did not do what was asked."""


@dataclass(frozen=True, slots=True)
class Card:
    """An image's copy, and what of its boot partition the emulator needs."""

    image: Path
    layout: Layout = field(default_factory=Layout)

    @property
    def _fat(self) -> str:
        return f"{self.image}@@{self.layout.partitions[0].start}M"

    def put(self, name: str, data: bytes) -> None:
        """Write a file onto the boot partition, as a person with a card reader does."""
        scratch = self.image.with_name(f"put-{name}")
        scratch.write_bytes(data)
        run(["mcopy", "-o", "-i", self._fat, scratch, f"::{name}"])
        scratch.unlink()

    def get(self, name: str) -> str:
        """Read a text file of the boot partition; empty when it is not there."""
        done = subprocess.run(["mtype", "-i", self._fat, f"::{name}"], capture_output=True, check=False)
        return done.stdout.decode(errors="replace").replace("\r\n", "\n") if done.returncode == 0 else ""

    def extract(self, *names: str) -> None:
        """Copy files of the boot partition beside the image."""
        run(["mcopy", "-o", "-i", self._fat, *(f"::{name}" for name in names), self.image.parent])

    def enlarge(self, mib: int) -> None:
        """As if the image had been written to a card of this size."""
        with self.image.open("r+b") as file:
            file.truncate(mib * MIB)


@dataclass(slots=True)
class Guest:
    """A running trap."""

    process: subprocess.Popen[bytes]
    line: socket.socket
    serial: Path
    began_s: float
    boot_id: str = ""
    _rest: bytes = b""

    def sh(self, command: str, limit_s: float = 120) -> str:
        """What a shell line printed. Raises GuestError when it failed."""
        rc, out = self.ask(command, limit_s)
        if rc:
            raise GuestError(f"in the guest `{command}` ended with {rc}: {out.strip()[-800:]}")
        return out

    def ask(self, command: str, limit_s: float = 120) -> tuple[int, str]:
        """Exit status and output of a shell line."""
        self.line.sendall(json.dumps({"sh": command, "limit_s": limit_s}).encode() + b"\n")
        answer = self._hear(limit_s + 60)
        return int(answer["rc"]), str(answer["out"])

    def wait(self, command: str, limit_s: float, step_s: float = 3) -> str:
        """Ask until the shell line succeeds; its output. Raises GuestError with its last output."""
        deadline = time.monotonic() + limit_s
        while True:
            rc, out = self.ask(command)
            if rc == 0:
                return out
            if time.monotonic() > deadline:
                raise GuestError(f"in the guest `{command}` did not come true in {limit_s:.0f} s: {out.strip()[-800:]}")
            time.sleep(step_s)

    def greet(self, limit_s: float) -> None:
        """Wait until the probe says hello. Raises GuestError with the end of the console."""
        try:
            self.boot_id = str(self._hear(limit_s)["hello"])
        except GuestError as error:
            raise GuestError(f"{error}; the console ends: {self.console()[-1500:]}") from error

    def console(self) -> str:
        """Everything that the serial console showed."""
        return self.serial.read_text(errors="replace") if self.serial.exists() else ""

    def cut(self) -> None:
        """Take the power away."""
        self.process.kill()
        self._gone()

    def power_off(self, limit_s: float = 180) -> None:
        """Shut down in order. Raises GuestError when it does not end."""
        self.line.sendall(json.dumps({"sh": "systemctl poweroff", "limit_s": 60}).encode() + b"\n")
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            self.cut()
            raise GuestError(f"did not power off in {limit_s:.0f} s: {self.console()[-800:]}") from error
        self._gone()

    def _gone(self) -> None:
        self.process.wait()
        self.line.close()

    def _hear(self, limit_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._rest:
            self.line.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                piece = self.line.recv(65536)
            except TimeoutError as error:
                raise GuestError(f"the guest said nothing in {limit_s:.0f} s") from error
            except OSError as error:
                raise GuestError("the guest is gone") from error
            if not piece:
                raise GuestError("the guest is gone")
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        heard: dict[str, Any] = json.loads(line)
        return heard if "hello" not in heard or not self.boot_id else self._hear(limit_s)


def start(card: Card, *, memory_mb: int = 1024, clock: str = "utc", restrict: bool = False) -> Guest:
    """Switch the trap on; `clock` is what its real-time clock says (qemu's -rtc base=)."""
    folder, stamp = card.image.parent, time.monotonic_ns()
    card.extract("vmlinuz", "initrd.img")
    # qemu takes no longer name than this of a unit called p
    unit, port, serial = folder / "probe.service", folder / f"probe-{stamp}", folder / f"serial-{stamp}.log"
    unit.write_text(_PROBE_UNIT)
    credentials = {
        "systemd.extra-unit.p.service": unit,
        "zancudo.probe": Path(__file__).with_name("probe.py"),
    }
    command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", str(memory_mb)]
    command += ["-accel", "tcg", *_CLOCK, "-display", "none", "-no-reboot", "-monitor", "none", "-nodefaults"]
    command += ["-kernel", f"{folder}/vmlinuz", "-initrd", f"{folder}/initrd.img", "-append", COMMAND_LINE]
    command += ["-drive", f"file={card.image},format=raw,if=none,id=card", "-device", "virtio-blk-pci,drive=card"]
    command += ["-netdev", f"user,id=net{',restrict=on' if restrict else ''}"]
    command += ["-device", "virtio-net-pci,netdev=net,romfile=", "-rtc", f"base={clock}", "-serial", f"file:{serial}"]
    command += ["-chardev", f"socket,path={port},server=on,wait=off,id=probe", "-device", "virtio-serial-pci"]
    command += ["-device", "virtserialport,chardev=probe,name=zancudo.probe", "-device", "virtio-rng-pci"]
    for name, file in credentials.items():
        command += ["-fw_cfg", f"name=opt/io.systemd.credentials/{name},file={file}"]
    return _connected(command, port, serial, folder / "qemu.log")


def _connected(command: list[str], port: Path, serial: Path, log: Path) -> Guest:
    began = time.monotonic()
    try:
        with log.open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    except FileNotFoundError as error:
        raise ConfigError("qemu-system-aarch64 is missing: sudo apt-get install qemu-system-arm") from error
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    while process.poll() is None:
        try:
            line.connect(str(port))
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.1)
        else:
            return Guest(process, line, serial, began)
    end = signal.Signals(-process.returncode).name if process.returncode < 0 else process.returncode
    raise ConfigError(f"qemu ended with {end}: {log.read_text(errors='replace').strip()[-500:]}")
