"""The figures show the arrays they are given, are the same bytes each time, and play offline."""

import base64
import functools
import hashlib
import html.parser
import io
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from optlearn import plotting
from optlearn.functions import Quadratic, double_well, himmelblau, rosenbrock, saddle
from optlearn.plotting import (
    animate,
    contours,
    digits,
    loss_curves,
    paths,
    rate_panel,
    use_book_style,
)

pytestmark = pytest.mark.long

# The eight colours of Okabe and Ito as their page prints them, in hexadecimal.
OKABE_ITO = {
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
}

RUNS = np.array([[3.0, 1.0, 0.5, 0.2], [5.0, 2.0, 0.7, 0.1], [4.0, 2.5, 0.1, 0.3]])
SPIRAL = np.array([[-1.5, 2.5], [-0.5, 1.0], [0.2, 0.3], [0.8, 0.7], [1.0, 1.0]])


@pytest.fixture(autouse=True)
def book_style():
    use_book_style()
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


def svg(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def lines(ax):
    """Return the lines that a legend names, by name."""
    return {line.get_label(): line for line in ax.get_lines() if line.get_label()[0] != "_"}


def a_figure():
    ax = Figure(layout="constrained").add_subplot()
    paths(contours(ax, rosenbrock), {"one": SPIRAL, "two": 0.9 * SPIRAL})
    return ax.figure


# --- style -------------------------------------------------------------------------------------


def test_every_curve_has_a_colour_of_okabe_and_ito_and_a_line_style_of_its_own(ax):
    for k in range(7):
        ax.plot([0, 1], [k, k])
    styles = [(line.get_color(), line._unscaled_dash_pattern) for line in ax.get_lines()]
    assert {color for color, _ in styles} <= OKABE_ITO
    assert len({color for color, _ in styles}) == 7
    assert len({str(dashes) for _, dashes in styles}) == 7


def test_one_label_looks_the_same_in_every_kind_of_figure(ax):
    labels = ["a", "b", "c"]
    loss_curves(ax, dict.fromkeys(labels, RUNS))
    other = paths(Figure().add_subplot(), dict.fromkeys(labels, SPIRAL))
    for label in labels:
        first, second = lines(ax)[label], lines(other)[label]
        assert first.get_color() == second.get_color()
        assert first.get_marker() == second.get_marker()
        assert first._unscaled_dash_pattern == second._unscaled_dash_pattern


def test_the_style_replaces_the_readers_settings_and_keeps_the_backend():
    mpl.rcParams["lines.linewidth"] = 99
    mpl.rcParams["figure.facecolor"] = "black"
    use_book_style()
    assert mpl.rcParams["lines.linewidth"] < 3
    assert mpl.rcParams["figure.facecolor"] == "white"
    assert mpl.get_backend().lower() == "agg"


def test_letters_are_readable_when_a_telephone_shrinks_the_figure():
    # 390 pixels less the page's margins leave 350; a point is 4/3 pixels.
    scale = 350 / (96 * mpl.rcParams["figure.figsize"][0])
    small = min(mpl.rcParams[f"{name}.labelsize"] for name in ("axes", "xtick", "ytick"))
    assert min(small, mpl.rcParams["legend.fontsize"]) * 4 / 3 * scale > 9


def test_svg_bytes_are_equal_on_repeated_runs_and_in_another_process():
    first = svg(a_figure())
    assert svg(a_figure()) == first
    assert b"<dc:date>" not in first
    code = (
        "import hashlib, tests.test_plotting as t; t.use_book_style();"
        "print(hashlib.sha256(t.svg(t.a_figure())).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": os.pathsep.join(sys.path)}
    root = Path(__file__).parents[1]
    other = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env, cwd=root
    )
    assert other.stdout.strip() == hashlib.sha256(first).hexdigest()


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
from optlearn.plotting import use_book_style
use_book_style()
import matplotlib.pyplot as plt
figure = plt.figure()
figure.add_subplot().plot([0, 1])
data, _ = shell.display_formatter.format(figure)
assert "image/svg+xml" in data, list(data)
assert "image/png" not in data, list(data)
assert "<dc:date>" not in data["image/svg+xml"]
again, _ = shell.display_formatter.format(figure)
assert again["image/svg+xml"] == data["image/svg+xml"]
"""


def test_a_notebook_shows_figures_as_svg_without_a_date():
    env = {
        **os.environ,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    run = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], check=False, capture_output=True, text=True, env=env
    )
    assert run.returncode == 0, run.stderr


# --- contours ----------------------------------------------------------------------------------


def contour_lines(ax):
    return ax.collections[-1]


def test_contours_keep_to_the_domain_and_lie_where_the_function_has_their_value(ax):
    bowl = Quadratic(np.array([[2.0, 0.5], [0.5, 1.0]]))
    assert contours(ax, bowl) is ax
    np.testing.assert_array_equal([ax.get_xlim(), ax.get_ylim()], bowl.domain)
    drawn = contour_lines(ax)
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        # Linear interpolation on a grid of step h errs by at most L h^2 / 8.
        step = np.ptp(bowl.domain, axis=1).max() / 240
        bound = bowl.eigenvalues[-1] * step**2 / 4
        np.testing.assert_allclose(bowl.value(path.vertices), level, rtol=0, atol=bound)


def test_levels_have_equal_ratios_of_height_on_a_log_scale_and_equal_steps_otherwise(ax):
    log = contour_lines(contours(ax, himmelblau)).levels
    ratios = log[1:] / log[:-1]  # the lowest value on the grid is near 0, not on it
    np.testing.assert_allclose(ratios[3:], ratios[-1], rtol=0.05)
    assert ratios[-1] > 1.2
    linear = contour_lines(contours(Figure().add_subplot(), saddle, log=False, levels=7)).levels
    np.testing.assert_allclose(np.diff(linear), 1.0, rtol=1e-12)  # from -4 to 4 in 8 steps
    np.testing.assert_allclose(linear, np.arange(-3, 4), atol=1e-12)


def test_levels_given_as_values_are_the_levels_drawn(ax):
    drawn = contour_lines(contours(ax, rosenbrock, levels=[1, 10, 100]))
    np.testing.assert_array_equal(drawn.levels, [1, 10, 100])


def test_stars_mark_the_minima(ax):
    contours(ax, himmelblau)
    np.testing.assert_array_equal(lines(ax)["minima"].get_xydata(), himmelblau.minimum)
    plain = contours(Figure().add_subplot(), himmelblau, minima=False)
    assert not lines(plain)


def test_a_minimum_outside_the_domain_is_not_drawn(ax):
    window = SimpleNamespace(
        value=rosenbrock.value,
        domain=np.array([[-1.0, 0.0], [-1.0, 0.0]]),
        minimum=rosenbrock.minimum,
    )
    assert not lines(contours(ax, window))


def test_a_function_without_a_minimum_is_drawn(ax):
    assert not lines(contours(ax, saddle, log=False))


def test_shading_is_an_image_in_the_svg_and_stays_small(ax):
    contours(ax, rosenbrock)
    assert all(artist.get_rasterized() for artist in ax.collections)
    content = svg(ax.figure)
    assert content.count(b"<image") == 1
    assert len(content) < 100_000


def test_without_shading_only_the_lines_are_drawn_and_stay_sharp(ax):
    contours(ax, rosenbrock, shade=False)
    assert len(ax.collections) == 1
    assert b"<image" not in svg(ax.figure)


# --- paths -------------------------------------------------------------------------------------


def test_paths_are_the_arrays_given_and_the_arrays_stay_as_they_were(ax):
    contours(ax, rosenbrock)
    given = {"descent": SPIRAL.copy(), "half": SPIRAL.copy() / 2}
    assert paths(ax, given) is ax
    for label, path in given.items():
        np.testing.assert_array_equal(lines(ax)[label].get_xydata(), path)
    np.testing.assert_array_equal(given["descent"], SPIRAL)


def test_start_and_end_of_a_path_are_marked(ax):
    paths(ax, {"descent": SPIRAL})
    points = {
        line.get_marker(): line.get_xydata()[0]
        for line in ax.get_lines()
        if len(line.get_xydata()) == 1 and line.get_color() == "white"
    }
    np.testing.assert_array_equal(points["o"], SPIRAL[0])
    ends = [line for line in ax.get_lines() if line.get_markersize() == 10]
    np.testing.assert_array_equal(ends[0].get_xydata(), SPIRAL[-1:])


def test_a_path_that_leaves_the_domain_does_not_move_its_limits(ax):
    contours(ax, rosenbrock)
    far = np.array([[0.0, 0.0], [50.0, -80.0], [1e200, -1e250], [np.inf, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths(ax, {"diverges": far})
        content = svg(ax.figure)
    np.testing.assert_array_equal([ax.get_xlim(), ax.get_ylim()], rosenbrock.domain)
    assert not re.search(rb"nan|inf\b|e\+\d\d\d", content.split(b"<image")[-1][-20_000:])


def test_limits_that_nobody_has_set_stay_as_well(ax):
    paths(ax, {"far": np.array([[0.0, 0.0], [50.0, -80.0]])})
    assert (ax.get_xlim(), ax.get_ylim()) == ((0.0, 1.0), (0.0, 1.0))


@pytest.mark.parametrize(
    ("steps", "every", "spacing"), [(40, None, 1), (41, None, None), (100, 7, 7), (5, 2, 2)]
)
def test_short_paths_have_a_marker_each_step_and_long_ones_on_request(ax, steps, every, spacing):
    paths(ax, {"one": np.zeros((steps + 1, 2))}, every=every)
    assert lines(ax)["one"].get_markevery() == spacing
    assert lines(ax)["one"].get_marker() == ("None" if spacing is None else "o")


@pytest.mark.parametrize("place", ["above", "none", "upper left"])
def test_the_legend_names_the_paths_and_shows_their_markers(ax, place):
    paths(ax, {"one": SPIRAL, "two": SPIRAL}, legend=place)
    legend = ax.get_legend()
    if place == "none":
        assert legend is None
        return
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    assert [handle.get_marker() for handle in legend.legend_handles] == ["o", "s"]


def test_a_legend_above_the_axes_hides_nothing_and_stays_on_the_figure(ax):
    names = ["gradient descent", "heavy-ball momentum", "Nesterov momentum"]
    paths(ax, dict.fromkeys(names, SPIRAL))
    figure = ax.figure
    figure.set_size_inches(5.0, 3.4)
    figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    assert box.y0 >= ax.get_window_extent().y1 - 1
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1


# --- loss curves -------------------------------------------------------------------------------


def band(ax):
    """Return the lower and upper edge of the band on the axes."""
    vertices = ax.collections[0].get_paths()[0].vertices
    n = (len(vertices) - 3) // 2
    return vertices[1 : n + 1, 1], vertices[n + 2 : -1, 1][::-1]


def test_a_curve_is_the_mean_over_seeds_and_its_band_one_standard_deviation(ax):
    assert loss_curves(ax, {"runs": RUNS}) is ax
    columns = list(zip(*RUNS.tolist(), strict=True))
    mean = np.array([statistics.mean(column) for column in columns])
    sd = np.array([statistics.stdev(column) for column in columns])
    np.testing.assert_allclose(lines(ax)["runs"].get_ydata(), mean, rtol=1e-14)
    np.testing.assert_array_equal(lines(ax)["runs"].get_xdata(), np.arange(4))
    low, high = band(ax)
    np.testing.assert_allclose(low, mean - sd, rtol=1e-12)
    np.testing.assert_allclose(high, mean + sd, rtol=1e-12)


def test_the_range_band_reaches_from_the_lowest_to_the_highest_run(ax):
    loss_curves(ax, {"runs": RUNS}, band="range")
    low, high = band(ax)
    np.testing.assert_array_equal(low, [3.0, 1.0, 0.1, 0.1])
    np.testing.assert_array_equal(high, [5.0, 2.5, 0.7, 0.3])


@pytest.mark.parametrize(
    ("runs", "kind"), [(RUNS[0], "sd"), (RUNS[:1], "sd"), (RUNS, "none"), ([1.0, 2.0], "range")]
)
def test_a_single_run_has_no_band(ax, runs, kind):
    loss_curves(ax, {"runs": runs}, band=kind)
    assert len(ax.collections) == 0


def test_curves_are_drawn_over_the_x_that_is_given(ax):
    loss_curves(ax, {"a": RUNS, "b": RUNS[0, :2]}, x={"a": [1, 2, 3, 4], "b": [10, 20]})
    np.testing.assert_array_equal(lines(ax)["a"].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(lines(ax)["b"].get_xdata(), [10, 20])
    other = loss_curves(Figure().add_subplot(), {"a": RUNS}, x=np.array([5, 6, 7, 8]))
    np.testing.assert_array_equal(lines(other)["a"].get_xdata(), [5, 6, 7, 8])


def test_a_curve_ends_where_a_run_diverges(ax):
    runs = RUNS.copy()
    runs[1, 2:] = np.inf
    runs[2, 3] = 1e200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss_curves(ax, {"runs": runs})
        svg(ax.figure)
    np.testing.assert_array_equal(np.isnan(lines(ax)["runs"].get_ydata()), [0, 0, 1, 1])


def test_losses_about_to_overflow_are_drawn_without_a_warning(ax):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss_curves(ax, {"runs": np.array([[1.0, 1e200], [2.0, 3e200]])})
        svg(ax.figure)


def test_log_scales_are_announced_on_the_axis(ax):
    loss_curves(ax, {"a": RUNS}, ylabel="test loss", xlabel="epoch")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "test loss (log scale)")
    assert ax.get_yscale() == "log"
    linear = loss_curves(Figure().add_subplot(), {"a": RUNS}, log=False)
    assert (linear.get_ylabel(), linear.get_yscale()) == ("loss", "linear")


# --- theory over measurement -------------------------------------------------------------------

X = np.array([0.1, 0.2, 0.4])
AXES = {"xlabel": "learning rate", "ylabel": "rate"}


def test_theory_is_a_line_and_measurement_is_open_markers(ax):
    assert rate_panel(ax, X, 1 - X, 1.01 - X, **AXES) is ax
    theory, measured = lines(ax)["theory"], lines(ax)["measured"]
    np.testing.assert_array_equal(theory.get_xydata(), np.column_stack([X, 1 - X]))
    np.testing.assert_array_equal(measured.get_xydata(), np.column_stack([X, 1.01 - X]))
    assert theory.get_marker() in (None, "None")
    assert measured.get_linestyle() == "None"
    assert measured.get_markerfacecolor() == "none"


def test_measurements_may_be_at_other_places_and_have_error_bars(ax):
    errors = np.array([0.1, 0.2])
    rate_panel(
        ax, X, X, [0.1, 0.3], measured_x=[0.15, 0.35], errors=errors, labels=("a", "b"), **AXES
    )
    np.testing.assert_array_equal(lines(ax)["b"].get_xdata(), [0.15, 0.35])
    bars = ax.collections[0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [[0.0, 0.2], [0.1, 0.5]], atol=1e-15)


@pytest.mark.parametrize("log", ["none", "x", "y", "both"])
def test_the_logarithmic_axes_of_a_panel_say_so(ax, log):
    rate_panel(ax, X, X, X, log=log, **AXES)
    for axis, scale, label in (
        ("x", ax.get_xscale(), ax.get_xlabel()),
        ("y", ax.get_yscale(), ax.get_ylabel()),
    ):
        logarithmic = log in (axis, "both")
        assert scale == ("log" if logarithmic else "linear")
        assert label.endswith("(log scale)") == logarithmic


def test_a_second_pair_on_the_same_axes_looks_different(ax):
    rate_panel(ax, X, X, X, labels=("a", "b"), **AXES)
    rate_panel(ax, X, 2 * X, 2 * X, labels=("c", "d"), style=1, **AXES)
    drawn = lines(ax)
    assert drawn["a"].get_color() == drawn["b"].get_color() != drawn["c"].get_color()
    assert drawn["b"].get_marker() != drawn["d"].get_marker()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c", "d"]


# --- digits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("labels", [None, list("abcdefg")])
def test_each_image_is_on_the_sheet_in_reading_order(flat, labels):
    images = np.random.default_rng(0).uniform(size=(7, 28, 28))
    figure = digits(images.reshape(7, -1) if flat else images, labels, columns=3)
    (ax,) = figure.axes
    sheet = np.ma.filled(ax.images[0].get_array(), np.nan)
    filled = np.isfinite(sheet)
    assert filled.sum() == 7 * 28 * 28
    top = np.unique(np.flatnonzero(filled.any(axis=1)))[::28]
    left = np.unique(np.flatnonzero(filled.any(axis=0)))[::28]
    assert (len(top), len(left)) == (3, 3)
    for k in range(7):
        row, column = top[k // 3], left[k % 3]
        np.testing.assert_array_equal(sheet[row : row + 28, column : column + 28], images[k])


def test_labels_are_written_above_the_middle_of_their_images():
    figure = digits(np.zeros((3, 64)), np.array([4, 0, 7]), columns=2, title="three")
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["4", "0", "7"]
    assert ax.get_title() == "three"
    (x0, y0), (x1, y1), (x2, y2) = (text.get_position() for text in ax.texts)
    assert (x0, y0) == (x2, y2 - (y2 - y0))
    assert (x1 - x0, y1) == (9.0, y0)
    assert y0 > 0
    sheet = np.ma.getmaskarray(ax.images[0].get_array())
    assert sheet[int(y0) - 1].all()
    assert not sheet[int(y0) + 1].all()


def test_ink_is_dark_and_paper_white():
    image = digits(np.array([[0.0, 0.25, 0.5, 1.0]])).axes[0].images[0]
    shades = image.cmap(image.norm(np.array([0.0, 1.0])))
    np.testing.assert_array_equal(shades, [[1, 1, 1, 1], [0, 0, 0, 1]])


def test_a_figure_of_digits_is_one_that_pyplot_shows():
    assert digits(np.zeros((2, 9))).number in plt.get_fignums()


# --- animation ---------------------------------------------------------------------------------


class Elements(html.parser.HTMLParser):
    """All elements of a fragment, each as (tag, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Keep the element; the parser calls this."""
        self.found.append((tag, dict(attrs)))

    def of(self, tag):
        """Return the attributes of every element of one kind."""
        return [attrs for name, attrs in self.found if name == tag]


@functools.cache
def an_animation(**options):
    return animate(rosenbrock, {"one": SPIRAL, "two": SPIRAL[:3]}, **{"alt": "Two."} | options)


def still(fragment):
    (picture,) = Elements(fragment).of("img")
    return base64.b64decode(picture["src"].partition("base64,")[2]).decode()


def test_an_animation_asks_the_network_for_nothing():
    fragment = an_animation().html
    assert not re.search(r"https?:|//\w", fragment.replace(";base64,", "").split("base64,")[-1])
    assert "http" not in fragment
    assert "url(" not in fragment
    references = re.findall(r'(?:href|src)="([^"]{0,20})', still(fragment))
    assert all(place.startswith(("#", "data:")) for place in references)
    # What is left are names of XML languages, which nobody fetches.
    links = set(re.findall(r"https?://[^\"\s]+", still(fragment)))
    assert links <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd",
    }


def test_an_animation_is_the_same_text_each_time_and_small():
    first = an_animation().html
    assert an_animation.__wrapped__().html == first
    assert len(first) < 200_000
    assert an_animation(interval=200).html != first


def test_two_animations_on_a_page_cannot_be_confused():
    first, second = an_animation().html, an_animation(frames=3).html
    keys = [Elements(text).of("div")[0]["data-key"] for text in (first, second)]
    assert keys[0] != keys[1]
    assert keys[1] not in first
    assert not re.search(r"\sid=", first)


def test_only_the_picture_itself_differs_where_another_processor_draws_it_otherwise():
    # Other levels stand for other bits of the picture; a notebook's comparison skips those.
    texts = [an_animation(levels=count).html for count in (5, 6)]
    assert texts[0] != texts[1]
    bare = [re.sub(r"base64,[A-Za-z0-9+/=]+", "", text) for text in texts]
    assert bare[0] == bare[1]


def test_the_alternative_text_is_on_the_picture_and_escaped():
    fragment = an_animation(alt='A "fast" path <b> & a slow one.').html
    (picture,) = Elements(fragment).of("img")
    assert picture["alt"] == 'A "fast" path <b> & a slow one.'
    assert not Elements(fragment).of("b")


def test_controls_are_buttons_with_words_and_a_named_slider():
    fragment = an_animation().html
    assert re.findall(r"<button type=\"button\"[^>]*>(\w+)</button>", fragment) == [
        "Play",
        "Back",
        "Next",
    ]
    (slider,) = Elements(fragment).of("input")
    assert slider["type"] == "range"
    assert slider["aria-label"] == "Step"
    assert "autoplay" not in fragment


def track(fragment, k):
    elements = Elements(fragment).of("path")
    line = [attrs for attrs in elements if attrs["class"] == "line"][k]
    head = [attrs for attrs in elements if attrs["class"] == "head"][k]
    cuts = [int(cut) for cut in line["data-cuts"].split(",")]
    places = np.array([place.split() for place in head["data-places"].split("|")], dtype=float)
    return line["d"], cuts, places


def polyline(data):
    return np.array([pair.split() for pair in re.split("[ML]", data)[1:]], dtype=float)


def window(fragment):
    """Return left, top, width, height of the axes as the background picture draws them."""
    corners = re.search(r'id="patch_2">\s*<path d="([^"]*)"', still(fragment)).group(1)
    points = np.array(re.findall(r"[\d.]+", corners), dtype=float).reshape(-1, 2)
    return *points.min(axis=0), *np.ptp(points, axis=0)


def test_the_moving_lines_fit_the_still_picture():
    fragment = an_animation().html
    left, top, width, height = window(fragment)
    (low_x, high_x), (low_y, high_y) = rosenbrock.domain
    expected = np.column_stack(
        [
            left + width * (SPIRAL[:, 0] - low_x) / (high_x - low_x),
            top + height * (high_y - SPIRAL[:, 1]) / (high_y - low_y),
        ]
    )
    data, _, places = track(fragment, 0)
    # Both are rounded to a tenth of a point.
    np.testing.assert_allclose(polyline(data), expected, atol=0.06)
    np.testing.assert_allclose(places, expected, atol=0.06)


def test_each_frame_shows_the_line_as_far_as_its_head():
    long = np.linspace([-1.0, 0.0], [1.0, 2.0], 101)
    fragment = animate(rosenbrock, {"long": long}, alt="A line.", frames=6).html
    data, cuts, places = track(fragment, 0)
    assert "const steps = [0,20,40,60,80,100]" in fragment
    assert (cuts[0], cuts[-1]) == (0, len(data))
    for k, cut in enumerate(cuts[1:], start=1):
        shown = polyline(data[:cut])
        assert len(shown) == 20 * k + 1
        np.testing.assert_array_equal(shown[-1], places[k])


def test_a_shorter_path_waits_at_its_end():
    fragment = an_animation().html
    _, cuts, places = track(fragment, 1)
    assert len(places) == len(SPIRAL)
    assert cuts[2] == cuts[3] == cuts[4]
    np.testing.assert_array_equal(places[2:], places[[2, 2, 2]])


def test_there_are_no_more_frames_than_steps():
    assert repr(an_animation(frames=30)) == "Animation(5 frames)"
    assert repr(an_animation(frames=3)) == "Animation(3 frames)"


def test_a_diverging_path_is_cut_off_outside_the_window_in_its_own_direction():
    far = np.array([[0.0, 1.0], [4e6, 1.0 + 4e6], [1e300, -1e300], [np.inf, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fragment = animate(rosenbrock, {"far": far}, alt="It leaves.").html
    data, _, places = track(fragment, 0)
    left, top, width, height = window(fragment)
    for points in (polyline(data), places):
        assert np.isfinite(points).all()
        assert (np.abs(points - [left, top]) <= [2.01 * width, 2.01 * height]).all()
    # The first step goes up 45 degrees: as many units of theta upwards as to the right.
    (x0, y0), (x1, y1) = polyline(data)[:2]
    domain = np.ptp(rosenbrock.domain, axis=1)
    right, up = (x1 - x0) / width * domain[0], (y0 - y1) / height * domain[1]
    np.testing.assert_allclose(up, right, rtol=0.01)
    # A head that is outside, or nowhere, is not in the window.
    inside = (places[1:] >= [left, top]) & (places[1:] <= [left + width, top + height])
    assert not inside.all(axis=1).any()


def test_without_a_script_the_whole_paths_and_their_ends_are_seen():
    elements = Elements(an_animation().html).of("path")
    heads = [attrs for attrs in elements if attrs["class"] == "head"]
    for attrs in heads:
        last = attrs["data-places"].split("|")[-1]
        assert attrs["transform"] == f"translate({last})"
    assert "hidden" in dict(Elements(an_animation().html).of("div")[2])


def test_an_animation_leaves_no_figure_behind_for_pyplot_to_show():
    an_animation.__wrapped__()
    assert plt.get_fignums() == []


FOUR = {
    label: np.array([1.0, 1.0])
    + sign * np.column_stack([turn * np.cos(turn), turn * np.sin(turn)])
    for label, sign, turn in zip(
        ("one", "two", "three", "four"),
        (0.1, -0.1, 0.05, -0.05),
        np.linspace([0] * 4, [9, 12, 15, 18], 200).T,
        strict=True,
    )
}


@functools.cache
def four_panels(count=4, **options):
    some = {label: FOUR[label] for label in list(FOUR)[:count]}
    return animate(rosenbrock, some, **{"panels": True, "frames": 200, "alt": "Four."} | options)


def boxes(fragment):
    """Return left, top, width and height of every panel the lines are drawn in."""
    return np.array(
        [
            [float(attrs[name]) for name in ("x", "y", "width", "height")]
            for attrs in Elements(fragment).of("svg")
            if "x" in attrs
        ]
    )


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2)]
)
def test_each_path_has_a_panel_of_its_own_two_beside_each_other(count, rows, columns):
    places = boxes(four_panels(count).html)
    assert len(places) == count
    assert len(np.unique(places[:, 0])) == columns
    assert len(np.unique(places[:, 1])) == rows
    # All of one size, and none over another.
    np.testing.assert_allclose(places[:, 2:] - places[0, 2:], 0, atol=0.11)
    for k, (left, top, width, height) in enumerate(places[:-1]):
        right_of = places[k + 1 :, 0] >= left + width
        below = places[k + 1 :, 1] >= top + height
        assert (right_of | below).all()


def test_all_panels_show_one_picture_of_the_contours():
    fragment = four_panels().html
    picture = still(fragment)
    places = boxes(fragment)
    (image,) = re.findall(r'<image [^>]*id="(\w+)"', picture)
    again = re.findall(rf'<use xlink:href="#{image}" x="([\d.]+)" y="([\d.]+)"/>', picture)
    shifts = np.array(again, dtype=float)
    np.testing.assert_allclose(shifts, (places - places[0])[1:, :2], atol=0.11)
    # Nothing hides it: the axes of the other panels have no paper of their own.
    papers = re.findall(r'<g id="patch_\d+">\s*<path d="[^"]*" style="fill: #ffffff"', picture)
    assert len(papers) == 2
    # A panel on its own shows it as well, and one picture needs no second place.
    assert '<use xlink:href="#image' not in still(four_panels(1).html)
    assert '<use xlink:href="#image' not in still(an_animation().html)


def test_every_panel_marks_the_minimum_and_has_its_label_above():
    picture = still(four_panels().html)
    for label in FOUR:
        assert f"<!-- {label} -->" in picture
    # One star a panel: white with a black edge, as `contours` draws it.
    assert len(re.findall(r"<use [^>]*fill: #ffffff; stroke: #000000", picture)) == 4
    long = "a very long label of many words that cannot stand on one line"
    wrapped = still(animate(saddle, {long: SPIRAL, "b": SPIRAL}, panels=True, alt="x").html)
    assert "<!-- a very long label of many -->" in wrapped


def test_the_paths_lie_in_their_panels_where_the_function_has_them():
    fragment = four_panels().html
    (low_x, high_x), (low_y, high_y) = rosenbrock.domain
    looks = set()
    for k, (path, box) in enumerate(zip(FOUR.values(), boxes(fragment), strict=True)):
        left, top, width, height = box
        expected = np.column_stack(
            [
                left + width * (path[:, 0] - low_x) / (high_x - low_x),
                top + height * (high_y - path[:, 1]) / (high_y - low_y),
            ]
        )
        data, cuts, places = track(fragment, k)
        np.testing.assert_allclose(places, expected, atol=0.25)
        assert len(cuts) == 200
        assert cuts[-1] == len(data)
        looks.add(
            re.findall(r'class="line" stroke="([^"]*)" stroke-dasharray="([^"]*)"', fragment)[k]
        )
    assert len(looks) == 4


def test_four_panels_of_200_frames_stay_below_half_a_megabyte_and_are_the_same_text_each_time():
    animation = four_panels()
    assert animation.frames == 200
    assert len(animation.html.encode()) < 500_000
    assert four_panels.__wrapped__().html == animation.html
    assert four_panels(title="Four rules").html != animation.html


def test_panels_have_one_player_and_one_alternative_text():
    elements = Elements(four_panels(title="Four rules").html)
    assert [attrs["alt"] for attrs in elements.of("img")] == ["Four."]
    assert len(elements.of("input")) == 1
    assert len(elements.of("button")) == 3
    assert len(elements.of("div")) == 3
    assert "<!-- Four rules -->" in still(four_panels(title="Four rules").html)


@pytest.fixture(scope="module")
def browser():
    """Return a browser, or skip; where ``CI`` is ``true`` a missing one is an error."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium and Playwright must be installed where CI=true")
        pytest.skip("Chromium and Playwright are not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.mark.browser
def test_the_player_plays_steps_and_slides_in_a_browser(browser, tmp_path):
    fragment = an_animation(interval=20).html
    # A player of which the page has only the beginning yet must not stop the others.
    half = re.search(r"<div class=.optlearn-animation.[^>]*>", fragment).group() + "</div>"
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f"<!doctype html><html lang='en'><title>Two players</title>{half}{fragment}{fragment}",
        encoding="utf-8",
    )
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(10_000)
    requests, errors = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(page_file.as_uri())
    step = page.locator(".step")
    lengths = "[...document.querySelectorAll('.line:not(.halo)')].map(p => p.getTotalLength())"
    page.wait_for_function("document.querySelectorAll('.step')[1].textContent !== ''")
    assert step.all_inner_texts() == ["step 4 of 4"] * 2
    one, two, *others = page.evaluate(lengths)
    assert others == [one, two]
    assert one > two > 0
    page.get_by_role("slider", name="Step").nth(1).press("Home")
    assert page.evaluate(lengths) == [one, two, 0, 0]
    page.get_by_role("button", name="Next").nth(1).click()
    assert step.all_inner_texts() == ["step 4 of 4", "step 1 of 4"]
    page.get_by_role("button", name="Back").nth(1).click()
    assert step.nth(1).inner_text() == "step 0 of 4"
    # At the end, Play starts again from the beginning.
    page.get_by_role("button", name="Play").first.click()
    page.wait_for_function("document.querySelector('.step').textContent !== 'step 4 of 4'")
    page.wait_for_function("document.querySelector('.step').textContent === 'step 4 of 4'")
    page.wait_for_function("document.querySelector('[data-go=play]').textContent === 'Play'")
    assert page.evaluate(lengths) == [one, two, 0, 0]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert errors == []
    page.close()


@pytest.mark.browser
def test_one_slider_moves_all_panels_in_a_browser(browser, tmp_path):
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f"<!doctype html><html lang='en'><title>Panels</title>{four_panels().html}",
        encoding="utf-8",
    )
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(10_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(page_file.as_uri())
    lengths = "[...document.querySelectorAll('.line:not(.halo)')].map(p => p.getTotalLength())"
    page.wait_for_function("document.querySelector('.step').textContent === 'step 199 of 199'")
    assert all(length > 0 for length in page.evaluate(lengths))
    page.get_by_role("slider", name="Step").press("Home")
    assert page.locator(".step").inner_text() == "step 0 of 199"
    assert page.evaluate(lengths) == [0, 0, 0, 0]
    # The halo of each line is in its line's own panel.
    panels = "[...document.querySelectorAll('.picture svg svg')]"
    assert page.evaluate(f"{panels}.map(p => p.querySelectorAll('.halo').length)") == [1] * 4
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert errors == []
    page.close()


def test_wide_logarithmic_axes_have_no_ticks_between_powers_of_ten():
    _, ax = plt.subplots()
    line = [1.0, 5.0]
    rate_panel(ax, [1.0, 1e3], line, line, log="both", xlabel="x", ylabel="y")
    assert len(ax.xaxis.get_minorticklocs()) == 0
    assert len(ax.yaxis.get_minorticklocs()) > 0  # less than two powers: they are needed


# --- bad input ---------------------------------------------------------------------------------


def landscape(**changes):
    parts = {"value": rosenbrock.value, "domain": rosenbrock.domain, "minimum": None}
    return SimpleNamespace(**parts | changes)


def flat(theta):
    return np.ones(theta.shape[:-1])


def new_ax():
    return Figure().add_subplot()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda ax: contours(None, saddle), TypeError, "ax must be matplotlib axes, got NoneType"),
        (
            lambda ax: contours(ax, np.sin),
            TypeError,
            "function must have value, domain and minimum, got <ufunc 'sin'>",
        ),
        (
            lambda ax: contours(ax, double_well),
            ValueError,
            "function.domain must have shape (2, 2), got (1, 2)",
        ),
        (
            lambda ax: contours(ax, landscape(domain=np.array([[1.0, 0.0], [0.0, 1.0]]))),
            ValueError,
            "function.domain must have rows (low, high), got [[1.0, 0.0], [0.0, 1.0]]",
        ),
        (
            lambda ax: contours(ax, landscape(value=lambda theta: theta)),
            ValueError,
            "function.value must map (..., 2) to (...), got shape (241, 241, 2)",
        ),
        (
            lambda ax: contours(ax, landscape(value=flat)),
            ValueError,
            "function must not be constant over its domain, got 1.0 everywhere",
        ),
        (
            lambda ax: contours(ax, landscape(value=lambda theta: np.inf * flat(theta))),
            ValueError,
            "function.value must be finite, got inf",
        ),
        (lambda ax: contours(ax, saddle, levels=1), ValueError, "levels must be >= 2, got 1"),
        (
            lambda ax: contours(ax, saddle, levels=[1, 3, 2]),
            ValueError,
            "levels must be two or more increasing values, got [1, 3, 2]",
        ),
        (
            lambda ax: contours(ax, saddle, levels=[1.0]),
            ValueError,
            "levels must be two or more increasing values, got [1.0]",
        ),
        (
            lambda ax: contours(ax, saddle, levels="many"),
            TypeError,
            "levels must be an integer >= 2, got 'many'",
        ),
        (
            lambda ax: contours(ax, saddle, resolution=1),
            ValueError,
            "resolution must be >= 2, got 1",
        ),
        (lambda ax: paths(ax.figure, {"a": SPIRAL}), TypeError, "ax must be matplotlib axes"),
        (
            lambda ax: paths(ax, SPIRAL),
            TypeError,
            "trajectories must be a mapping of label to array, got ndarray",
        ),
        (lambda ax: paths(ax, {}), ValueError, "trajectories must not be empty, got {}"),
        (
            lambda ax: paths(ax, {"a": SPIRAL[0]}),
            ValueError,
            "trajectories['a'] must have shape (steps + 1, 2), got (2,)",
        ),
        (
            lambda ax: paths(ax, {"a": np.zeros((3, 3))}),
            ValueError,
            "trajectories['a'] must have shape (steps + 1, 2), got (3, 3)",
        ),
        (
            lambda ax: paths(ax, {"a": SPIRAL[:0]}),
            ValueError,
            "trajectories['a'] must not be empty, got shape (0, 2)",
        ),
        (
            lambda ax: paths(ax, {"a": [["x", "y"]]}),
            TypeError,
            "trajectories['a'] must be floating point, got <U1",
        ),
        (lambda ax: paths(ax, {"a": SPIRAL}, every=0), ValueError, "every must be >= 1, got 0"),
        (
            lambda ax: paths(ax, {"a": SPIRAL}, legend="left"),
            ValueError,
            "legend must be one of above, none, best, upper right",
        ),
        (
            lambda ax: paths(ax, {"a": SPIRAL}, legend="below"),
            ValueError,
            "legend must be one of above, none, best, upper right",
        ),
        (lambda ax: loss_curves(None, {"a": RUNS}), TypeError, "ax must be matplotlib axes"),
        (
            lambda ax: loss_curves(ax, {"a": RUNS[None]}),
            ValueError,
            "curves['a'] must have shape (seeds, steps) or (steps,), got (1, 3, 4)",
        ),
        (
            lambda ax: loss_curves(ax, [RUNS]),
            TypeError,
            "curves must be a mapping of label to array, got list",
        ),
        (
            lambda ax: loss_curves(ax, {"a": RUNS}, band="iqr"),
            ValueError,
            "band must be one of sd, range, none, got 'iqr'",
        ),
        (
            lambda ax: loss_curves(ax, {"a": RUNS}, x=[1, 2]),
            ValueError,
            "x has shape (2,), curves['a'] has 4 steps",
        ),
        (
            lambda ax: loss_curves(ax, {"a": RUNS}, x={"b": [1, 2, 3, 4]}),
            ValueError,
            "x must have the label 'a', got 'b'",
        ),
        (
            lambda ax: loss_curves(ax, {"a": RUNS}, x={"a": [1, 2, 3, math.nan]}),
            ValueError,
            "x['a'] must be finite, got nan",
        ),
        (lambda ax: rate_panel(None, X, X, X, **AXES), TypeError, "ax must be matplotlib axes"),
        (
            lambda ax: rate_panel(ax, X[::-1], X, X, **AXES),
            ValueError,
            "x must be increasing, got [0.4, 0.2, 0.1]",
        ),
        (
            lambda ax: rate_panel(ax, X, X[:2], X, **AXES),
            ValueError,
            "predicted has shape (2,), x has (3,)",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X, measured_x=X[:2], **AXES),
            ValueError,
            "measured has shape (3,), measured_x has (2,)",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X * math.nan, **AXES),
            ValueError,
            "measured must be finite, got nan",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X[:, None], **AXES),
            ValueError,
            "measured must have one axis, got shape (3, 1)",
        ),
        (
            lambda ax: rate_panel(ax, X, X - 0.1, X, log="y", **AXES),
            ValueError,
            "predicted must be > 0 on a log scale, got 0.0",
        ),
        (
            lambda ax: rate_panel(ax, X - 0.2, X, X, log="x", **AXES),
            ValueError,
            "x must be > 0 on a log scale, got -0.1",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X, log="xy", **AXES),
            ValueError,
            "log must be one of none, x, y, both, got 'xy'",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X, errors=[1.0], **AXES),
            ValueError,
            "errors has shape (1,), measured has (3,)",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X, errors=-X, **AXES),
            ValueError,
            "errors must be >= 0, got -0.4",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X, labels=("a",), **AXES),
            ValueError,
            "labels must be (theory, measurement), got ('a',)",
        ),
        (
            lambda ax: rate_panel(ax, X, X, X, style=-1, **AXES),
            ValueError,
            "style must be >= 0, got -1",
        ),
        (
            lambda ax: digits(np.zeros((2, 10))),
            ValueError,
            "images must have a square number of pixels or three axes, got (2, 10)",
        ),
        (
            lambda ax: digits(np.zeros(9)),
            ValueError,
            "images must have shape (n, height, width) or (n, pixels), got (9,)",
        ),
        (
            lambda ax: digits(np.zeros((0, 9))),
            ValueError,
            "images must not be empty, got shape (0, 9)",
        ),
        (
            lambda ax: digits(np.zeros((2, 9)), [1, 2, 3]),
            ValueError,
            "labels must have shape (2,), got (3,)",
        ),
        (
            lambda ax: digits(np.zeros((2, 9)), 5),
            ValueError,
            "labels must have shape (2,), got ()",
        ),
        (
            lambda ax: digits(np.zeros((2, 9)), columns=0),
            ValueError,
            "columns must be >= 1, got 0",
        ),
        (
            lambda ax: digits(np.zeros((2, 9)), limits=(1.0, 0.0)),
            ValueError,
            "limits must be (low, high), got (1.0, 0.0)",
        ),
        (lambda ax: an_animation(alt=" "), ValueError, "alt must be text that says what is seen"),
        (lambda ax: an_animation(alt=None), TypeError, "alt must be text that says what is seen"),
        (lambda ax: an_animation(frames=1), ValueError, "frames must be >= 2, got 1"),
        (lambda ax: an_animation(interval=10), ValueError, "interval must be >= 20, got 10"),
        (lambda ax: an_animation(dpi=1), ValueError, "dpi must be >= 36, got 1"),
        (lambda ax: an_animation(levels=0), ValueError, "levels must be >= 2, got 0"),
        (lambda ax: an_animation(panels=4), TypeError, "panels must be True or False, got 4"),
        (lambda ax: an_animation(panels="2x2"), TypeError, "panels must be True or False"),
        (
            lambda ax: animate(double_well, {"a": SPIRAL}, alt="x", panels=True),
            ValueError,
            "function.domain must have shape (2, 2), got (1, 2)",
        ),
        (
            lambda ax: animate(saddle, {}, alt="x", panels=True),
            ValueError,
            "trajectories must not be empty",
        ),
        (
            lambda ax: animate(double_well, {"a": SPIRAL}, alt="x"),
            ValueError,
            "function.domain must have shape (2, 2), got (1, 2)",
        ),
        (
            lambda ax: animate(saddle, {"a": SPIRAL[:, :1]}, alt="x"),
            ValueError,
            "trajectories['a'] must have shape (steps + 1, 2), got (5, 1)",
        ),
    ],
)
def test_bad_input_is_refused_with_name_rule_and_value(ax, call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call(ax)


def test_the_module_offers_what_its_list_names():
    assert all(hasattr(plotting, name) for name in plotting.__all__)
