"""The look of the book's figures: colours, line styles, markers, letters and their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import NullLocator

from optlearn._checks import Array, check_array, check_choice

__all__ = [
    "Look",
    "arrays_by_label",
    "check_axes",
    "draw_legend",
    "label_axes",
    "look",
    "use_book_style",
]

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ((), (6, 2), (6, 2, 1.2, 2), (1.2, 1.5), (10, 2), (6, 2, 1.2, 2, 1.2, 2), (3, 1.5))
# matplotlib's name of each marker, and its outline around the origin as SVG path data.
_MARKERS = (
    ("o", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z"),
    ("s", "M-4.5-4.5h9v9h-9z"),
    ("^", "M0-6L5.5 4.5h-11z"),
    ("D", "M0-6L6 0L0 6L-6 0z"),
    ("v", "M0 6L5.5-4.5h-11z"),
    ("P", "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z"),
    ("X", "M-6-3.5L-3.5-6L0-2.5L3.5-6L6-3.5L2.5 0L6 3.5L3.5 6L0 2.5L-3.5 6L-6 3.5L-2.5 0z"),
)
_INK = "#1a1a1a"


@dataclass(frozen=True)
class Look:
    """How the k-th label looks, in every figure.

    Parameters
    ----------
    color : str
        One of Okabe and Ito's seven that show on white.
    dashes : tuple of float
        Lengths of dashes and gaps in units of the line width; empty for a solid line.
    marker : str
        As matplotlib calls it.
    outline : str
        The marker as SVG path data.
    """

    color: str
    dashes: tuple[float, ...]
    marker: str
    outline: str

    @property
    def linestyle(self) -> Any:
        """The dashes as matplotlib takes them."""
        return (0, self.dashes) if self.dashes else "-"


def look(k: int) -> Look:
    """Return the look of label number `k`; after seven it starts again.

    Examples
    --------
    >>> look(1).color, look(1).marker
    ('#D55E00', 's')
    """
    k %= len(_COLORS)
    return Look(_COLORS[k], _DASHES[k], *_MARKERS[k])


def use_book_style() -> None:
    """Set matplotlib to the book's style; call it once, before the first figure.

    Colours come with a line style each. The face is white, so that a figure is readable on a dark
    page. At the default width of 5 inches (480 pixels on the screen) letters stay readable when a
    telephone of 390 pixels shrinks the figure; put panels above one another rather than side by
    side. A notebook shows figures as SVG without a date and with ids that depend on the content
    alone: the same figure is the same bytes. Settings of the reader's own ``matplotlibrc`` are
    dropped, except for the backend.

    Examples
    --------
    >>> import matplotlib
    >>> use_book_style()
    >>> matplotlib.rcParams["svg.hashsalt"]
    'optlearn'
    """
    plt.style.use("default")
    mpl.rcParams.update(
        {
            "figure.figsize": (5.0, 3.4),
            "figure.dpi": 144,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "svg.hashsalt": "optlearn",
            "svg.fonttype": "path",
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "legend.handlelength": 2.6,
            "legend.framealpha": 0.9,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "axes.facecolor": "white",
            "axes.prop_cycle": cycler(
                color=_COLORS, linestyle=[look(k).linestyle for k in range(len(_COLORS))]
            ),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#dddddd",
            "grid.linewidth": 0.7,
            "lines.linewidth": 1.8,
            "lines.markersize": 5.5,
            "image.cmap": "viridis",
        }
    )
    _use_inline_svg()


def _use_inline_svg() -> None:
    """Let a notebook, if there is one, show figures as SVG without a date."""
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
        from matplotlib_inline.config import InlineBackend
    except ImportError:
        return
    if get_ipython() is None:
        return
    config: Any = InlineBackend.instance()
    config.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Date": None}}
    set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]


def check_axes(ax: Any) -> None:
    """Refuse anything but matplotlib axes."""
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib axes, got {type(ax).__name__}")


def arrays_by_label(name: str, curves: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a mapping, checked; a diverged run may hold NaN and infinity."""
    if not isinstance(curves, Mapping):
        raise TypeError(f"{name} must be a mapping of label to array, got {type(curves).__name__}")
    if not curves:
        raise ValueError(f"{name} must not be empty, got {curves!r}")
    return {
        str(label): check_array(f"{name}[{label!r}]", array, targets=True, finite=False)
        for label, array in curves.items()
    }


def draw_legend(owner: Axes | Figure, place: str, handles: Sequence[Artist]) -> None:
    """Draw a legend above axes or below a figure, or where matplotlib's name says."""
    outside = "below" if isinstance(owner, Figure) else "above"
    check_choice("legend", place, (outside, "none", *Legend.codes))
    if place == "none":
        return
    # As many columns as fit next to each other on a figure 5 inches wide.
    widest = 45 + 6 * max(len(str(handle.get_label())) for handle in handles)
    columns = {"frameon": False, "ncols": max(1, min(len(handles), 330 // widest))}
    options: dict[str, Any] = {
        "above": {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), **columns},
        "below": {"loc": "outside lower center", **columns},
    }.get(place, {"loc": place})
    owner.legend(handles=handles, **options)


def label_axes(ax: Axes, xlabel: str, ylabel: str, log: str) -> None:
    """Label the axes; make those named by `log` logarithmic and say so in the label."""
    x_log, y_log = log in ("x", "both"), log in ("y", "both")
    ax.set_xlabel(xlabel + (" (log scale)" if x_log else ""))
    ax.set_ylabel(ylabel + (" (log scale)" if y_log else ""))
    if x_log:
        ax.set_xscale("log")
        _few_ticks(ax.xaxis)
    if y_log:
        ax.set_yscale("log")
        _few_ticks(ax.yaxis)


def _few_ticks(axis: Axis) -> None:
    """Leave out the ticks between powers of ten where there are several powers: they take time."""
    low, high = axis.get_view_interval()
    if high > 100 * low > 0:
        axis.set_minor_locator(NullLocator())
