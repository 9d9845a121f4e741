"""What an operator may set of alerts: environment `TRAP_SERVER_ALERT_*`, where secrets belong, then defaults."""

from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from trap_contract.broker import BrokerAddress
from trap_contract.errors import ConfigError

from trap_server.alerting.rules import Limit, Limits
from trap_server.alerting.senders import Mail, Mqtt, Sender, Webhook

PREFIX = "TRAP_SERVER_ALERT_"


class AlertSettings(BaseSettings):
    """Whom to tell, and from which count on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    webhook: str | None = None
    webhook_secret: str | None = None
    mail_server: str | None = None
    mail_from: str = "zancudo@localhost"
    mail_to: str = ""
    """Addresses with commas between."""
    mqtt: bool = False
    count: Annotated[float, Field(gt=0)] | None = None
    """Mosquitoes in an hour that are too many; the alert closes at four fifths of it."""

    def limits(self) -> Limits:
        """The rules' limits."""
        return Limits(count=None if self.count is None else Limit(self.count, 0.8 * self.count))

    def senders(self, broker: BrokerAddress) -> list[Sender]:
        """Everybody to tell. Raises ConfigError for a mail server without receivers, or malformed."""
        found: list[Sender] = [Webhook(self.webhook, self.webhook_secret)] if self.webhook else []
        if self.mail_server:
            receivers = tuple(one.strip() for one in self.mail_to.split(",") if one.strip())
            if not receivers:
                raise ConfigError(f"{PREFIX}MAIL_TO is empty: write who gets the mail")
            found.append(Mail(self.mail_server, self.mail_from, receivers))
        return [*found, Mqtt(broker)] if self.mqtt else found


def read_alert_settings() -> AlertSettings:
    """The environment's. Raises ConfigError naming the variable, without its value, which may be secret."""
    try:
        return AlertSettings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error
