"""Who gets in and what it may say, with a real mosquitto behind the configuration that `trap-fleet init` writes."""

import os
import signal
import socket
import ssl
import subprocess
from datetime import timedelta

import pytest
from trap_contract.errors import DeliveryError
from trap_contract.topics import LEAVES
from trap_server.fleet.broker_rules import SAID_BY_TRAP, SAID_TO_TRAP
from trap_server.fleet.live_broker import enforce, reload
from waiting import until

from server.fleets import Peer, make_fleet, now, running_fleet, serving, write_pair

DENIED = "Not authorized"
OURS, THEIRS = "mt/v1/demo/a", "mt/v1/demo/b"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with running_fleet(tmp_path_factory.mktemp("fleet") / "f") as running:
        running.enrolled("a")
        running.enrolled("b")
        running.enrolled("a", tenant="other")
        yield running


@pytest.fixture
def trap(running):
    with running.peer(running.trap("a").card) as peer:
        yield peer


@pytest.fixture
def collector(running):
    with running.collector() as peer:
        yield peer


def test_every_leaf_of_the_contract_has_one_writer():
    assert sorted((*SAID_BY_TRAP, *SAID_TO_TRAP)) == sorted(LEAVES)


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_trap_writes_exactly_what_a_trap_says_and_the_collector_hears_it(trap, collector, leaf):
    collector.subscribe(f"mt/v1/+/+/{leaf}")
    answer = trap.publish(f"{OURS}/{leaf}", b"hello")
    if leaf in SAID_BY_TRAP:
        assert answer == "Success"
        until(lambda: (f"{OURS}/{leaf}", b"hello") in collector.heard, "the collector hears it")
    else:
        assert answer == DENIED


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_collector_writes_exactly_what_a_trap_is_told_and_the_trap_hears_it(trap, collector, leaf):
    trap.subscribe(f"{OURS}/{leaf}")
    answer = collector.publish(f"{OURS}/{leaf}", b"hello")
    if leaf in SAID_TO_TRAP:
        assert answer == "Success"
        until(lambda: (f"{OURS}/{leaf}", b"hello") in trap.heard, "the trap hears it")
    else:
        assert answer == DENIED


@pytest.mark.parametrize("leaf", LEAVES)
@pytest.mark.parametrize("place", [THEIRS, "mt/v1/other/a", "mt/v1/demo", "mt/v1/demo/a/a", "mt/v2/demo/a"])
def test_a_trap_writes_nothing_of_another_trap_or_tenant_or_tree(trap, place, leaf):
    assert trap.publish(f"{place}/{leaf}") == DENIED


def test_who_wrote_as_another_trap_is_in_the_log_of_a_broker_that_tells_all(tmp_path):
    with running_fleet(tmp_path / "f", verbose=False) as running:
        configuration = running.fleet.folder / "broker" / "mosquitto.conf"
        liar = running.enrolled("a").card
    configuration.write_text(configuration.read_text().replace("# log_type all", "log_type all"))
    with serving(running.fleet, verbose=False) as telling, telling.peer(liar) as peer:
        assert peer.publish(f"{THEIRS}/counts") == DENIED
        until(lambda: f"Denied PUBLISH from demo/a (d0, q1, r0, m1, '{THEIRS}/counts'" in telling.log, "it is logged")


def test_a_trap_hears_nothing_that_is_told_or_said_by_another(running, trap, collector):
    trap.subscribe("mt/#", "#", f"{THEIRS}/#", "mt/v1/+/+/counts", f"{OURS}/ack")
    with running.peer(running.trap("b").card) as other:
        assert [collector.publish(f"{THEIRS}/{leaf}") for leaf in SAID_TO_TRAP] == ["Success"] * len(SAID_TO_TRAP)
        assert [other.publish(f"{THEIRS}/{leaf}") for leaf in SAID_BY_TRAP] == ["Success"] * len(SAID_BY_TRAP)
    collector.publish(f"{OURS}/ack", b"end")
    until(lambda: (f"{OURS}/ack", b"end") in trap.heard, "the sentinel is heard")
    assert {topic.rpartition("/")[0] for topic, _ in trap.heard} == {OURS}


def test_a_will_in_the_name_of_another_trap_is_not_published(running, collector):
    collector.subscribe("mt/v1/+/+/state")
    with running.peer(running.trap("a").card, will=f"{THEIRS}/state") as liar:
        liar.client.socket().shutdown(socket.SHUT_RDWR)
        until(liar.closed.is_set, "the liar is gone")
    with running.peer(running.trap("b").card) as other:
        assert other.publish(f"{THEIRS}/state", b"mine") == "Success"
    until(lambda: (f"{THEIRS}/state", b"mine") in collector.heard, "the collector hears")
    assert (f"{THEIRS}/state", b"gone") not in collector.heard


def test_a_trap_that_takes_the_client_id_of_another_leaves_it_its_session(running):
    with running.peer(running.trap("b").card, client_id="demo-b") as victim:
        with running.peer(running.trap("a").card, client_id="demo-b") as thief:
            assert thief.publish(f"{OURS}/counts") != DENIED
            assert victim.publish(f"{THEIRS}/counts") != DENIED
        assert not victim.closed.is_set()


def test_a_client_without_a_certificate_is_refused(running):
    ca = running.trap("a").card / "ca.pem"
    assert not Peer(running.fleet.registry.port, ca, None).knock()


def test_there_is_no_plaintext_listener(running):
    ca = running.trap("a").card / "ca.pem"
    assert not Peer(running.fleet.registry.port, ca, None, tls=False).knock()
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout.splitlines()
    ours = [line for line in listening if f"pid={running.process.pid}," in line]
    assert all(f":{running.fleet.registry.port} " in line for line in ours)


def test_a_certificate_of_another_authority_is_refused(running, tmp_path):
    stranger = make_fleet(tmp_path / "stranger")
    card = stranger.folder / "collectors" / "collector"
    (card / "ca.pem").write_bytes(running.fleet.authority_pem)
    assert not running.peer(card, "collector").knock()


def test_a_broker_of_another_authority_is_refused_by_its_peers(running, tmp_path):
    stranger = make_fleet(tmp_path / "stranger")
    (tmp_path / "ca.pem").write_bytes(stranger.authority_pem)
    peer = Peer(running.fleet.registry.port, tmp_path / "ca.pem", running.trap("a").card / "trap.pem")
    assert not peer.knock()
    assert "certificate verify failed" in peer.why


def test_an_expired_certificate_is_refused(running, tmp_path):
    expired = write_pair(running, tmp_path / "late", "demo/late", "client", timedelta(days=-1))
    assert not running.peer(expired).knock()


def test_the_certificate_of_a_broker_opens_no_door(running, tmp_path):
    assert not running.peer(write_pair(running, tmp_path / "b", "collector", "broker", timedelta(days=1))).knock()


def test_a_trap_can_not_be_named_like_the_collector(running, tmp_path):
    """A trap's common name has a slash in it, a collector's never."""
    with running.peer(running.enrolled("collector", tenant="collector").card) as pretender:
        assert pretender.publish(f"{OURS}/ack") == DENIED


def test_whoever_is_refused_at_the_door_is_in_the_brokers_log(tmp_path):
    with running_fleet(tmp_path / "f", verbose=False) as running:
        ca, port = running.enrolled("a").card / "ca.pem", running.fleet.registry.port
        stranger = make_fleet(tmp_path / "stranger").folder / "collectors" / "collector"
        (stranger / "ca.pem").write_bytes(running.fleet.authority_pem)
        expired = write_pair(running, tmp_path / "late", "demo/late", "client", timedelta(days=-1))
        for peer, said in [
            (Peer(port, ca, None), "peer did not return a certificate"),
            (Peer(port, ca, None, tls=False), "wrong version number"),
            (running.peer(stranger, "collector"), "certificate verify failed"),
            (running.peer(expired), "certificate verify failed"),
        ]:
            before = running.log.count(said)
            assert not peer.knock()
            until(lambda before=before, said=said: running.log.count(said) > before, f"it says {said!r}")


def test_tls_below_1_2_is_refused(running):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.fleet.registry.port}", "-tls1_1"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=30)
    assert "Cipher is (NONE)" in done.stdout or done.returncode != 0


def test_a_revoked_trap_is_cut_off_at_once_and_refused_from_then_on_while_others_stay(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        bad, good = running.enrolled("a"), running.enrolled("b")
        will = f"{OURS}/state"
        with running.collector() as collector, running.peer(good.card) as other:
            collector.subscribe("mt/v1/+/+/state", "mt/v1/+/+/counts")
            with running.peer(bad.card, will=will) as peer:
                assert bad.revoke(now()) == 1
                enforce(bad, now())
                until(peer.closed.is_set, "its session is closed")
            until(lambda: (will, b"gone") in collector.heard, "the collector hears its will")
            assert not running.peer(bad.card).knock()
            assert other.publish(f"{THEIRS}/counts") == "Success"
            assert not collector.closed.is_set()
        assert "demo/a" in (running.fleet.folder / "broker" / "acl").read_text()


def test_a_revocation_alone_does_not_close_a_session_that_is_open(tmp_path):
    """Why `enforce` takes the session over: mosquitto 2.0.11 asks the list at the handshake only."""
    with running_fleet(tmp_path / "f") as running:
        bad = running.enrolled("a")
        with running.peer(bad.card) as peer:
            bad.revoke(now())
            reload(running.fleet)
            running.await_reload(1)
            assert peer.publish(f"{OURS}/counts") != DENIED


def test_a_connection_that_had_its_handshake_before_a_revocation_may_say_nothing_after_it(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        bad = running.enrolled("a")
        context = Peer(running.fleet.registry.port, bad.card / "ca.pem", bad.card / "trap.pem")._context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # its handshake ends when the broker has seen the certificate
        raw = socket.create_connection(("127.0.0.1", running.fleet.registry.port))
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as late:
            bad.revoke(now())
            enforce(bad, now())
            late.sendall(b"\x10\x15\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x08whatever")
            assert late.recv(1024)[:1] == b"\x20"  # CONNACK
            topic = f"{OURS}/counts".encode()
            packet = len(topic).to_bytes(2, "big") + topic + b"\x00\x01\x00x"
            late.sendall(b"\x32" + bytes([len(packet)]) + packet)
            until(lambda: "Denied PUBLISH from demo/a" in running.log, "what it says is denied")


def test_a_revoked_trap_that_is_enrolled_again_is_let_in_again(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        trap = running.enrolled("a")
        trap.revoke(now())
        enforce(trap, now())
        count = running.reloads
        trap.enrol(30, now())
        assert running.fleet.publish_rules(now())
        reload(running.fleet)
        running.await_reload(count + 1)
        with running.peer(trap.card) as peer:
            assert peer.publish(f"{OURS}/counts") != DENIED


def test_a_rotated_trap_may_use_both_certificates_until_the_old_one_is_revoked(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        trap = running.enrolled("a")
        old = tmp_path / "old"
        old.mkdir()
        for file in trap.card.iterdir():
            (old / file.name).write_bytes(file.read_bytes())
        trap.rotate(30, now())
        for folder in (old, trap.card):
            with running.peer(folder) as peer:
                assert peer.publish(f"{OURS}/counts") != DENIED
        assert trap.revoke(now(), only_superseded=True) == 1
        enforce(trap, now())
        assert not running.peer(old).knock()
        with running.peer(trap.card) as peer:
            assert peer.publish(f"{OURS}/counts") != DENIED


def test_with_an_expired_revocation_list_the_broker_refuses_everyone_until_it_is_renewed(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        trap = running.enrolled("a")
        running.fleet.publish_revocations(running.signer, now() - timedelta(days=3), days=1)
        reload(running.fleet)
        running.await_reload(1)
        assert not running.peer(trap.card).knock()
        assert not running.collector().knock()
        running.fleet.publish_revocations(running.signer, now())
        reload(running.fleet)
        running.await_reload(2)
        with running.peer(trap.card), running.collector():
            pass


def test_a_broker_that_does_not_run_is_named_and_the_revocation_holds_when_it_starts(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        trap = running.enrolled("a")
    trap.revoke(now())
    with pytest.raises(DeliveryError, match=r"mosquitto\.pid"):
        enforce(trap, now())
    with serving(running.fleet) as again:
        assert not again.peer(trap.card).knock()


def test_a_broker_that_does_not_take_the_list_is_not_called_obedient(tmp_path):
    """SIGHUP goes to a command that does nothing, so the broker keeps the old list."""
    with running_fleet(tmp_path / "f") as running:
        trap = running.enrolled("a")
        running.fleet.save(running.fleet.registry.model_copy(update={"reload": "true"}))
        trap.revoke(now())
        with pytest.raises(DeliveryError, match="does not take the new revocation list"):
            enforce(trap, now())


def test_a_reload_command_that_fails_is_said(tmp_path):
    fleet = make_fleet(tmp_path / "f", reload="sh -c 'echo no such unit >&2; exit 5'")
    with pytest.raises(DeliveryError, match="no such unit"):
        reload(fleet)


def test_a_pid_file_that_names_another_program_ends_no_program(tmp_path):
    fleet = make_fleet(tmp_path / "f")
    bystander = subprocess.Popen(["sleep", "60"])
    (fleet.folder / "broker" / "data" / "mosquitto.pid").write_text(str(bystander.pid))
    with pytest.raises(DeliveryError, match="names no mosquitto"):
        reload(fleet)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_broker_that_is_stopped_keeps_the_messages_that_wait_for_the_collector(tmp_path):
    with running_fleet(tmp_path / "f") as running:
        trap = running.enrolled("a")
        with running.collector() as collector:
            collector.subscribe("mt/v1/+/+/counts")
        with running.peer(trap.card) as peer:
            answers = [peer.publish(f"{OURS}/counts", b"%d" % number) for number in range(50)]
            assert answers == ["Success"] * 50
        os.kill(running.process.pid, signal.SIGTERM)
        running.process.wait()
        with serving(running.fleet) as again, again.collector() as collector:
            until(lambda: len(collector.heard) == 50, "all come")
