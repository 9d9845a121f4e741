"""Without a camera the trap stays up and says so; plugged in, it counts without anybody's help."""

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    guest.wait("grep -q '\"code\": 6' /run/zancudo/condition.json", 900)
    stage.notes["status"] = stage.await_status(guest, "camera", 600)
    guest.sh("modprobe vivid node_types=0x1")
    stage.site.await_counts(1, 1200)
    guest.wait("grep -q '\"code\": 1' /run/zancudo/condition.json", 600)
    stage.settle(guest)
    guest.power_off()
