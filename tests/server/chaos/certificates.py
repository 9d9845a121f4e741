"""The broker's and the traps' certificates: good ones, and ones whose time is over."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from trap_contract.broker import Tls
from trap_server.fleet.certificates import Signer, Use, certificate_pem, new_authority

from server.fleets import new_pair, now

HOST = "127.0.0.1"
State = Literal["good", "expired"]
_DAYS: dict[State, int] = {"good": 2, "expired": -1}
_LISTENER = """\
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
require_certificate true
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files of one authority; `broker.pem` is what a broker shows once it has read it (again)."""

    folder: Path
    signer: Signer

    @classmethod
    def made(cls, folder: Path) -> "Certificates":
        """Everybody's are good."""
        folder.mkdir()
        one = cls(folder, new_authority("chaos", now(), 30))
        (folder / "ca.pem").write_bytes(certificate_pem(one.signer.certificate))
        one.show("good")
        for state in _DAYS:
            one._write(f"trap-{state}", "client", state)
        return one

    def listener(self, port: int) -> str:
        """Lines of the broker's configuration."""
        return _LISTENER.format(port=port, folder=self.folder)

    def of_trap(self, state: State) -> Tls:
        """What a trap trusts and shows."""
        return Tls(self.folder / "ca.pem", self.folder / f"trap-{state}.pem", self.folder / f"trap-{state}.key")

    def show(self, state: State) -> None:
        """The broker's certificate from now on."""
        self._write("broker", "broker", state)

    def _write(self, name: str, use: Use, state: State) -> None:
        certificate, key = new_pair(self.signer, use, name, timedelta(days=_DAYS[state]), [HOST])
        (self.folder / f"{name}.pem").write_bytes(certificate)
        (self.folder / f"{name}.key").write_bytes(key)
