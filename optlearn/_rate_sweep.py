"""Loss against learning rate, with its spread over seeds. `optlearn.plotting` exports it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from optlearn._checks import Array, check_array, check_choice, check_flag, check_integer
from optlearn._style import check_axes, draw_legend, label_axes, look

__all__ = ["rate_sweep"]


def rate_sweep(
    ax: Axes,
    rates: Array,
    losses: Array,
    *,
    minimize: bool = True,
    log: str = "both",
    label: str = "mean of the seeds",
    xlabel: str = "learning rate",
    ylabel: str = "loss",
    style: int = 0,
    legend: str = "best",
) -> Axes:
    """Draw the mean loss at each learning rate, its spread, the best rate, and where runs failed.

    Bars reach one sample standard deviation (divisor: seeds - 1) below and above the mean. A rate
    at which any run failed has no mean, since that would be the mean of the survivors: a cross at
    the upper edge stands there. A star marks the best of the others, and the legend says when it
    is the smallest or the largest rate tried, beyond which a better one may lie.

    Call it again on the same axes with another `style` and `label` to add a second sweep.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    rates : array, shape (R,), increasing and > 0
        From a table of `optlearn.sweeps.sweep`: ``table["lr"].reshape(R, seeds)[:, 0]``.
    losses : array, shape (seeds, R) or (R,)
        A loss (or an accuracy) for each seed and rate, NaN or infinite where the run failed:
        ``np.where(table["error"] == "", table["loss"], np.nan).reshape(R, seeds).T``.
    minimize : bool
        Whether the smallest mean is the best, or the largest.
    log : {"both", "x"}
        Logarithmic axes; their labels say so.
    label : str
        Legend entry of the means.
    xlabel, ylabel : str
        Labels of the axes, with units where there are any.
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
        If shapes do not fit, the rates do not increase from above 0, or a mean that is not
        positive is to go on a log scale.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> losses = np.array([[0.9, 0.2, np.nan], [0.7, 0.4, 5.0]])
    >>> ax = rate_sweep(Figure().add_subplot(), np.array([0.01, 0.1, 1.0]), losses)
    >>> ax.get_legend_handles_labels()[1]
    ['mean of the seeds', 'best: 0.1', 'a run failed']
    """
    check_axes(ax)
    check_flag("minimize", minimize)
    check_choice("log", log, ("both", "x"))
    k = look(check_integer("style", style, minimum=0))
    rates = check_array("rates", rates, targets=True)
    if rates.ndim != 1:
        raise ValueError(f"rates must have shape (R,), got {rates.shape}")
    if rates[0] <= 0 or (np.diff(rates) <= 0).any():
        raise ValueError(f"rates must be increasing and > 0, got {rates.tolist()}")
    runs = np.atleast_2d(check_array("losses", losses, targets=True, finite=False))
    if runs.ndim != 2 or runs.shape[1] != len(rates):
        raise ValueError(
            f"losses must have shape (seeds, {len(rates)}) or ({len(rates)},), "
            f"got {np.shape(losses)}"
        )
    well = np.isfinite(runs).all(axis=0)
    mean = np.where(well, runs, np.nan).mean(axis=0)
    if log == "both" and (mean[well] <= 0).any():
        raise ValueError(f"losses must have means > 0 on a log scale, got {mean[well].min()}")
    ax.plot(
        rates,
        mean,
        color=k.color,
        linestyle=k.linestyle,
        marker=k.marker,
        label=label,
        zorder=3,
    )
    if len(runs) > 1:
        with np.errstate(over="ignore"):  # losses of a run about to overflow
            sd = runs[:, well].std(axis=0, ddof=1)
        ax.errorbar(
            rates[well],
            mean[well],
            yerr=sd,
            color=k.color,
            linestyle="none",
            capsize=3,
            zorder=2.9,
        )
    if well.any():
        row = int(np.nanargmin(mean) if minimize else np.nanargmax(mean))
        name = f"best: {rates[row]:.3g}"
        if len(rates) > 1 and row in (0, len(rates) - 1):
            end = "smallest" if row == 0 else "largest"
            name += f", the {end} tried: extend the grid"
        ax.plot(
            rates[row],
            mean[row],
            color=k.color,
            linestyle="none",
            marker="*",
            markersize=15,
            markeredgecolor="black",
            label=name,
            zorder=4,
        )
    if not well.all():
        lost = rates[~well]
        ax.plot(
            lost,
            np.full(len(lost), 0.96 - 0.05 * (style % 7)),
            transform=ax.get_xaxis_transform(),
            color=k.color,
            linestyle="none",
            marker="x",
            markersize=8,
            markeredgewidth=2,
            label="a run failed",
            zorder=3,
        )
    label_axes(ax, xlabel, ylabel, log)
    draw_legend(ax, legend, ax.get_legend_handles_labels()[0])
    return ax
