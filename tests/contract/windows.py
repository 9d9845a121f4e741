"""Windows of every shape, for property tests."""

from hypothesis import strategies as st
from trap_contract.messages import (
    MAX_SEQ,
    Clock,
    Corrected,
    Effort,
    Gap,
    Latency,
    ModelRef,
    Occupancy,
    Window,
)

boots = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
seqs = st.integers(1, MAX_SEQ)
_counts = st.integers(0, 1_000_000)
_milliseconds = st.integers(0, MAX_SEQ)
_seconds = st.floats(0, 1e9)
_scores = st.floats(0, 1)
_classes = st.text(min_size=1, max_size=64)
_corrected = st.builds(Corrected, estimate=_seconds, low=_seconds, high=_seconds)
_gaps = st.builds(
    Gap, reason=st.sampled_from(["no_frame", "unreadable", "overload", "start", "stop"]), seconds=_seconds
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Any valid window: counts are null exactly when no frame was analysed."""
    frames = draw(_counts)
    counts = draw(st.dictionaries(_classes, _counts, max_size=6)) if frames else None
    return Window(
        boot=draw(boots),
        seq=draw(seqs),
        kernel_boot=draw(st.text(max_size=64)),
        wall_ms=draw(_milliseconds),
        mono_ms=draw(_milliseconds),
        duration_ms=draw(st.integers(1, MAX_SEQ)),
        clock=draw(st.builds(Clock, synced=st.booleans(), source=st.sampled_from(["ntp", "gnss", "rtc", "none"]))),
        semantics=draw(st.sampled_from(["occupancy", "arrivals", "catch_delta"])),
        counts=counts,
        occupancy=draw(
            st.dictionaries(_classes, st.builds(Occupancy, mean=st.floats(0, 1e6), max=_counts), max_size=3)
        ),
        corrected=draw(st.dictionaries(_classes, _corrected, max_size=2)),
        board=draw(st.sampled_from([None, "emptied", "moved"])),
        confidence=draw(st.dictionaries(_classes, _scores, max_size=3)),
        effort=Effort(
            observed_s=draw(_seconds),
            frames_seen=draw(_counts),
            frames_analysed=frames,
            frames_dropped=draw(_counts),
            gaps=tuple(draw(st.lists(_gaps, max_size=3))),
        ),
        model=ModelRef(
            id=draw(st.text(min_size=1, max_size=128)),
            sha256=draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
            threshold=draw(_scores),
            backend=draw(st.text(max_size=64)),
        ),
        latency_ms=draw(st.none() | st.builds(Latency, p50=_seconds, p95=_seconds)),
    )
