"""Counts come from a video device of the kernel (vivid), through the agent's own device rules."""

from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot()
    guest.sh("modprobe vivid node_types=0x1")
    guest.wait("test -c /dev/video0", 60)
    stage.site.await_counts(2, 1200)
    stage.notes["camera"] = guest.sh("cat /sys/class/video4linux/video0/name").strip()
    check = stage.site.check()
    stage.notes["stored"] = check["stored"]
    stage.settle(guest)
    guest.power_off()
