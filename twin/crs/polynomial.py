"""Replaces a map projection by a certified polynomial, so that millions of vertices cost only multiplications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

FloatArray = npt.NDArray[np.float64]
#: (x, y) → (n, 6): point and unit normal.
ExactSurface = Callable[[FloatArray, FloatArray], FloatArray]

_DEGREES = range(2, 11)
_NODES = 2 * _DEGREES[-1]
_CHECK_POINTS = 41
_LANES = 512
#: Bounds are widened by this share, so that a vertex on the edge (or a repair just beyond it) stays inside.
_MARGIN = 0.01


@dataclass(frozen=True, slots=True)
class Surface:
    """A curved surface and its normals as polynomials of two scaled coordinates.

    Attributes:
        centre, scale: u = (x - centre) * scale lies in [-1, 1] over the bounds, for both coordinates.
        point: (3, terms) coefficients of the point, monomials in the order of `_powers`.
        normal: (3, terms) coefficients of the normal.
        residual_m: Largest deviation seen at the check points, height included.
    """

    centre: tuple[float, float]
    scale: tuple[float, float]
    point: FloatArray
    normal: FloatArray
    residual_m: float

    def evaluate(self, x: FloatArray, y: FloatArray, h: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """point + h * normal, (n, 3), and the rows outside the bounds (or not finite), whose values mean nothing."""
        out = np.empty((len(x), 3))
        outside = np.empty(len(x), np.bool_)
        _evaluate(x, y, h, *self.centre, *self.scale, self.point, self.normal, out, outside)
        return out, np.flatnonzero(outside)


def fit_surface(
    exact: ExactSurface, bounds: tuple[float, float, float, float], tolerance_m: float, height_m: float
) -> Surface | None:
    """The polynomial of lowest degree that stays within the tolerance at the check points, or None.

    Args:
        exact: What to fit.
        bounds: (x_min, y_min, x_max, y_max).
        tolerance_m: Largest deviation of point + h * normal allowed at a check point for any |h| up to `height_m`.
        height_m: See there.
    """
    centre, half = _box(bounds)
    check_u = np.linspace(-1, 1, _CHECK_POINTS)
    check = _sample(exact, centre, half, check_u)
    if not np.isfinite(check[2]).all():
        return None
    nodes_u = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    nodes = _sample(exact, centre, half, nodes_u)
    if not np.isfinite(nodes[2]).all():
        return None
    point = _fit(nodes, check, slice(0, 3), 0.5 * tolerance_m)
    normal = _fit(nodes, check, slice(3, 6), 0.5 * tolerance_m / height_m)
    if point is None or normal is None:
        return None
    return Surface(centre, (1 / half[0], 1 / half[1]), point[0], normal[0], point[1] + height_m * normal[1])


def _box(bounds: tuple[float, float, float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre and half size of the bounds, widened so that they are never empty."""
    x0, y0, x1, y1 = bounds
    longest = max(x1 - x0, y1 - y0)
    floor = longest * _MARGIN or max(abs(x0), abs(y0), 1.0) * 1e-6
    half = tuple(max((high - low) / 2 * (1 + _MARGIN), floor) for low, high in ((x0, x1), (y0, y1)))
    return ((x0 + x1) / 2, (y0 + y1) / 2), (half[0], half[1])


def _sample(
    exact: ExactSurface, centre: tuple[float, float], half: tuple[float, float], u: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scaled coordinates and exact values on the square grid u x u."""
    a, b = (grid.ravel() for grid in np.meshgrid(u, u))
    return a, b, exact(centre[0] + a * half[0], centre[1] + b * half[1])


def _powers(degree: int) -> list[tuple[int, int]]:
    """Exponents of (u, v) in the order of the coefficients: by falling powers of v, then of u."""
    return [(i, j) for j in range(degree, -1, -1) for i in range(degree - j, -1, -1)]


def _design(a: FloatArray, b: FloatArray, degree: int) -> FloatArray:
    return np.column_stack([a**i * b**j for i, j in _powers(degree)])


def _fit(
    nodes: tuple[FloatArray, FloatArray, FloatArray],
    check: tuple[FloatArray, FloatArray, FloatArray],
    columns: slice,
    tolerance: float,
) -> tuple[FloatArray, float] | None:
    """Coefficients (3, terms) and residual of the lowest degree that passes, or None."""
    spectrum = _spectrum(nodes[2][:, columns])
    for degree in _DEGREES:
        solution = _monomials(spectrum, degree)
        deviation = np.einsum("nt,tc->nc", _design(check[0], check[1], degree), solution) - check[2][:, columns]
        worst = float(np.sqrt((deviation**2).sum(axis=1)).max())
        if worst <= tolerance:
            return np.ascontiguousarray(solution.T), worst
    return None


def _spectrum(values: FloatArray) -> FloatArray:
    """Chebyshev coefficients (in v, in u, column) of values at the square grid of Chebyshev nodes.

    Sums by einsum, not by a linear-algebra library, whose results change with its number of threads.
    """
    k = np.arange(_NODES)
    basis = np.cos(np.outer(k, np.pi * (k + 0.5) / _NODES)) * (2 - (k[:, None] == 0)) / _NODES
    grid = values.reshape(_NODES, _NODES, -1)
    return np.asarray(np.einsum("jl,lic->jic", basis, np.einsum("ik,lkc->lic", basis, grid)), np.float64)


def _monomials(spectrum: FloatArray, degree: int) -> FloatArray:
    """Coefficients (terms, columns) in the order of `_powers` of the Chebyshev series cut at a total degree."""
    order = np.arange(degree + 1)
    cut = spectrum[: degree + 1, : degree + 1] * (order[:, None] + order <= degree)[..., None]
    change = np.zeros((degree + 1, degree + 1))
    for i in order:
        change[i, : i + 1] = chebyshev.cheb2poly(np.eye(degree + 1)[i, : i + 1])
    powers = np.einsum("jq,jpc->qpc", change, np.einsum("ip,jic->jpc", change, cut))
    return np.stack([powers[j, i] for i, j in _powers(degree)])


@numba.njit(cache=True, error_model="numpy", nogil=True)
def _evaluate(x, y, h, cx, cy, sx, sy, point, normal, out, outside):  # type: ignore[no-untyped-def]
    """Horner in v of Horner in u, on runs of `_LANES` points so that the inner loops become vector instructions."""
    u, v = np.empty(_LANES), np.empty(_LANES)
    row, total = np.empty(_LANES), np.empty(_LANES)
    n = len(x)
    point_degree, normal_degree = _degree(point.shape[1]), _degree(normal.shape[1])
    for start in range(0, n, _LANES):
        m = min(_LANES, n - start)
        for k in range(m):
            u[k] = (x[start + k] - cx) * sx
            v[k] = (y[start + k] - cy) * sy
            outside[start + k] = not (abs(u[k]) <= 1.0 and abs(v[k]) <= 1.0)
        for axis in range(3):
            _horner(u, v, m, normal[axis], normal_degree, row, total)
            for k in range(m):
                out[start + k, axis] = total[k] * h[start + k]
            _horner(u, v, m, point[axis], point_degree, row, total)
            for k in range(m):
                out[start + k, axis] += total[k]


@numba.njit(cache=True)
def _degree(terms):  # type: ignore[no-untyped-def]
    degree = 0
    while (degree + 1) * (degree + 2) // 2 < terms:
        degree += 1
    return degree


@numba.njit(cache=True)
def _horner(u, v, m, coefficients, degree, row, total):  # type: ignore[no-untyped-def]
    at = 0
    for k in range(m):
        total[k] = 0.0
    for j in range(degree, -1, -1):
        first = coefficients[at]
        for k in range(m):
            row[k] = first
        at += 1
        for _ in range(degree - j):
            c = coefficients[at]
            for k in range(m):
                row[k] = row[k] * u[k] + c
            at += 1
        for k in range(m):
            total[k] = total[k] * v[k] + row[k]
