"""With a key in trap.toml its owner, and nobody else, gets in over SSH; the host's key survives a boot."""

from trap_deploy.boot.stage import Stage
from trap_deploy.image.filesystems import run as run_tool


def run(stage: Stage) -> None:
    key = stage.folder / "id"
    run_tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    stage.provision(PUBLIC_KEY=key.with_suffix(".pub").read_text().strip())
    guest = stage.boot()
    guest.wait("systemctl is-active ssh", 300)
    first = guest.sh("cat /var/lib/ssh/host_key.pub")
    secret = key.read_text().strip()
    guest.sh(f"umask 077; cat > /tmp/id <<'END'\n{secret}\nEND")
    options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    name = guest.sh(f"ssh -i /tmp/id {options} root@127.0.0.1 hostname 2>/dev/null", 120)
    stage.expect(name.strip() == "yard-03", "the key's owner gets in")
    stage.expect(guest.ask(f"ssh {options} root@127.0.0.1 true", 120)[0], "nobody gets in without the key")
    guest.power_off()
    guest = stage.boot()
    guest.wait("systemctl is-active ssh", 300)
    stage.expect(guest.sh("cat /var/lib/ssh/host_key.pub") == first, "the host's key is the same after a boot")
    guest.power_off()
