"""A trap that Home Assistant discovers: the payloads, its templates on real messages, and a real broker."""

import json
import threading

import jinja2
import numpy as np
import paho.mqtt.client as paho
from brokers import running_broker
from paho.mqtt.enums import CallbackAPIVersion
from trap_agent.home_assistant import HomeAssistant
from trap_agent.publisher import Link, Publisher
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.messages import Effort, Health, State
from waiting import until

from device.collectors import tiny_collector
from device.samples import CLASSES, WALL_MS, SetClock, draft
from device.test_outbox import ADDRESS, BOOT, opened
from device.test_publisher import BIRTH

HOME = HomeAssistant("homeassistant", ADDRESS, 60)
BASE = f"homeassistant/device/{ADDRESS.tenant}/{ADDRESS.trap}"


def window(counts: dict[str, int] | None = None):
    frames = 0 if counts is None else 10
    made = draft()(boot=BOOT, seq=1, duration_ms=60_000)
    effort = Effort(observed_s=0 if counts is None else 57, frames_seen=frames, frames_analysed=frames)
    return made.model_copy(update={"counts": counts, "effort": effort})


def shown(component: dict[str, object], payload: str) -> str:
    """What Home Assistant makes of a message: it renders the template with the parsed payload."""
    template = jinja2.Environment().from_string(str(component["value_template"]))
    return template.render(value_json=json.loads(payload))


def components() -> dict[str, dict[str, object]]:
    return json.loads(HOME.config(BIRTH).text)["components"]


def test_the_payload_has_what_device_discovery_asks_for():
    config = HOME.config(BIRTH)
    content = json.loads(config.text)
    assert (config.topic, config.is_retained) == (f"{BASE}/config", True)
    assert content["origin"]["name"] == "zancudo"
    assert content["device"]["identifiers"] == [f"zancudo_{ADDRESS.tenant}_{ADDRESS.trap}"]
    assert {one["platform"] for one in content["components"].values()} == {"sensor", "binary_sensor"}
    assert len({one["unique_id"] for one in content["components"].values()}) == len(content["components"])
    assert all("state_topic" in one and "name" in one for one in content["components"].values())


def test_each_class_shows_its_count_zero_included_and_a_blind_window_shows_none():
    counts = dict.fromkeys(CLASSES, 0) | {"Female": 3, "Out of Focus": 2}
    state = HOME.state(window(counts))
    assert shown(components()["count_female"], state.text) == "3"
    assert shown(components()["count_out_of_focus"], state.text) == "2"
    assert shown(components()["count_male"], state.text) == "0"
    assert shown(components()["coverage"], state.text) == "95.0"
    blind = HOME.state(window())
    assert shown(components()["count_female"], blind.text) == "None"
    assert shown(components()["coverage"], blind.text) == "0.0"


def test_a_count_expires_after_two_windows_and_a_half_in_home_assistant_and_on_the_broker():
    assert components()["count_female"]["expire_after"] == 150
    state = HOME.state(window())
    assert (state.expiry_s, state.is_retained) == (150, False)
    assert "expire_after" not in components()["online"]


def test_online_follows_the_traps_own_state_and_its_last_will():
    online = components()["online"]
    assert online["state_topic"] == ADDRESS.topic("state")
    for state, expected in (("online", "ON"), ("stopped", "OFF"), ("offline", "OFF")):
        message = State(trap=ADDRESS.trap, state=state, boot=BOOT, wall_ms=WALL_MS)
        assert shown(online, message.model_dump_json()) == expected


def test_health_is_shown_where_it_is_known():
    message = Health(trap=ADDRESS.trap, boot=BOOT, wall_ms=WALL_MS, humidity_percent=81.0).model_dump_json()
    assert shown(components()["humidity_percent"], message) == "81.0"
    assert shown(components()["air_celsius"], message) == "None"


def test_with_a_real_broker_the_config_is_retained_and_each_live_window_follows(tmp_path):
    heard: dict[str, list[paho.MQTTMessage]] = {}
    with running_broker(tmp_path) as broker, tiny_collector(broker.port), opened(tmp_path) as outbox:
        link = Link(BrokerAddress.parse(broker.url, Tls()), ADDRESS, None, BIRTH, home=HOME)
        publisher = Publisher(link, outbox, SetClock(), 60, np.random.default_rng(0))
        listener = paho.Client(CallbackAPIVersion.VERSION2, "home", protocol=paho.MQTTv5)
        listener.on_connect = lambda client, *_: client.subscribe("homeassistant/#", 1)
        listener.on_message = lambda _client, _data, message: heard.setdefault(message.topic, []).append(message)
        listener.connect("127.0.0.1", broker.port)
        listener.loop_start()
        publisher.start()
        until(lambda: f"{BASE}/config" in heard, "the device is announced")
        publisher.announce(outbox.store(draft()))
        until(lambda: f"{BASE}/state" in heard, "the window is shown")
        publisher.finish(10, threading.Event())
        listener.disconnect()
        listener.loop_stop()
    assert json.loads(heard[f"{BASE}/config"][0].payload)["device"]["name"] == ADDRESS.trap
    (state,) = heard[f"{BASE}/state"]
    assert json.loads(state.payload)["counts"] is None
    assert getattr(state.properties, "MessageExpiryInterval", 0) in (29, 30)
