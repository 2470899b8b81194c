"""Draw the two pictures of the book's first page: ``python tools/draw_front_page.py``.

Gradient descent walks over one bowl at three learning rates: far below the edge 2/L, below it and
above it. The first picture shows the paths, the second the loss after each step, measured
(markers) over what the theory of the chapter on gradient descent predicts (lines).
``tests/test_site.py`` draws them again and compares every coordinate.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from optlearn.functions import Quadratic
from optlearn.optimizers import GradientDescent
from optlearn.plotting import contours, paths, rate_panel, use_book_style
from optlearn.training import minimize

ASSETS = Path(__file__).resolve().parents[1] / "book" / "_assets"

CURVATURES = np.array([1.0, 10.0])
EDGE = 2 / CURVATURES.max()
RATES = {"far below the edge": 0.3, "below the edge": 0.9, "above the edge": 1.02}  # units of EDGE
STEPS = 28
# Along the two axes of the bowl. The loss is the same at all three, and the paths keep apart.
STARTS = np.array([[-1.8, -0.35], [-1.8, 0.35], [1.8, -0.35]])
TILT = np.pi / 7


def axes_of_the_bowl() -> np.ndarray:
    """Return the directions of least and greatest curvature, one a column."""
    return np.array([[np.cos(TILT), -np.sin(TILT)], [np.sin(TILT), np.cos(TILT)]])


def measured() -> tuple[Quadratic, np.ndarray, np.ndarray]:
    """Return the bowl, the three paths (steps + 1, 3, 2) and their losses (steps + 1, 3)."""
    turn = axes_of_the_bowl()
    bowl = Quadratic(turn @ np.diag(CURVATURES) @ turn.T)
    rates = EDGE * np.array(list(RATES.values()))
    path = minimize(bowl, STARTS @ turn.T, GradientDescent(rates[:, None]), STEPS)
    return bowl, path.theta, path.loss


def predicted() -> np.ndarray:
    """Return the losses of theory, (steps + 1, 3): each axis shrinks by 1 - eta lambda."""
    rates = EDGE * np.array(list(RATES.values()))
    factor = 1 - rates[:, None] * CURVATURES
    along = STARTS * factor ** np.arange(STEPS + 1)[:, None, None]
    return 0.5 * (CURVATURES * along**2).sum(axis=-1)


def draw() -> tuple[Figure, Figure]:
    """Return the two pictures."""
    use_book_style()
    bowl, theta, loss = measured()
    expected = predicted()
    np.testing.assert_allclose(loss, expected, rtol=1e-9)

    landscape = Figure(figsize=(4.6, 3.4))
    ax = landscape.add_subplot()
    ax.grid(visible=False)
    contours(ax, bowl, levels=12)
    ax.set(xlim=(-1.95, 1.95), ylim=(-1.4, 1.4), xlabel="$\\theta_1$", ylabel="$\\theta_2$")
    ax.set_aspect("equal")
    names = [f"{name}: {share:g} · 2/L" for name, share in RATES.items()]
    paths(ax, {name: theta[:, k] for k, name in enumerate(names)}, legend="none")

    curves = Figure(figsize=(4.6, 3.4))
    ax = curves.add_subplot()
    steps, every = np.arange(STEPS + 1), np.arange(0, STEPS + 1, 4)
    for k, name in enumerate(names):
        rate_panel(
            ax,
            steps,
            expected[:, k],
            loss[every, k],
            measured_x=every,
            xlabel="step",
            ylabel="loss",
            labels=(name, "_measured"),
            log="y",
            style=k,
            legend="none",
        )
    ax.set_ylim(2e-8, 20)
    ax.legend(loc="lower left", framealpha=0.95)
    return landscape, curves


def main(folder: Path = ASSETS) -> None:
    """Write ``front-paths.svg`` and ``front-losses.svg``."""
    for figure, name in zip(draw(), ("front-paths", "front-losses"), strict=True):
        with mpl.rc_context({"svg.hashsalt": name}):
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
