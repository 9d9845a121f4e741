"""Rollouts, the pure part: rings, the gate, and every step, whatever the traps come to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from trap_contract.errors import ConfigError
from trap_contract.topics import TrapAddress
from trap_server.rollouts.engine import ENDED, Member, Position, step
from trap_server.rollouts.gate import Stretch, change, control_of, judge, ring_moved
from trap_server.rollouts.plan import Gate, Plan, assign, share_of

DEADLINE_MS = 10**12
RUNNING = Position("running", 0, DEADLINE_MS)
STATES = (None, "downloading", "trial", "active", "rolled_back", "refused", "failed", "expired")


def fleet(count: int) -> list[TrapAddress]:
    return [TrapAddress("demo", f"t-{number}") for number in range(count)]


def told(count: int, ring: int = 0, **changes: object) -> list[Member]:
    return [Member(one, ring, **{"offered_ms": 1, **changes}) for one in fleet(count)]


@given(count=st.integers(1, 300), seed=st.text(max_size=8))
def test_shares_are_cumulative_never_empty_and_every_trap_has_one_ring(count, seed):
    rings = assign(fleet(count), ("1%", "10%", "100%"), seed)
    sizes = [sum(ring <= number for ring in rings.values()) for number in range(3)]
    assert set(rings) == set(fleet(count))
    assert sizes[0] >= 1
    assert sizes[0] <= max(1, count / 100 + 1)
    assert sizes[1] <= max(1, count / 10 + 1)


def test_named_traps_come_first_and_an_unknown_name_is_said():
    rings = assign(fleet(10), ("t-3,t-4", "50%", "100%"), "seed")
    assert {one.trap for one, ring in rings.items() if ring == 0} == {"t-3", "t-4"}
    assert sum(ring == 1 for ring in rings.values()) == 3
    with pytest.raises(ConfigError, match="no trap t-99"):
        assign(fleet(3), ("t-1,t-99",), "seed")


def test_the_draw_depends_on_the_seed_alone_so_that_it_is_not_always_the_same_traps():
    draws = {
        frozenset(one for one, ring in assign(fleet(100), ("5%", "100%"), f"s{n}").items() if not ring)
        for n in range(9)
    }
    assert len(draws) == 9
    assert assign(fleet(100), ("5%", "100%"), "s") == assign(reversed(fleet(100)), ("5%", "100%"), "s")


@pytest.mark.parametrize("rings", [[], ["0%"], ["101%"], ["10%", "10%"], ["20%", "10%"], ["Roof 3"], ["a", "a"]])
def test_rings_that_make_no_plan_are_refused(rings):
    with pytest.raises(ValidationError):
        Plan(rings=rings)


def test_a_ring_is_a_share_or_names():
    assert (share_of("12.5%"), share_of("roof-1,roof-2")) == (0.125, None)


@given(
    rings=st.lists(st.integers(0, 2), min_size=1, max_size=30),
    data=st.data(),
    now_ms=st.integers(0, 2 * DEADLINE_MS),
    rate=st.floats(0.01, 50),
)
def test_whatever_traps_say_nobody_is_told_twice_too_fast_or_ahead_of_its_ring(rings, data, now_ms, rate):
    members = [
        Member(
            one,
            ring,
            data.draw(st.one_of(st.none(), st.integers(0, now_ms))),
            data.draw(st.sampled_from(STATES)),
            data.draw(st.sampled_from(("unknown", "good", "bad"))),
        )
        for one, ring in zip(fleet(len(rings)), rings, strict=True)
    ]
    plan = Plan(per_minute=rate)
    position = Position("running", data.draw(st.integers(0, 2)), DEADLINE_MS)
    decision = step(plan, position, members, now_ms)
    by_address = {one.address: one for one in members}
    assert all(by_address[one].offered_ms is None for one in decision.offer)
    assert all(by_address[one].ring == decision.position.ring for one in decision.offer)
    assert position.ring <= decision.position.ring <= position.ring + 1
    assert len(decision.offer) <= max(1, int(rate))
    assert decision.position.state == "running" or not decision.offer
    assert decision.position.state == "running" or decision.position.reason


@pytest.mark.parametrize("state", ["planned", "paused", *sorted(ENDED)])
def test_only_a_rollout_that_runs_moves(state):
    position = replace(RUNNING, state=state)
    assert step(Plan(), position, [Member(one, 0) for one in fleet(3)], 1).position == position


def test_the_rate_holds_over_any_minute_and_below_one_a_minute_too():
    members = [Member(one, 0) for one in fleet(10)]
    assert len(step(Plan(rings=("100%",), per_minute=4), RUNNING, members, 100_000).offer) == 4
    recent = [replace(one, offered_ms=50_000) for one in members[:3]] + members[3:]
    assert len(step(Plan(rings=("100%",), per_minute=4), RUNNING, recent, 100_000).offer) == 1
    slow = Plan(rings=("100%",), per_minute=0.1)
    assert step(slow, RUNNING, recent, 100_000).offer == ()
    assert len(step(slow, RUNNING, recent, 50_000 + 600_001).offer) == 1


def test_more_unwell_traps_than_the_plan_allows_end_it_also_in_an_earlier_ring():
    plan = Plan(rings=("50%", "100%"), abort_share=0.1)
    nine_well = [replace(one, state="active", verdict="good") for one in told(9)]
    assert step(plan, RUNNING, [*nine_well, *told(1)], 2).position.state == "running"
    ill = [replace(one, state="rolled_back") for one in told(2)]
    decision = step(plan, replace(RUNNING, ring=1), [*nine_well[:8], *ill, *told(5, ring=1)], 2)
    assert decision.position.state == "aborted"
    assert decision.position.reason == "2 of 10 traps of ring 1 are unwell with it"
    assert decision.offer == ()


def test_an_abort_gets_a_deadline_of_its_own_so_that_traps_that_are_away_hear_of_it():
    plan = Plan(days=2)
    decision = step(plan, RUNNING, [replace(one, state="failed") for one in told(2)], 1000)
    assert decision.position.deadline_ms == 1000 + 2 * 24 * 3_600_000


def test_traps_that_refuse_pause_it_for_the_model_is_not_to_blame():
    decision = step(Plan(), RUNNING, [replace(one, state="refused") for one in told(5)], 2)
    assert decision.position.state == "paused"
    assert "5 of 5 traps of ring 1 refuse it" in decision.position.reason


def test_the_next_ring_waits_until_enough_traps_are_well():
    plan = Plan(rings=("50%", "100%"), reach_share=0.8)
    well = [replace(one, state="active", verdict="good") for one in told(4)]
    waiting = [Member(TrapAddress("demo", "w"), 1)]
    assert step(plan, RUNNING, [*well[:3], *told(2), *waiting], 2).position.ring == 0
    decision = step(plan, RUNNING, [*well, *told(1), *waiting], 2)
    assert (decision.position.ring, decision.offer) == (1, (waiting[0].address,))


def test_it_is_done_when_the_last_ring_is_reached_and_expired_when_its_deadline_is():
    plan = Plan(rings=("100%",))
    well = [replace(one, state="active", verdict="good") for one in told(4)]
    assert step(plan, RUNNING, well, 2).position == replace(RUNNING, state="done", reason="4 of 4 are well")
    assert step(plan, RUNNING, told(4), DEADLINE_MS).position.state == "expired"


def stretch(*counts: int, share: float = 1.0, celsius: float | None = None) -> Stretch:
    heat = () if celsius is None else (celsius,) * 5
    return Stretch(60.0 * len(counts), 60.0 * len(counts) * share, counts, len(counts), heat)


BEFORE = stretch(*[3, 4, 5, 4] * 10, celsius=60)


@pytest.mark.parametrize(
    ("after", "control", "verdict", "why"),
    [
        (stretch(*[4] * 12), 0.0, "good", "as before"),
        (stretch(*[4] * 9), 0.0, "unknown", "9 of 10 windows"),
        (stretch(*[0] * 12), 0.0, "bad", "mean count 4.00 -> 0.00"),
        (stretch(*[20] * 12), 0.0, "bad", "mean count 4.00 -> 20.00"),
        (stretch(*[0] * 12), -3.0, "good", "as before"),  # night ended for everybody
        (stretch(*[4] * 12), -3.0, "bad", "elsewhere x0.12"),  # and not for this model
        (stretch(*[4] * 12, share=0.7), 0.0, "bad", "coverage fell from 100% to 70%"),
        (stretch(*[4] * 2, celsius=85), 0.0, "bad", "85 degrees Celsius"),
        (stretch(*[4] * 2, celsius=73), 0.0, "bad", "+13"),
    ],
)
def test_the_gate_says_what_is_bad_and_why(after, control, verdict, why):
    found = judge(BEFORE, after, control, Gate(), is_soaked=True)
    assert (found[0], why in found[1]) == (verdict, True), found


def test_good_is_said_only_of_a_trap_that_was_watched_long_enough():
    assert judge(BEFORE, stretch(*[4] * 12), 0.0, Gate(), is_soaked=False)[0] == "unknown"


def test_a_trap_that_counted_nothing_before_is_judged_by_what_can_be_known():
    assert judge(Stretch(), stretch(*[4] * 12), 0.0, Gate(), is_soaked=True)[0] == "good"
    assert change(Stretch(), BEFORE) is None
    assert control_of([None, 1.0, 3.0, None]) == 2.0


@given(counts=st.lists(st.integers(0, 60), min_size=20, max_size=60), factor=st.integers(0, 60))
def test_the_gate_never_blames_a_trap_for_a_change_that_all_traps_share(counts, factor):
    after = stretch(*[round(count * factor / 10) for count in counts])
    moved = change(stretch(*counts), after)
    assert judge(stretch(*counts), after, moved or 0.0, Gate(), is_soaked=True)[0] == "good"


def test_a_ring_whose_distribution_moved_is_seen_unless_it_moved_everywhere():
    before, after = [2, 3] * 100, [0, 9] * 100
    assert "population stability index" in (ring_moved(before, after, ([], []), Gate()) or "")
    assert ring_moved(before, after, (before, after), Gate()) is None
    assert ring_moved(before[:50], after[:50], ([], []), Gate()) is None  # too few to say
