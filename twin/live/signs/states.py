"""Traffic lights: what a value means against its thresholds, with hysteresis over the ticks before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.live.signs.definition import Indicator, Threshold

STATES = ("good", "warn", "alarm", "unknown")
"""`unknown` where there is no value; an indicator without thresholds is always good."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def states(one: Indicator, values: Floats) -> Ints:
    """The state at the last of several moments.

    A state begins at `enter` and ends at `leave`. A moment without a value changes nothing.

    Args:
        one: For its thresholds.
        values: (t, g) the values of consecutive moments, the last one last.

    Returns:
        (g,) index into `STATES`.
    """
    held = np.zeros(values.shape[1], dtype=np.int64)
    sign = -1.0 if one.better == "higher" else 1.0
    for value in values:
        found = np.zeros_like(held)
        for level, limit in ((1, one.warn), (2, one.alarm)):
            found[_reached(limit, value * sign, sign, held >= level)] = level
        held = np.where(np.isfinite(value), found, held)
    return np.where(np.isfinite(values[-1]), held, STATES.index("unknown"))


def _reached(limit: Threshold | None, value: Floats, sign: float, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a threshold is reached, or was and has not been left."""
    if limit is None:
        return np.zeros(len(value), dtype=np.bool_)
    return (value >= limit.enter * sign) | (held & (value > limit.leave * sign))


def ticks(one: Indicator, moment_ms: int) -> list[int]:
    """The moments over which the hysteresis runs: whole multiples of `every_ms`, then the moment itself."""
    last = (moment_ms - 1) // one.every_ms * one.every_ms
    return [last - back * one.every_ms for back in reversed(range(one.ticks))] + [moment_ms]
