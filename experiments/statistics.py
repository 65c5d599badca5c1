"""Means over questions, with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1000
_LEVEL = 95.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean in per cent, and the bounds of its 95% bootstrap interval (Efron, 1979)."""

    mean: float
    low: float
    high: float


def estimate(values: Sequence[float] | NDArray[np.floating], seed: int = 0) -> Estimate:
    """The mean of shares between 0 and 1, in per cent, over at least one value."""
    shares = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    samples = generator.integers(0, len(shares), (_RESAMPLES, len(shares)))
    means = 100 * shares[samples].mean(axis=1)
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Estimate(*(round(float(value), 1) for value in (100 * shares.mean(), low, high)))
