"""A trap as a device of Home Assistant: what to publish where, by its MQTT device discovery (2024.11 and newer).

https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Its topics lie outside the trap's own tree:
PREFIX/device/TENANT/TRAP/config, retained, says which sensors there are; .../state has the last window. A sensor
expires when windows stop coming, so that an old count is never shown as a present one.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from trap_contract.messages import Birth, Window
from trap_contract.topics import HEALTH, STATE, TrapAddress

_LEAST_EXPIRY_S: Final = 30
_VITALS: Final = (
    ("soc_celsius", "Board temperature", "°C", "temperature"),
    ("air_celsius", "Air temperature", "°C", "temperature"),
    ("humidity_percent", "Humidity", "%", "humidity"),
    ("battery_percent", "Battery", "%", "battery"),
)


@dataclass(frozen=True, slots=True)
class Post:
    """One message that is not the trap's protocol."""

    topic: str
    text: str
    is_retained: bool = False
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """The trap at this address, below the discovery `prefix`; health comes every `health_s`."""

    prefix: str
    trap: TrapAddress
    health_s: float

    def config(self, birth: Birth) -> Post:
        """Which sensors this trap has: a count of each class, how well was looked, its state and health."""
        name = f"zancudo_{self.trap.tenant}_{self.trap.trap}"
        content = {
            "device": {
                "identifiers": [name],
                "name": self.trap.trap,
                "manufacturer": "zancudo",
                "model": birth.board or "trap",
                "sw_version": birth.agent_version,
            },
            "origin": {"name": "zancudo", "sw_version": birth.agent_version},
            "qos": 1,
            "components": {key: {**one, "unique_id": f"{name}_{key}"} for key, one in self._sensors(birth).items()},
        }
        return Post(self._topic("config"), json.dumps(content), is_retained=True)

    def state(self, window: Window) -> Post:
        """The last window: null counts where nothing was seen, which Home Assistant shows as unknown."""
        content = {
            "counts": window.counts,
            "coverage_percent": round(100_000 * window.effort.observed_s / window.duration_ms, 1),
            "semantics": window.semantics,
            "wall_ms": window.wall_ms,
        }
        return Post(self._topic("state"), json.dumps(content), expiry_s=_expiry_s(window.duration_ms / 1000))

    def _sensors(self, birth: Birth) -> dict[str, dict[str, Any]]:
        window = {"state_topic": self._topic("state"), "expire_after": _expiry_s(birth.window_s)}
        counts = {
            f"count_{_slug(label)}": {
                **_sensor(label, f"value_json.counts[{json.dumps(label)}] if value_json.counts else none"),
                **window,
                "icon": "mdi:bug",
                "unit_of_measurement": "insects",
            }
            for label in birth.classes
        }
        coverage = {
            **_sensor("Coverage", "value_json.coverage_percent"),
            **window,
            "unit_of_measurement": "%",
            "entity_category": "diagnostic",
        }
        return {**counts, "coverage": coverage, "online": self._online(), **self._vitals()}

    def _online(self) -> dict[str, Any]:
        """It never expires: the broker itself says that a trap is gone."""
        return {
            "platform": "binary_sensor",
            "name": "Online",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self.trap.topic(STATE),
            "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
        }

    def _vitals(self) -> dict[str, dict[str, Any]]:
        return {
            key: {
                **_sensor(name, f"value_json.{key}"),
                "state_topic": self.trap.topic(HEALTH),
                "expire_after": _expiry_s(self.health_s),
                "unit_of_measurement": unit,
                "device_class": kind,
                "entity_category": "diagnostic",
            }
            for key, name, unit, kind in _VITALS
        }

    def _topic(self, leaf: str) -> str:
        return f"{self.prefix}/device/{self.trap.tenant}/{self.trap.trap}/{leaf}"


def _sensor(name: str, expression: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": name,
        "state_class": "measurement",
        "value_template": f"{{{{ {expression} }}}}",
    }


def _slug(label: str) -> str:
    return re.sub("[^a-z0-9]+", "_", label.lower()).strip("_")


def _expiry_s(every_s: float) -> int:
    """Two that are missing are more than a delay."""
    return max(_LEAST_EXPIRY_S, round(2.5 * every_s))
