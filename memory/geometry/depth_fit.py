"""Brings a new depth map to the scale of what is known: a robust fit in log depth where both see the same.

Models that read depth off one picture give it up to a scale, many up to a shift of inverse depth as well. With z-depth
``new`` of such a map, what is fitted is

    1 / depth = 1 / (scale * new) + shift

``scale`` (over 0) is in scene units for each unit of the map; ``shift`` is in 1 / scene units, so 0 leaves the map its
shape. Both are found where ``new`` and the known depth are of the same pixels, by the least difference of the logs of
depth, so that near and far count by the share that they are off. A fixed set of candidates is judged by a cost that
grows ever less with the difference, so that what most pixels agree upon is found whatever the others say (things that
moved, borders of objects); iteratively re-weighted least squares with Tukey's biweight refines it. Nothing is drawn at
random. Known pixels that are farther than the new map says cost less than those that are nearer: they may be hidden
there by what nobody had seen before, while what stands in front would have been seen.

Known pixels that are all about as far away tell scale and shift together, not apart. So the shift is held at 0 as if it
were known to be within SHIFT_SPREAD of the inverse of the median depth: the pixels overrule that where they can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

LEAST_PIXELS = 48
LEAST_SHARE = 0.02
"""Of the new map's pixels that have depth: fewer shared ones say too little."""

MOST_RESIDUAL = 0.15
"""As a share of depth. A map that is off by more than a retrieval or a view could bear is no use."""

LEAST_AGREEING = 0.3
"""Share of the shared pixels that must agree."""

MOST_AGAINST = 0.4
"""Share of the shared pixels that may be nearer than the new map says by more than it is off itself."""

SHIFT_SPREAD = 0.3

MOST_SHIFT = 0.75
"""Shift as a share of the inverse of the median depth. Beyond that the map itself has no say: noise fits, too."""

FLATTENED, OF_ITS_OWN = 0.3, 0.15
"""From this shift on, as a share of the inverse of the median depth, a map must agree with so many more of the shared
pixels (a share) than one single distance does: else a piece of flat wall fits anything."""

_READ = 6_000
"""Shared pixels that are looked at, in even steps, and ..."""
_JUDGED = 1_500
"""... those by which candidates are judged."""
_ROUNDS = 12
_BIWEIGHT = 4.685
_TIGHT, _WILD = 0.02, 0.3
"""As shares of depth: differences that hardly cost anything, and those beyond which more costs no more."""
_HIDDEN = 0.6
"""The most that a known pixel costs that is farther than the new map says, beside one that is nearer."""
_FLOOR = 0.005
"""Noise below this share of depth is not believed: maps are kept in 16 bits and looked up between pixels."""
_INDEPENDENT = 60.0
"""How many pixels' worth all pixels are when weighed against SHIFT_SPREAD: neighbours err together."""


class DepthMisfit(ValueError):
    """A depth map that cannot be joined to what is known; the message says why and what to do."""


class DepthApart(DepthMisfit):
    """A depth map that shows too little of what is known: nothing speaks against it, and nothing tells its scale."""


@dataclass(frozen=True, eq=False)
class DepthFit:
    """A depth map in the scale of what was known.

    ``depth`` (h, w) float32 is z-depth in scene units, NaN where it is unknown, inf where the map has inf (sky).
    ``scale`` and ``shift`` are as in the module's text. ``residual`` is the quality: by what share of depth pixels that
    agree are off (standard deviation); 0.03 means about 3 %. ``agreeing`` is the share of the ``shared`` pixels that
    lie within three of these.
    """

    depth: NDArray[np.float32]
    scale: float
    shift: float
    residual: float
    agreeing: float
    shared: int


def fit_depth(
    new: NDArray[np.floating[Any]],
    known: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]] | None = None,
    *,
    with_shift: bool = True,
    most_residual: float = MOST_RESIDUAL,
) -> DepthFit:
    """``new`` (h, w) brought to the scale of ``known`` (..., h, w): one known map, or several that are all believed.

    Both are z-depth of the same camera's pixels; what is not finite or not above 0 is unknown. ``weight`` has the shape
    of ``known`` and says how much each pixel counts, 0 to 1 (all alike if left out), such as a view's confidence.
    ``with_shift`` False fits the scale alone, for maps that are metric or off by a scale only. ``most_residual`` is the
    residual beyond which a fit is refused.

    Raises ``DepthMisfit`` if the residual is too large or too few agree, its kind ``DepthApart`` if too few pixels are
    shared, and ``ValueError`` for other shapes.
    """
    given, there = np.asarray(new, dtype=np.float64), np.asarray(known, dtype=np.float64)
    if given.ndim != 2 or there.shape[-2:] != given.shape:
        raise ValueError(f"The new depth has the shape {given.shape}, the known one {there.shape}: expected (h, w) and "
                         "(..., h, w) of the same pixels.")
    worth = np.ones_like(there) if weight is None else np.asarray(weight, dtype=np.float64)
    if worth.shape != there.shape:
        raise ValueError(f"The weight has the shape {worth.shape}, expected {there.shape} as the known depth.")
    has = _above_0(given)
    maps = there.reshape(-1, *given.shape)
    rows = np.flatnonzero((_above_0(maps) & has & (worth.reshape(maps.shape) > 0)).ravel())
    pixels = rows % given.size
    return fit_samples(
        given, given.ravel()[pixels], maps.ravel()[rows], worth.ravel()[rows], len(np.unique(pixels)),
        with_shift=with_shift, most_residual=most_residual,
    )


def fit_samples(
    new: NDArray[np.floating[Any]],
    found: NDArray[np.floating[Any]],
    known: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]],
    shared: int,
    *,
    with_shift: bool = True,
    most_residual: float = MOST_RESIDUAL,
) -> DepthFit:
    """``new`` (h, w) brought to scale by points that it shows: its depth there ``found`` (n,), theirs ``known`` (n,).

    ``weight`` (n,) says how much each counts; together they are worth ``shared`` pixels of the map. Else as
    ``fit_depth``, which this is for depth that does not lie on the map's own pixels.

    Raises ``DepthMisfit`` as ``fit_depth`` does.
    """
    given = np.asarray(new, dtype=np.float64)
    has = _above_0(given)
    least = max(LEAST_PIXELS, round(LEAST_SHARE * int(has.sum())))
    if shared < least:
        raise DepthApart(f"Only {shared} pixels of the new depth show something that is known, and {least} are needed "
                         "to tell its scale. Let the camera go on from where it has looked, or move less at a time.")
    if len(found) < LEAST_PIXELS:
        raise DepthMisfit("The new depth is unknown, or torn to pieces, where it shows what is known. Use a better "
                          "depth model, or look at the pictures of the segment.")
    rows = np.linspace(0, len(found) - 1, min(len(found), _READ)).astype(np.intp)
    inverse, target, worth = 1 / found[rows], np.log(known[rows]), np.asarray(weight, dtype=np.float64)[rows]
    scale, shift = _fitted(inverse.astype(np.float64), target.astype(np.float64), worth, with_shift)
    left = _left(inverse, target, scale, shift)
    residual = _noise(np.abs(left), worth)
    most = max(3 * residual, 4 * _FLOOR)
    agreeing = float(worth[np.abs(left) <= most].sum() / worth.sum())
    against = float(worth[left < -most].sum() / worth.sum())
    own = abs(shift) * np.median(np.exp(target))
    if own > MOST_SHIFT or (own > FLATTENED and agreeing < _as_flat(target, worth, most) + OF_ITS_OWN):
        raise DepthMisfit("The new depth has the shape of what is known only when nearly all of its own is taken out: "
                          "it is of another place, or near and far are the wrong way round. Use a better depth model, "
                          "or the other meaning of its grey.")
    if residual > most_residual:
        raise DepthMisfit(f"The new depth is off by {residual:.0%} from what is known, also after the best fit, and "
                          f"{most_residual:.0%} is allowed. Use a better depth model, or a camera path that the film "
                          "really follows.")
    if agreeing < LEAST_AGREEING or against > MOST_AGAINST:
        raise DepthMisfit(f"Only {agreeing:.0%} of what both see agrees, and {against:.0%} speaks against it: the new "
                          "depth is of another place or another camera. Look at the segment; it may not show what was "
                          "asked for.")
    depth = in_scale(given, scale, shift)
    return DepthFit(depth, scale, shift, residual, agreeing, shared)


def in_scale(new: NDArray[np.floating[Any]], scale: float, shift: float = 0.0) -> NDArray[np.float32]:
    """A map (..., h, w) of z-depth in scene units, by the ``scale`` and ``shift`` of the module's text.

    What the map does not know, and what a negative shift puts behind infinity, is NaN; where the map is inf, this is.
    """
    given = np.asarray(new, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = 1 / (scale * np.where(_above_0(given), given, np.nan)) + shift
        return np.where(np.isposinf(given), np.inf, np.where(near > 0, 1 / near, np.nan)).astype(np.float32)


def _above_0(depth: Reals) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.isfinite(depth) & (depth > 0)


def _left(inverse: Reals, target: Reals, scale: Reals | float, shift: Reals | float) -> Reals:
    """Difference (...,) of log depth that a scale and shift leave; as large as can be where depth has no end."""
    return np.asarray(target + np.log(np.maximum(inverse / scale + shift, 1e-12)))


def _as_flat(target: Reals, weight: Reals, most: float) -> float:
    """The largest share of known log depth (n,) that lies within ``most`` of one distance."""
    order = np.argsort(target, kind="stable")
    ordered, total = target[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    ends = np.searchsorted(ordered, ordered + 2 * most, side="right")
    return float((total[ends] - total[:-1]).max() / total[-1])


def _weighted_quantile(values: Reals, weight: Reals, share: float) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, total[-1] * share)])


def _noise(left: Reals, weight: Reals) -> float:
    """Standard deviation of the differences (n,) that agree, from their median; the nearest three in ten begin it."""
    noise = _weighted_quantile(left, weight, 0.3) / 0.385
    for _ in range(5):
        within = left <= max(4 * _FLOOR, 3 * noise)
        noise = 1.4826 * _weighted_quantile(left[within], weight[within], 0.5) if within.any() else noise
    return noise


def _fitted(inverse: Reals, target: Reals, weight: Reals, with_shift: bool) -> tuple[float, float]:
    """Scale and shift from the inverse of new depth and the logarithm of known depth, all (n,)."""
    scale, shift = _most_agreed(inverse, target, with_shift)
    held = np.median(inverse) / scale * SHIFT_SPREAD
    for _ in range(_ROUNDS):
        left = _left(inverse, target, scale, shift)
        noise = max(_FLOOR, _noise(np.abs(left), weight))
        sure = np.clip(1 - (left / (_BIWEIGHT * noise)) ** 2, 0, None) ** 2 * weight
        sure *= _INDEPENDENT / max(sure.sum(), 1e-12) / noise**2
        # left = target + log(inverse / scale + shift), so its slopes by log scale and by shift are these.
        whole = np.maximum(inverse / scale + shift, 1e-12)
        by_scale, by_shift = -(inverse / scale) / whole, 1 / whole
        if not with_shift:
            step = np.array([-(sure * by_scale * left).sum() / (sure * by_scale**2).sum(), 0.0])
        else:
            cross = (sure * by_scale * by_shift).sum()
            normal = np.array([[(sure * by_scale**2).sum(), cross], [cross, (sure * by_shift**2).sum() + held**-2]])
            slope = np.array([(sure * by_scale * left).sum(), (sure * by_shift * left).sum() + shift / held**2])
            step = -np.linalg.solve(normal, slope)
        scale *= float(np.exp(np.clip(step[0], -0.5, 0.5)))
        shift += float(step[1])
        if abs(step[0]) < 1e-7 and abs(step[1]) * scale < 1e-7 * np.median(inverse):
            break
    return float(scale), float(shift)


def _most_agreed(inverse: Reals, target: Reals, with_shift: bool) -> tuple[float, float]:
    """The scale and shift that cost least, among those that two pixels each (or one) ask for."""
    rows = np.linspace(0, len(inverse) - 1, min(len(inverse), _JUDGED)).astype(np.intp)
    inverse, target = inverse[rows], target[rows]
    scales = np.exp(np.quantile(target + np.log(inverse), np.linspace(0.01, 0.99, 99)))
    shifts = np.zeros_like(scales)
    if with_shift:
        # Pairs of one nearer and one farther pixel, for a shift is the difference between near and far.
        order = np.argsort(inverse, kind="stable")
        third = max(1, len(order) // 3)
        far, near = order[:third], order[-third:]
        steps = np.arange(400)
        a = far[(steps * 0.61803398875 % 1 * third).astype(int)]
        b = near[(steps * 0.75487766625 % 1 * third).astype(int)]
        apart = inverse[b] - inverse[a]
        with np.errstate(divide="ignore", invalid="ignore"):
            steepness = (np.exp(-target[b]) - np.exp(-target[a])) / apart
            moved = np.exp(-target[a]) - steepness * inverse[a]
            sound = (steepness > 0) & np.isfinite(moved) & (np.abs(moved) < np.median(inverse) * steepness)
        scales, shifts = np.append(scales, 1 / steepness[sound]), np.append(shifts, moved[sound])
    left = _left(inverse, target, scales[:, None], shifts[:, None])
    cost = np.log1p((np.clip(left, -_WILD, _WILD) / _TIGHT) ** 2)
    cost = np.where(left > 0, np.minimum(cost, _HIDDEN * np.log1p((_WILD / _TIGHT) ** 2)), cost).mean(axis=1)
    held = shifts / (np.median(inverse) / scales * SHIFT_SPREAD)
    best = int(np.argmin(cost + held**2 / _INDEPENDENT))
    return float(scales[best]), float(shifts[best])
