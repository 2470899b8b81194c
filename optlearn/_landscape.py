"""Landscapes and the paths over them: still in `contours` and `paths`, moving in `animate`.

The public names are imported from `optlearn.plotting`.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from optlearn._animation import Animation, Track, player
from optlearn._checks import Array, check_array, check_flag, check_integer
from optlearn._style import arrays_by_label, check_axes, draw_legend, look

__all__ = ["Landscape", "animate", "contours", "paths"]

_MANY = 15_000
"""Contour lines with more points than this are heavy: an SVG holds them better as an image."""


class Landscape(Protocol):
    """What `contours` and `animate` ask of a function; `optlearn.functions.Function` has it."""

    @property
    def domain(self) -> Array:
        """The window to draw, shape (2, 2): a row (low, high) for each coordinate."""

    @property
    def minimum(self) -> Array | None:
        """The minimisers, shape (k, 2), or None."""

    def value(self, theta: Array, /) -> Any:
        """Return the values, shape (...), at the points `theta`, shape (..., 2)."""


def contours(
    ax: Axes,
    function: Landscape,
    *,
    levels: int | Sequence[float] | Array = 14,
    log: bool = True,
    shade: bool = True,
    minima: bool = True,
    resolution: int = 241,
) -> Axes:
    r"""Draw the contour lines of a function of two coordinates over its domain.

    With ``log=True`` the lines are at heights :math:`h` above the lowest value, with equal steps
    of :math:`\log h`: the floor of a narrow valley and its walls are both seen. With
    ``log=False`` they have equal steps of the value. The fill has one shade of viridis, mixed
    with white so that paths stand out, between two lines: dark is low.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to draw on; their limits become the domain. Use ``ax.set_aspect("equal")`` where
        right angles should look right.
    function : Landscape
        Such as `optlearn.functions.rosenbrock`.
    levels : int >= 2, or increasing values
        How many lines, or the values of the function at which they are.
    log : bool
        Which heights an integer `levels` means.
    shade : bool
        Fill between the lines.
    minima : bool
        Mark the minima inside the domain by stars.
    resolution : int >= 2
        Grid points along each axis.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Raises
    ------
    TypeError, ValueError
        If `function` has no two-dimensional domain or an option is out of range.

    Examples
    --------
    >>> from optlearn.functions import rosenbrock
    >>> ax = contours(Figure().add_subplot(), rosenbrock)
    >>> ax.get_xlabel()
    '$\\theta_1$'
    """
    check_axes(ax)
    domain, minimum = _window(function)
    resolution = check_integer("resolution", resolution, minimum=2)
    x, y = (np.linspace(low, high, resolution) for low, high in domain)
    height = np.asarray(function.value(np.stack(np.meshgrid(x, y), axis=-1)))
    if height.shape != (resolution, resolution):
        raise ValueError(f"function.value must map (..., 2) to (...), got shape {height.shape}")
    edges = _levels(levels, check_array("function.value", height, targets=True), log)
    if shade:
        white, viridis = np.ones(3), mpl.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3]
        colors = ListedColormap(0.3 * white + 0.7 * viridis)
        norm = BoundaryNorm(edges, 256, extend="both")
        filled = ax.contourf(x, y, height, edges, cmap=colors, norm=norm, extend="both", zorder=0)
        filled.set_rasterized(True)
    lines = ax.contour(
        x,
        y,
        height,
        edges,
        colors="white" if shade else "#888888",
        linewidths=0.7,
        alpha=0.6 if shade else 1.0,
        antialiased=not shade,  # few colours make a small image
        zorder=0.5,
    )
    points = sum(np.shape(line.vertices)[0] for line in lines.get_paths())
    lines.set_rasterized(shade or points > _MANY)
    _frame(ax, domain, minimum if minima else None)
    return ax


def _frame(ax: Axes, domain: Array, minimum: Array | None) -> None:
    """Set limits and labels of the axes, and mark the minima."""
    if minimum is not None:
        ax.plot(
            *minimum.T,
            linestyle="none",
            marker="*",
            markersize=13,
            color="white",
            markeredgecolor="black",
            label="minimum" if len(minimum) == 1 else "minima",
            zorder=2.5,
        )
    ax.grid(False)
    ax.set(xlim=domain[0], ylim=domain[1], xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")


def _window(function: Landscape) -> tuple[Array, Array | None]:
    """Return the domain and the minima inside it, checked."""
    for name in ("value", "domain", "minimum"):
        if not hasattr(function, name):
            raise TypeError(f"function must have value, domain and minimum, got {function!r}")
    domain = check_array("function.domain", function.domain, targets=True)
    if domain.shape != (2, 2):
        raise ValueError(f"function.domain must have shape (2, 2), got {domain.shape}")
    if (domain[:, 0] >= domain[:, 1]).any():
        raise ValueError(f"function.domain must have rows (low, high), got {domain.tolist()}")
    if function.minimum is None:
        return domain, None
    minimum = np.atleast_2d(check_array("function.minimum", function.minimum, targets=True))
    inside = ((minimum >= domain[:, 0]) & (minimum <= domain[:, 1])).all(axis=1)
    return domain, minimum[inside] if inside.any() else None


def _levels(levels: int | Sequence[float] | Array, height: Array, log: bool) -> Array:
    """Return the values at which the lines are."""
    if np.ndim(levels):
        edges = check_array("levels", levels, targets=True)
        if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) <= 0).any():
            raise ValueError(f"levels must be two or more increasing values, got {levels!r}")
        return edges
    count = check_integer("levels", levels, minimum=2)
    lowest, highest = float(height.min()), float(height.max())
    if not lowest < highest:
        raise ValueError(f"function must not be constant over its domain, got {lowest} everywhere")
    if not log:
        return np.linspace(lowest, highest, count + 2)[1:-1]
    above = height - lowest
    start = max(float(np.quantile(above, 0.01)), 1e-6 * (highest - lowest))
    return lowest + np.geomspace(start, highest - lowest, count + 1)[:-1]


def paths(
    ax: Axes,
    trajectories: Mapping[str, Array],
    *,
    every: int | None = None,
    legend: str = "above",
) -> Axes:
    """Draw the paths that optimizers took, over `contours`.

    A white circle is where a path starts, the large marker where it ends. The limits of the axes
    stay as they are: what leaves them is cut off, and a path ends where its numbers are not
    finite.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    trajectories : mapping of label to array, shape (steps + 1, 2)
        Points visited, in order.
    every : int >= 1, optional
        Mark every so many steps by a marker. By default every step of a path of up to 40 steps
        and none of a longer one, where markers would hide the line.
    legend : str
        ``"above"`` the axes (where a title would be: put one in the caption), ``"none"``, or a
        place inside them as matplotlib names it, such as ``"upper left"``.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Raises
    ------
    TypeError, ValueError
        If a path has another shape or type, `every` is below 1 or `legend` no such place.

    Examples
    --------
    >>> ax = Figure().add_subplot()
    >>> _ = ax.set(xlim=(-1, 1), ylim=(-1, 1))
    >>> ax = paths(ax, {"down": np.array([[0.5, 0.5], [0.1, 0.2], [0.0, 0.0]])})
    >>> [line.get_label() for line in ax.get_lines() if line.get_label()[0] != "_"]
    ['down']
    """
    check_axes(ax)
    checked = _trajectories(trajectories)
    if every is not None:
        every = check_integer("every", every)
    limits = ax.get_xlim(), ax.get_ylim()
    for k, (label, path) in enumerate(checked.items()):
        style = look(k)
        spacing = every or (1 if len(path) <= 41 else None)
        ax.plot(*path.T, color="white", linestyle="-", linewidth=3.2, zorder=3)
        ax.plot(
            *path.T,
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker if spacing else None,
            markevery=spacing,
            markersize=4,
            label=label,
            zorder=3.1,
        )
        _mark(ax, path[0], "o", "white", "black", 7, 3.3)
        _mark(ax, path[-1], style.marker, style.color, "white", 10, 3.2)
    ax.set(xlim=limits[0], ylim=limits[1])
    draw_legend(ax, legend, _handles(list(checked)))
    return ax


def _mark(
    ax: Axes, at: Array, marker: str, color: str, edge: str, size: float, zorder: float
) -> None:
    """Draw one marker that has no entry in a legend."""
    ax.plot(
        *at,
        color=color,
        markeredgecolor=edge,
        marker=marker,
        markersize=size,
        linestyle="none",
        zorder=zorder,
    )


def _handles(labels: Sequence[str]) -> list[Line2D]:
    """Return legend handles that show colour, line style and marker together."""
    return [
        Line2D(
            [],
            [],
            color=look(k).color,
            linestyle=look(k).linestyle,
            marker=look(k).marker,
            label=label,
        )
        for k, label in enumerate(labels)
    ]


def _trajectories(trajectories: Mapping[str, Array]) -> dict[str, Array]:
    """Return the paths as arrays of shape (steps + 1, 2), checked."""
    checked = arrays_by_label("trajectories", trajectories)
    for label, path in checked.items():
        if path.ndim != 2 or path.shape[1] != 2:
            raise ValueError(
                f"trajectories[{label!r}] must have shape (steps + 1, 2), got {path.shape}"
            )
    return checked


def animate(
    function: Landscape,
    trajectories: Mapping[str, Array],
    *,
    alt: str,
    frames: int = 30,
    interval: int = 150,
    levels: int | Sequence[float] | Array = 14,
    log: bool = True,
    title: str | None = None,
    panels: bool = False,
    dpi: int = 144,
) -> Animation:
    """Show paths step by step over the contours of a function, in a player with buttons.

    The player works offline. It shows the whole paths until the reader presses Play, and goes on
    showing them where no script runs. The marker is where the optimizer is; outside the window it
    is not seen.

    Paths that lie on each other are better seen apart: with ``panels=True`` each has a panel of
    its own, two beside each other (four fit on a telephone), and one slider moves all of them.

    Parameters
    ----------
    function : Landscape
        Such as `optlearn.functions.rosenbrock`.
    trajectories : mapping of label to array, shape (steps + 1, 2)
        Points visited, in order. A shorter path waits at its end.
    alt : str
        What is seen, for somebody who cannot see it. There is no default.
    frames : int >= 2
        The most frames; the steps are spread over them as evenly as possible.
    interval : int >= 20
        Milliseconds a frame.
    levels, log : int or sequence of float, bool
        As in `contours`.
    title : str, optional
        Title of the picture.
    panels : bool
        One panel a path, under its label, in place of one with a legend. The contours are drawn
        once and shown in each.
    dpi : int >= 36
        Dots per inch of the shaded background.

    Returns
    -------
    optlearn._animation.Animation
        The last expression of a notebook cell shows it; ``.html`` is the fragment.

    Raises
    ------
    TypeError, ValueError
        If the function, a path or a number does not fit, or `alt` is empty.

    Examples
    --------
    >>> from optlearn.functions import saddle
    >>> path = np.array([[0.5, 0.1], [0.4, 0.15], [0.3, 0.2]])
    >>> animate(saddle, {"descent": path}, log=False, alt="A path that leaves a saddle.")
    Animation(3 frames)

    Two paths beside each other:

    >>> two = {"slow": path, "fast": 2 * path}
    >>> animate(saddle, two, panels=True, log=False, alt="Two paths that leave a saddle.")
    Animation(3 frames)
    """
    if not isinstance(alt, str):
        raise TypeError(f"alt must be text that says what is seen, got {alt!r}")
    if not alt.strip():
        raise ValueError(f"alt must be text that says what is seen, got {alt!r}")
    checked = _trajectories(trajectories)
    frames = check_integer("frames", frames, minimum=2)
    interval = check_integer("interval", interval, minimum=20)
    dpi = check_integer("dpi", dpi, minimum=36)
    panels = check_flag("panels", panels)
    with mpl.rc_context({"svg.hashsalt": "optlearn", "savefig.bbox": None}):
        figure = Figure(dpi=dpi, layout="constrained")
        if panels:
            axes = _panels(figure, function, list(checked), levels, log)
        else:
            axes = [contours(figure.add_subplot(), function, levels=levels, log=log)] * len(
                checked
            )
            figure.set_size_inches(5.0, 4.2)
            draw_legend(figure, "below", _handles(list(checked)))
        if title is not None:
            figure.suptitle(title) if panels else axes[0].set_title(title)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        still = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(still, format="svg", dpi=dpi, metadata=nothing)
    width, height = 72 * figure.get_size_inches()
    tracks = []
    for k, (ax, path) in enumerate(zip(axes, checked.values(), strict=True)):
        style, box = look(k), ax.get_position()
        share = figure.transFigure.inverted().transform(ax.transData.transform(path))
        dash = " ".join(f"{2 * length:g}" for length in style.dashes)
        places = share * (width, -height) + (0, height)
        window = box.x0 * width, (1 - box.y1) * height, box.width * width, box.height * height
        tracks.append(Track(places, style.color, dash, style.outline, window))
    return player(
        still.getvalue(), (width, height), tracks, frames=frames, interval=interval, alt=alt
    )


def _panels(
    figure: Figure,
    function: Landscape,
    labels: Sequence[str],
    levels: int | Sequence[float] | Array,
    log: bool,
) -> list[Axes]:
    """Draw axes of one size, two in a row, a label above each; only the first has contours."""
    columns, rows = min(2, len(labels)), (len(labels) + 1) // 2
    figure.set_size_inches(5.0, (2.15 if columns == 2 else 3.8) * rows + 0.6)
    axes: list[Axes] = []
    for k, label in enumerate(labels):
        ax = figure.add_subplot(rows, columns, k + 1)
        if k == 0:
            contours(ax, function, levels=levels, log=log)
        else:
            _frame(ax, *_window(function))
            ax.patch.set_visible(False)  # the contours will be behind it
        ax.set_title(textwrap.fill(label, 26 if columns == 2 else 56))
        if k + columns < len(labels):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
        if k % columns:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        axes.append(ax)
    return axes
