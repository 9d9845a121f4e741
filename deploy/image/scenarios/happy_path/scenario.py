"""A provisioned card boots, has its whole space, counts rendered frames, and every count is stored."""

from trap_deploy.boot.stage import Stage, guest_times, since


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.notes["probe_s"] = since(guest)
    stage.site.await_counts(1, 1200)
    stage.notes["first_count_stored_s"] = since(guest)
    stage.notes["guest_at_first_count"] = guest_times(guest)
    stage.counting(guest)
    stage.expect(guest.sh("hostname").strip() == "yard-03", "the host is called as the trap")
    stage.expect("trap.toml: good" in stage.status(guest), "trap-status.txt says that the card is good")
    size_mb = int(guest.sh("df -m --output=size /var | tail -1"))
    stage.expect(size_mb > 1000, f"the data partition has grown: {size_mb} MB")
    stage.expect(guest.ask("ss -ltn | grep -q ':22 '")[0], "nobody listens for SSH")
    stage.expect("root:*" in guest.sh("cut -d: -f1,2 /etc/shadow"), "root has no password")
    stage.notes["exposure"] = guest.sh("systemd-analyze security --no-pager trap-agent.service | tail -1").strip()
    stage.healthy(guest)
    stage.settle(guest)
    guest.power_off()
