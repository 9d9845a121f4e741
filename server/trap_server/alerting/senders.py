"""Tell somebody: webhook, e-mail, MQTT. Each sends one alert or raises DeliveryError; the caller tries again later."""

import hashlib
import hmac
import json
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import httpx
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from trap_contract.broker import BrokerAddress
from trap_contract.errors import ConfigError, DeliveryError

from trap_server.alerting.engine import Alert

PATIENCE_S = 10.0
SIGNATURE = "X-Zancudo-Signature"
TOPIC = "zancudo/alerts"
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Sender(Protocol):
    """One way to tell."""

    @property
    def name(self) -> str:
        """What `told` remembers it by."""

    def send(self, alert: Alert, now_ms: int) -> None:
        """Deliver, or raise DeliveryError."""


def payload(alert: Alert) -> bytes:
    """What a program is told: JSON. The pair of `id` and `state` tells a repetition."""
    told = asdict(alert)
    del told["told"]
    return json.dumps(told, sort_keys=True, ensure_ascii=False).encode()


def signature(secret: str, now_ms: int, body: bytes) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 of `SECONDS.BODY`, so that a receiver can refuse what is forged or old."""
    seconds = str(now_ms // 1000)
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """POSTs JSON, signed when there is a secret."""

    url: str
    secret: str | None = None
    name: str = "webhook"

    def send(self, alert: Alert, now_ms: int) -> None:
        """Any answer of the 200s is a delivery."""
        body = payload(alert)
        headers = {"content-type": "application/json"}
        if self.secret:
            headers[SIGNATURE] = signature(self.secret, now_ms, body)
        try:
            answer = httpx.post(self.url, content=body, headers=headers, timeout=PATIENCE_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DeliveryError(f"webhook {self._host}: {error}") from error
        if not answer.is_success:
            raise DeliveryError(f"webhook {self._host} answers {answer.status_code}")

    @property
    def _host(self) -> str:
        """Its address without what may be secret."""
        return urlsplit(self.url).hostname or "without a host"


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends by SMTP; `server` is smtp://, smtp+starttls:// or smtps://[USER:PASSWORD@]HOST[:PORT]."""

    server: str
    sender: str
    receivers: tuple[str, ...]
    name: str = "mail"

    def __post_init__(self) -> None:
        parts = urlsplit(self.server)
        if parts.scheme not in SMTP_PORTS or not parts.hostname:
            raise ConfigError(
                "the mail server must be smtp://, smtp+starttls:// or smtps://[USER:PASSWORD@]HOST[:PORT]"
            )

    def send(self, alert: Alert, now_ms: int) -> None:  # noqa: ARG002  the server stamps it
        """The server has taken it for every receiver."""
        host = urlsplit(self.server).hostname
        try:
            with self._connection() as connection:
                refused = connection.send_message(self._message(alert))
        except (smtplib.SMTPException, OSError) as error:
            raise DeliveryError(f"mail server {host}: {error}") from error
        if refused:
            raise DeliveryError(f"mail server {host} refuses {', '.join(refused)}")

    def _connection(self) -> smtplib.SMTP:
        """Connected, encrypted where the scheme says so, with the server's certificate checked, and logged in."""
        parts = urlsplit(self.server)
        host, port = parts.hostname or "", parts.port or SMTP_PORTS[parts.scheme]
        own_name = socket.gethostname()  # smtplib would ask the domain name system, which a field network lacks
        if parts.scheme == "smtps":
            context = ssl.create_default_context()
            connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, own_name, timeout=PATIENCE_S, context=context)
        else:
            connection = smtplib.SMTP(host, port, own_name, timeout=PATIENCE_S)
        if parts.scheme == "smtp+starttls":
            connection.starttls(context=ssl.create_default_context())
        if parts.username:
            connection.login(unquote(parts.username), unquote(parts.password or ""))
        return connection

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = " ".join(f"[{alert.state}] {alert.kind}: {alert.text}".split())
        message["From"] = self.sender
        message["To"] = ", ".join(self.receivers)
        message.set_content(f"{alert.text}\n\n{payload(alert).decode()}\n")
        return message


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Publishes each alert, retained, on `zancudo/alerts/TENANT/TRAP/KIND`."""

    broker: BrokerAddress
    name: str = "mqtt"

    def send(self, alert: Alert, now_ms: int) -> None:  # noqa: ARG002  the alert has its own times
        """The broker has taken it; paho reports a refusal as published, so the reason code decides."""
        answered, reasons = threading.Event(), list[ReasonCode]()

        def on_publish(_client: Any, _data: Any, _mid: int, reason: ReasonCode, _properties: Any) -> None:
            reasons.append(reason)
            answered.set()

        client = self._client(on_publish)
        try:
            client.connect(self.broker.host, self.broker.port)
            client.loop_start()
            client.publish(f"{TOPIC}/{alert.tenant}/{alert.trap}/{alert.kind}", payload(alert), qos=1, retain=True)
            answered.wait(PATIENCE_S)
        except (OSError, ValueError) as error:
            raise DeliveryError(f"broker {self.broker}: {error}") from error
        finally:
            with suppress(OSError):
                client.disconnect()
            client.loop_stop()
        if not reasons or reasons[0].is_failure:
            raise DeliveryError(f"broker {self.broker}: {reasons[0] if reasons else 'no answer'}")

    def _client(self, on_publish: Callable[..., None]) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.on_publish = on_publish
        if self.broker.username is not None:
            client.username_pw_set(self.broker.username, self.broker.password)
        if (context := self.broker.tls_context()) is not None:
            client.tls_set_context(context)
        return client
