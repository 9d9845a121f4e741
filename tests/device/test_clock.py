import uuid

from trap_agent.clock import Moment, SystemClock, kernel_boot_id


def test_the_system_clock_never_runs_backwards():
    clock = SystemClock()
    readings = [clock.now().mono_s for _ in range(100)]
    assert readings == sorted(readings)


def test_a_kernel_that_can_not_be_asked_counts_as_not_synced():
    clock = SystemClock()
    clock._adjtimex = None
    assert clock.now().clock().model_dump() == {"synced": False, "source": "none"}


def test_only_a_disciplined_kernel_clock_counts_as_synced():
    clock = SystemClock()
    for state, is_synced in ((0, True), (1, True), (4, True), (5, False), (-1, False)):
        clock._adjtimex = lambda _buffer, state=state: state
        assert clock.now().is_synced is is_synced


def test_the_kernel_boot_id_is_the_kernels():
    assert uuid.UUID(kernel_boot_id())


def test_a_moment_dates_another_monotonic_time_by_its_own_wall_clock():
    assert Moment(50.0, 1_000_000, is_synced=True).wall_ms_at(45.5) == 995_500
