"""The text of mosquitto's configuration and access rules. Pure."""

from collections.abc import Iterable
from pathlib import Path

from trap_contract.topics import (
    ACK,
    ANSWER,
    BIRTH,
    COMMAND,
    COUNTS,
    DESIRED,
    EVIDENCE,
    HEALTH,
    LOST,
    PROGRESS,
    RESEND,
    ROOT,
    SETTINGS,
    STATE,
)

SAID_BY_TRAP = (COUNTS, STATE, BIRTH, HEALTH, LOST, ANSWER, PROGRESS, EVIDENCE)
SAID_TO_TRAP = (ACK, RESEND, COMMAND, DESIRED, SETTINGS)

KEEPING = """\
# Stock limits drop messages that the broker has already acknowledged (1000 queued, then silence).
max_queued_messages 100000
max_queued_bytes 268435456
max_inflight_messages 1000
max_packet_size 262144
max_keepalive 120
persistent_client_expiration 14d

# A save writes everything that waits. Saving at each change, a broker whose collector has been away for ten minutes
# writes a hundred megabytes a second; what a killed one forgets, traps send again (docs/decisions/0012).
persistence true
autosave_interval 60
"""
"""How much a broker of ours keeps, and how often it saves it."""

_CONFIGURATION = """\
# Written by trap-fleet. TLS only: there is no listener that a client without a certificate of this fleet gets into.
listener {port}
tls_version tlsv1.2
cafile {folder}/ca.pem
certfile {folder}/broker.pem
keyfile {folder}/broker.key
crlfile {folder}/crl.pem
require_certificate true
allow_anonymous false

# User name and client id are the certificate's common name, TENANT/TRAP: nobody can take over another's session.
use_identity_as_username true
use_username_as_clientid true
acl_file {folder}/acl

{keeping}persistence_location {folder}/data/
pid_file {folder}/data/mosquitto.pid

# Who is refused at the door is logged. To see also who writes where it may not ("Denied PUBLISH"), take the # away:
# every message is some lines then.
# log_type all
"""


def configuration(folder: Path, port: int, user: str | None) -> str:
    """mosquitto.conf; `user` is whom a broker started by root becomes."""
    text = _CONFIGURATION.format(folder=folder, port=port, keeping=KEEPING)
    return text if user is None else f"{text}user {user}\n"


def access_rules(collectors: Iterable[str], outcasts: Iterable[str] = ()) -> str:
    """The ACL: an allow-list of leaves. %u is TENANT/TRAP; a collector's name has no slash, so no pattern fits it.

    `outcasts` are revoked names: denied here too, for the broker asks the revocation list at the handshake only.
    """
    lines = ["# Written by trap-fleet."]
    for name in collectors:
        lines += [f"user {name}", "topic read $SYS/#"]
        lines += [f"topic read {ROOT}/+/+/{leaf}" for leaf in (*SAID_BY_TRAP, *SAID_TO_TRAP)]
        lines += [f"topic write {ROOT}/+/+/{leaf}" for leaf in SAID_TO_TRAP]
    for name in outcasts:
        lines += [f"user {name}", "topic deny #"]
    lines += [f"pattern write {ROOT}/%u/{leaf}" for leaf in SAID_BY_TRAP]
    lines += [f"pattern read {ROOT}/%u/{leaf}" for leaf in SAID_TO_TRAP]
    return "\n".join(lines) + "\n"
