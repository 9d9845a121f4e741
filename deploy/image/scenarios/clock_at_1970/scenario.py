"""A board without a clock begins at the image's own time, not in 1970, and takes the time from the network."""

import time

from trap_deploy.boot.ntp import serve_time
from trap_deploy.boot.stage import Stage


def run(stage: Stage) -> None:
    stage.provision()
    guest = stage.boot(clock="1970-01-01")
    floor = int(guest.sh("stat -c %Y /usr/lib/clock-epoch"))
    now = int(guest.sh("date +%s"))
    stage.expect(now >= floor > 1_700_000_000, f"the clock {now} is not before the image was made {floor}")
    stage.site.await_counts(1, 1200)
    with serve_time():
        guest.sh("systemctl restart systemd-timesyncd")
        guest.wait("test -e /run/systemd/timesync/synchronized", 300)
        off_s = abs(int(guest.sh("date +%s")) - time.time())
        stage.notes["off_after_ntp_s"] = round(off_s, 1)
        stage.expect(off_s < 30, f"the clock is right: {off_s} s off")
        stage.site.await_counts(stage.site.counted() + 2, 600)
        stage.settle(guest)
    guest.power_off()
