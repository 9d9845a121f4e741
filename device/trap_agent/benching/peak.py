"""What a core could do at best, by calculation: operations it starts in a cycle, times its clock.

A fused multiply-add counts as two operations. Arm: the software optimisation guides of the cores; x86: one multiplying
instruction on each of two ports, as wide as the registers, or half as wide where a core does 512 bits in halves. A
core that is not listed has no known peak.
"""

from trap_agent.benching.conditions import Machine

_X86_INT8 = {"amx_int8": 2048, "avx512_vnni": 256, "avx_vnni": 128, "avx2": 64}
"""AVX2 alone needs two multiplying instructions (vpmaddubsw, vpmaddwd) for what one does with VNNI."""
_X86_FLOAT = {"avx512f": 64, "fma": 32}
_IN_HALVES = "AuthenticAMD 25"
"""Zen 4, the one core of its family with AVX-512, does 512 bits as two times 256 on Zen 3's units: as much a cycle as
with 256 (A. J. Yee, Zen5's AVX512 Teardown, 2024, numberworld.org/blogs/2024_8_7_zen5_avx512_teardown)."""
_ARM_FLOAT = {"0xd03": 8, "0xd07": 8, "0xd08": 8, "0xd0b": 16, "0xd0d": 16, "0xd41": 16, "0xd42": 16}
"""Cortex-A53, A57, A72 (Pi 4): 128 bits of multiply-add a cycle; A76 (Pi 5), A77, A78, A78AE (Orin): twice that."""

_DOT_PRODUCT = 4
_NO_DOT_PRODUCT = 2
"""int8 operations in the place of one float: with SDOT, and at best without it."""


def operations_per_cycle(machine: Machine, precision: str) -> int | None:
    """Of one core, in the arithmetic of a bundle's precision: int8, or else float32."""
    is_int8 = precision == "int8"
    if not machine.parts:
        return _of_x86(machine, _X86_INT8 if is_int8 else _X86_FLOAT)
    rates = [_ARM_FLOAT.get(part) for part in machine.parts]
    if None in rates:
        return None
    best = max(rate for rate in rates if rate is not None)
    gain = _DOT_PRODUCT if "asimddp" in machine.features else _NO_DOT_PRODUCT
    return best * gain if is_int8 else best


def peak_giga(machine: Machine, precision: str, megahertz: float | None) -> float | None:
    """Thousand million operations a second of one core, or None where it can't be known."""
    rate = operations_per_cycle(machine, precision)
    return None if rate is None or megahertz is None else rate * megahertz / 1e3


def _of_x86(machine: Machine, table: dict[str, int]) -> int | None:
    feature = next((feature for feature in table if feature in machine.features), None)
    if feature is None:
        return None
    is_halved = feature.startswith("avx512") and machine.family == _IN_HALVES
    return table[feature] // 2 if is_halved else table[feature]
