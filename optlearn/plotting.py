r"""The book's figures: landscapes, paths over them, loss curves, and theory over measurement.

The chapters call these functions where a plot would take more than five lines. They take arrays
(and, for a landscape, a test function) and draw on the axes they are given, so that every number
in a figure is one that the chapter has computed and can assert. Nothing numeric imports this
module.

Two cues tell curves apart, never colour alone: the colours of Okabe and Ito, and a line style or
a marker of their own. The k-th label has the same look in every function here.

References
----------
Okabe and Ito, "Color Universal Design (CUD): how to make figures and presentations that are
friendly to colorblind people", 2002.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from optlearn._checks import Array, check_array, check_choice, check_integer
from optlearn._landscape import Landscape, animate, contours, paths
from optlearn._rate_sweep import rate_sweep
from optlearn._style import (
    arrays_by_label,
    check_axes,
    draw_legend,
    label_axes,
    look,
    use_book_style,
)

__all__ = [
    "Landscape",
    "animate",
    "contours",
    "digits",
    "loss_curves",
    "paths",
    "rate_panel",
    "rate_sweep",
    "use_book_style",
]


def loss_curves(
    ax: Axes,
    curves: Mapping[str, Array],
    *,
    x: Array | Mapping[str, Array] | None = None,
    band: str = "sd",
    log: bool = True,
    xlabel: str = "step",
    ylabel: str = "loss",
    legend: str = "best",
) -> Axes:
    """Draw the mean of several runs over steps, and how far the runs lie apart.

    The band reaches one sample standard deviation (divisor: seeds - 1) below and above the mean.
    A line ends where a run is not finite. On the log scale a band that reaches zero or below
    goes down to the edge of the figure.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    curves : mapping of label to array, shape (seeds, steps) or (steps,)
        Losses (or accuracies); a single run has no band.
    x : array, shape (steps,), or mapping of label to such arrays, optional
        What the losses are drawn over; 0, 1, 2, … by default.
    band : {"sd", "range", "none"}
        One standard deviation, or from the lowest to the highest run, or no band.
    log : bool
        Logarithmic y axis; its label then says so.
    xlabel, ylabel : str
        Labels of the axes, with units where there are any.
    legend : str
        A place as matplotlib names it, or ``"above"`` the axes, or ``"none"``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or `band` is none of the three.

    Examples
    --------
    >>> runs = np.array([[3.0, 1.0, 0.5], [5.0, 2.0, 0.7]])
    >>> ax = loss_curves(Figure().add_subplot(), {"two seeds": runs})
    >>> ax.get_lines()[0].get_ydata().tolist(), ax.get_ylabel()
    ([4.0, 1.5, 0.6], 'loss (log scale)')
    """
    check_axes(ax)
    check_choice("band", band, ("sd", "range", "none"))
    for k, (label, array) in enumerate(arrays_by_label("curves", curves).items()):
        if array.ndim not in (1, 2):
            raise ValueError(
                f"curves[{label!r}] must have shape (seeds, steps) or (steps,), got {array.shape}"
            )
        runs = np.atleast_2d(array)
        over = _abscissa(x, label, runs.shape[1])
        runs = np.where(np.isfinite(runs).all(axis=0), runs, np.nan)
        mean = runs.mean(axis=0)
        style = look(k)
        ax.plot(
            over,
            mean,
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker if len(mean) <= 25 else None,
            label=label,
            zorder=3,
        )
        if band != "none" and len(runs) > 1:
            with np.errstate(over="ignore"):  # losses of a run about to overflow
                sd = runs.std(axis=0, ddof=1)
            low, high = (
                (mean - sd, mean + sd) if band == "sd" else (runs.min(axis=0), runs.max(axis=0))
            )
            ax.fill_between(over, low, high, color=style.color, alpha=0.2, linewidth=0, zorder=2)
    label_axes(ax, xlabel, ylabel, "y" if log else "none")
    draw_legend(ax, legend, ax.get_legend_handles_labels()[0])
    return ax


def _abscissa(x: Array | Mapping[str, Array] | None, label: str, steps: int) -> Array:
    """Return what the curve `label` is drawn over, shape (steps,)."""
    if x is None:
        return np.arange(steps)
    if isinstance(x, Mapping):
        if label not in x:
            raise ValueError(f"x must have the label {label!r}, got {', '.join(map(repr, x))}")
        x, name = x[label], f"x[{label!r}]"
    else:
        name = "x"
    over = check_array(name, x, targets=True)
    if over.shape != (steps,):
        raise ValueError(f"{name} has shape {over.shape}, curves[{label!r}] has {steps} steps")
    return over


def rate_panel(
    ax: Axes,
    x: Array,
    predicted: Array,
    measured: Array,
    *,
    xlabel: str,
    ylabel: str,
    labels: tuple[str, str] = ("theory", "measured"),
    errors: Array | None = None,
    measured_x: Array | None = None,
    log: str = "none",
    style: int = 0,
    legend: str = "best",
) -> Axes:
    """Draw theory over measurement: a line for what is predicted, open markers for what was seen.

    Call it again on the same axes with another `style` to add a second pair.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : array, shape (k,), increasing
        Where the theory is evaluated.
    predicted : array, shape (k,)
        The theory.
    measured : array, shape (k,), or (m,) with `measured_x`
        The measurements.
    xlabel, ylabel : str
        Labels of the axes, with units where there are any.
    labels : (str, str)
        Legend entries of theory and measurement.
    errors : array of values >= 0, shape as `measured`, optional
        Half the length of the error bars, for instance a standard deviation over seeds.
    measured_x : array, shape (m,), optional
        Where the measurements were made, if not at `x`.
    log : {"none", "x", "y", "both"}
        The axes that are logarithmic; their labels then say so.
    style : int >= 0
        Which colour, line style and marker to use.
    legend : str
        A place as matplotlib names it, or ``"above"`` the axes, or ``"none"``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a value is not finite, `x` does not increase, or a value that is not
        positive is to go on a log scale.

    Examples
    --------
    >>> eta = np.array([0.1, 0.2, 0.4])
    >>> ax = rate_panel(
    ...     Figure().add_subplot(), eta, 1 - eta, 1 - eta, xlabel="learning rate", ylabel="rate"
    ... )
    >>> ax.get_legend_handles_labels()[1]
    ['theory', 'measured']
    """
    check_axes(ax)
    check_choice("log", log, ("none", "x", "y", "both"))
    k = look(check_integer("style", style, minimum=0))
    if np.shape(labels) != (2,):
        raise ValueError(f"labels must be (theory, measurement), got {labels!r}")
    x, predicted = _pair("x", x, "predicted", predicted, log)
    if (np.diff(x) <= 0).any():
        raise ValueError(f"x must be increasing, got {x.tolist()}")
    places, name = (x, "x") if measured_x is None else (measured_x, "measured_x")
    places, measured = _pair(name, places, "measured", measured, log)
    if errors is not None:
        errors = check_array("errors", errors, targets=True)
        if errors.shape != measured.shape:
            raise ValueError(f"errors has shape {errors.shape}, measured has {measured.shape}")
        if (errors < 0).any():
            raise ValueError(f"errors must be >= 0, got {errors.min()}")
    ax.plot(x, predicted, color=k.color, linestyle=k.linestyle, label=labels[0])
    if errors is not None:
        ax.errorbar(
            places, measured, yerr=errors, color=k.color, linestyle="none", capsize=3, zorder=2.9
        )
    ax.plot(
        places,
        measured,
        color=k.color,
        linestyle="none",
        marker=k.marker,
        markersize=7,
        markerfacecolor="none",
        markeredgewidth=1.6,
        label=labels[1],
        zorder=3,
    )
    label_axes(ax, xlabel, ylabel, log)
    draw_legend(ax, legend, ax.get_legend_handles_labels()[0])
    return ax


def _pair(x_name: str, x: Any, y_name: str, y: Any, log: str) -> tuple[Array, Array]:
    """Return two finite one-dimensional arrays of one length, positive on a log scale."""
    pair = check_array(x_name, x, targets=True), check_array(y_name, y, targets=True)
    for name, array, axis in zip((x_name, y_name), pair, "xy", strict=True):
        if array.ndim != 1:
            raise ValueError(f"{name} must have one axis, got shape {array.shape}")
        if log in (axis, "both") and (array <= 0).any():
            raise ValueError(f"{name} must be > 0 on a log scale, got {array.min()}")
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"{y_name} has shape {pair[1].shape}, {x_name} has {pair[0].shape}")
    return pair


def digits(
    images: Array,
    labels: Sequence[Any] | Array | None = None,
    *,
    columns: int = 10,
    title: str | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Draw images of digits in rows, ink dark on white paper.

    Parameters
    ----------
    images : array, shape (n, height, width) or (n, pixels)
        Rows of pixels are taken for square images.
    labels : sequence of n things, optional
        Written above the images: class numbers, or text such as ``"7 (1)"``.
    columns : int >= 1
        Images in a row.
    title : str, optional
        Title of the figure.
    limits : (float, float)
        The values drawn white and black; a value outside is drawn as the nearer of them.

    Returns
    -------
    matplotlib.figure.Figure
        A new pyplot figure, as ``plt.show()`` shows it.

    Raises
    ------
    TypeError, ValueError
        If `images` have no such shape, or `labels` or `limits` do not fit.

    Examples
    --------
    >>> figure = digits(np.eye(3).reshape(1, 9), ["a diagonal"])
    >>> figure.axes[0].texts[0].get_text()
    'a diagonal'
    >>> plt.close(figure)
    """
    tiles = _tiles(images)
    n, height, width = tiles.shape
    columns = min(check_integer("columns", columns), n)
    if labels is not None and np.shape(labels) != (n,):
        raise ValueError(f"labels must have shape ({n},), got {np.shape(labels)}")
    ends = check_array("limits", limits, targets=True)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"limits must be (low, high), got {limits!r}")
    gap = max(1, width // 14)
    inches = min(5.0, 1.0 * columns)
    # Room for a label: 0.24 inches, in pixels of the images.
    band = 0 if labels is None else math.ceil(0.24 * columns * (width + gap) / inches)
    rows = math.ceil(n / columns)
    down, across = height + gap + band, width + gap
    sheet = np.full((rows * down - gap, columns * across - gap), np.nan)
    inches_up = inches * sheet.shape[0] / sheet.shape[1] + (0 if title is None else 0.35)
    figure = plt.figure(figsize=(inches, inches_up))
    ax = figure.add_subplot()
    for k, tile in enumerate(tiles):
        top, left = k // columns * down + band, k % columns * across
        sheet[top : top + height, left : left + width] = tile
        if labels is not None:
            middle = left + (width - 1) / 2
            ax.text(middle, top - 1, str(labels[k]), ha="center", va="bottom", fontsize=10)
    ax.imshow(
        sheet, cmap="gray_r", vmin=ends[0], vmax=ends[1], interpolation="nearest", aspect="equal"
    )
    ax.axis("off")
    if title is not None:
        ax.set_title(title)
    return figure


def _tiles(images: Any) -> Array:
    """Return images as (n, height, width)."""
    array = check_array("images", images, targets=True)
    if array.ndim == 2:
        side = math.isqrt(array.shape[1])
        if side * side != array.shape[1]:
            raise ValueError(
                f"images must have a square number of pixels or three axes, got {array.shape}"
            )
        array = array.reshape(-1, side, side)
    if array.ndim != 3:
        raise ValueError(
            f"images must have shape (n, height, width) or (n, pixels), got {array.shape}"
        )
    return array
