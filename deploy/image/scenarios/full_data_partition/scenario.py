"""The data partition is full: the trap stays up, says what it lost, and delivers again once there is space."""

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    stage.site.await_counts(1, 1200)
    guest.ask("fallocate -l $(df -B1 --output=avail /var | tail -1) /var/filler; cat /dev/zero > /var/filler2", 600)
    guest.sh("sleep 40", 120)
    stage.expect(guest.ask("systemctl is-system-running")[1].strip() != "maintenance", "the system goes on")
    guest.sh("rm -f /var/filler /var/filler2; sync")
    before = stage.site.counted()
    stage.site.await_counts(before + 2, 900)
    stage.settle(guest)
    guest.power_off()
