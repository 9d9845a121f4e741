"""Alerts told to a real HTTP server, a real SMTP conversation and a real broker."""

import email
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.policy import default
from http.server import BaseHTTPRequestHandler
from typing import Any

import paho.mqtt.subscribe
import pytest
from brokers import Broker
from trap_contract.broker import BrokerAddress, Tls
from trap_contract.errors import ConfigError, DeliveryError
from trap_deploy.ports import free_port
from trap_server.alerting.engine import Alert
from trap_server.alerting.senders import SIGNATURE, TOPIC, Mail, Mqtt, Webhook

ALERT = Alert("demo", "t1", "disk", "open", 1_790_000_000_000, "demo/t1: 80 MB\nof disk, ñandú", 80.0, id=7)
NOW_MS = 1_790_000_060_000


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def http_sink(status: int, got: list[tuple[dict[str, str], bytes]]) -> Iterator[str]:
    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Sink)) as port:
        yield f"http://127.0.0.1:{port}/hook"


class SmtpSink(socketserver.StreamRequestHandler):
    """The server's half of RFC 5321 that a message needs; it refuses receivers who say so."""

    def handle(self) -> None:
        self._say("220 sink")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self._say("354 go on")
                self.server.got.append(b"".join(iter(self.rfile.readline, b".\r\n")))  # type: ignore[attr-defined]
            refuses = verb == b"RCPT" and b"refuse" in line
            self._say("550 not here" if refuses else "221 bye" if verb == b"QUIT" else "250 sink")

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@contextmanager
def smtp_sink(got: list[bytes]) -> Iterator[str]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), SmtpSink)
    server.got = got  # type: ignore[attr-defined]
    with serving(server) as port:
        yield f"smtp://127.0.0.1:{port}"


def test_a_webhook_gets_json_that_its_secret_verifies():
    got: list[tuple[dict[str, str], bytes]] = []
    with http_sink(204, got) as url:
        Webhook(url, "secret").send(ALERT, NOW_MS)
    ((headers, body),) = got
    expected = hmac.new(b"secret", b"1790000060." + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"t=1790000060,v1={expected}"
    told = json.loads(body)
    assert (told["id"], told["state"], told["kind"], told["text"]) == (7, "open", "disk", ALERT.text)


def test_a_webhook_that_refuses_or_is_not_there_is_no_delivery():
    with http_sink(500, []) as url, pytest.raises(DeliveryError, match="answers 500") as refused:
        Webhook(f"{url}?token=hidden").send(ALERT, NOW_MS)
    assert "hidden" not in str(refused.value)
    with pytest.raises(DeliveryError, match=r"webhook 127\.0\.0\.1"):
        Webhook(f"http://127.0.0.1:{free_port()}").send(ALERT, NOW_MS)


def test_a_mail_arrives_whole_with_a_subject_on_one_line():
    got: list[bytes] = []
    with smtp_sink(got) as server:
        Mail(server, "traps@example.org", ("ana@example.org", "ben@example.org")).send(ALERT, NOW_MS)
    message = email.message_from_bytes(got[0], policy=default)
    assert message["Subject"] == "[open] disk: demo/t1: 80 MB of disk, ñandú"
    assert message["To"] == "ana@example.org, ben@example.org"
    assert ALERT.text in message.get_content().replace("\r\n", "\n")


def test_a_mail_that_one_receiver_refuses_or_no_server_takes_is_no_delivery():
    with smtp_sink([]) as server, pytest.raises(DeliveryError, match=r"refuse@example\.org"):
        Mail(server, "traps@example.org", ("ana@example.org", "refuse@example.org")).send(ALERT, NOW_MS)
    with pytest.raises(DeliveryError, match=r"mail server 127\.0\.0\.1"):
        Mail(f"smtp://127.0.0.1:{free_port()}", "a@b.org", ("c@d.org",)).send(ALERT, NOW_MS)
    with pytest.raises(ConfigError, match=r"smtp\+starttls"):
        Mail("mail.example.org", "a@b.org", ("c@d.org",))


def test_the_broker_keeps_the_newest_state_of_an_alert(broker: Broker):
    Mqtt(BrokerAddress.parse(broker.url, Tls())).send(ALERT, NOW_MS)
    kept = paho.mqtt.subscribe.simple(f"{TOPIC}/demo/t1/disk", port=broker.port, retained=True)
    assert json.loads(kept.payload)["value"] == 80.0


def test_a_broker_that_is_not_there_is_no_delivery():
    with pytest.raises(DeliveryError, match=r"broker mqtt://127\.0\.0\.1"):
        Mqtt(BrokerAddress.parse(f"mqtt://127.0.0.1:{free_port()}", Tls())).send(ALERT, NOW_MS)
