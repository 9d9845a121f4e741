"""What follows from a card, as files to write; nothing is remembered from one boot to the next."""

import json
from dataclasses import dataclass, field
from typing import Final

from trap_contract.card import SECRETS, Card, Network, Wifi

RUN: Final = "run/zancudo"
TIME_SERVERS: Final = "run/systemd/timesyncd.conf.d/card.conf"
NOWHERE: Final = "mqtt://not-set.invalid"
"""A broker that never answers (RFC 2606): the trap counts, and keeps its windows."""

_DEFAULTS = {"model": "installed", "source": "camera:0", "broker": NOWHERE}


@dataclass(frozen=True, slots=True)
class Derived:
    """Files by path under the root, all readable by root alone, and the name that the board goes by."""

    hostname: str
    files: dict[str, bytes] = field(repr=False)


def derive(card: Card, beside: dict[str, bytes], own_name: str, *, whole_board: bool) -> Derived:
    """Files for the agent and, with `whole_board`, for Wi-Fi, time and SSH.

    `beside` has the card's certificates by setting name; `own_name` is what a trap is called that has no name.
    """
    files = {f"{RUN}/trap.toml": _agent_settings(card, beside, own_name).encode()}
    files |= {f"{RUN}/{name}.pem": beside.get(name, b"") for name in SECRETS}
    if whole_board:
        files |= _board_files(card)
    return Derived(str(card.settings.get("trap", own_name)), files)


def _agent_settings(card: Card, beside: dict[str, bytes], own_name: str) -> str:
    found = {**_DEFAULTS, "trap": own_name, **card.settings}
    found = {name: value for name, value in found.items() if name not in SECRETS}
    found |= {name: f"{name}.pem" for name in beside}
    return "".join(f"{name} = {_as_toml(value)}\n" for name, value in sorted(found.items()))


def _as_toml(value: object) -> str:
    """Strings, numbers and booleans are written in TOML as in JSON, but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _board_files(card: Card) -> dict[str, bytes]:
    files = {}
    if card.wifi:
        files[f"{RUN}/wpa_supplicant.conf"] = _wpa_supplicant(card.wifi).encode()
    if card.network and card.network.ntp:
        files[TIME_SERVERS] = _timesyncd(card.network).encode()
    if card.ssh:
        files[f"{RUN}/authorized_keys"] = f"{card.ssh.key}\n".encode()
    return files


def _wpa_supplicant(wifi: Wifi) -> str:
    """wpa_supplicant.conf(5); the name in hex, so that no character needs quoting."""
    lines = [f"ssid={wifi.ssid.encode().hex()}", f"scan_ssid={int(wifi.hidden)}"]
    if wifi.password is None:
        lines.append("key_mgmt=NONE")
    else:
        key = wifi.password if len(wifi.password) == 64 else f'"{wifi.password}"'
        lines += [f"psk={key}", "key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE", "ieee80211w=1"]
    network = "".join(f"\t{line}\n" for line in lines)
    return f"ctrl_interface=/run/wpa_supplicant\ncountry={wifi.country}\nsae_pwe=2\nnetwork={{\n{network}}}\n"


def _timesyncd(network: Network) -> str:
    return f"[Time]\nNTP={' '.join(network.ntp)}\n"
