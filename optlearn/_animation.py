"""The player behind `optlearn.plotting.animate`: a still picture and a little script, offline.

A film of thirty pictures repeats the same contours thirty times. Here the contours are one still
picture, and over it lies one line a path, of which the script shows as much as the frame has
walked. Panels are windows of one picture: the contours are in its text once, and all walk
together. The fragment asks the network for nothing, has no ids that could clash with those of a
second player on the page, and is the same text each time it is made. Where no script runs (in
print, in a viewer that strips it) the whole paths are seen.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from matplotlib.path import Path

from optlearn._checks import Array

__all__ = ["Animation", "Track", "player"]

Window = tuple[float, float, float, float]
"""Left, top, width and height of a panel's axes within the picture."""


@dataclass(frozen=True)
class Track:
    """One path in picture coordinates, and how it is drawn.

    Parameters
    ----------
    points : array, shape (steps + 1, 2)
        Places in the picture, y downwards. They may lie outside or not be finite.
    color : str
        Any colour that CSS knows.
    dash : str
        Lengths of dashes and gaps as SVG writes them; empty for a solid line.
    marker : str
        Outline of the marker at the path's head, as SVG path data around the origin.
    window : (left, top, width, height)
        The axes the path is in: nothing of it is drawn outside them.
    """

    points: Array
    color: str
    dash: str
    marker: str
    window: Window


class Animation:
    """An HTML fragment that a notebook shows as a player.

    Parameters
    ----------
    html : str
        The fragment.
    frames : int
        Number of frames.
    """

    def __init__(self, html: str, frames: int) -> None:
        self.html = html
        self.frames = frames

    def __repr__(self) -> str:
        """Name the number of frames; the fragment itself is long."""
        return f"Animation({self.frames} frames)"

    def _repr_html_(self) -> str:
        return self.html


def player(
    still: bytes,
    size: tuple[float, float],
    tracks: Sequence[Track],
    *,
    frames: int,
    interval: int,
    alt: str,
) -> Animation:
    """Build the player.

    Parameters
    ----------
    still : bytes
        The background, an SVG document. Where there are several windows, the one image in it, in
        the first window, is shown in each.
    size : (width, height)
        Of the picture, in points.
    tracks : sequence of Track
        The paths; the longest decides the number of steps. Those with one window share a panel.
    frames : int
        The most frames there may be; there is never more than one a step.
    interval : int
        Milliseconds a frame.
    alt : str
        What is seen, for somebody who cannot see it.

    Returns
    -------
    Animation
    """
    last = max(len(track.points) for track in tracks) - 1
    shown = np.unique(np.rint(np.linspace(0, last, frames)).astype(int))
    panels: dict[Window, tuple[list[str], list[str]]] = {}
    for track in tracks:
        lines, heads = panels.setdefault(track.window, ([], []))
        data, cuts = _line(track.points, shown, track.window)
        places = _heads(track.points, shown, track.window)
        lines.append(
            f'<path class="line" stroke="{track.color}" stroke-dasharray="{track.dash}" '
            f'data-cuts="{_join(cuts)}" d="{data}"/>'
        )
        heads.append(
            f'<path class="head" fill="{track.color}" data-places="{"|".join(places)}" '
            f'transform="translate({places[-1]})" d="{track.marker}"/>'
        )
    fields = {
        "ALT": escape(alt),
        "SIZE": f"{size[0]:.1f} {size[1]:.1f}",
        "CSS_WIDTH": f"{size[0] * 4 / 3:.0f}",
        "PANELS": "".join(_panel(window, *drawn) for window, drawn in panels.items()),
        "STEPS": _join(shown.tolist()),
        "LAST": str(len(shown) - 1),
        "INTERVAL": str(interval),
    }
    # The picture stays out of the key: its bits may differ in the last place between processors.
    key = hashlib.sha256(repr(fields).encode()).hexdigest()[:12]
    fields["STILL"] = base64.b64encode(_repeat(still, list(panels))).decode("ascii")
    html = _FRAGMENT.replace("@KEY@", key)
    for name, text in fields.items():
        html = html.replace(f"@{name}@", text)
    return Animation(html, len(shown))


def _repeat(still: bytes, windows: Sequence[Window]) -> bytes:
    """Show the image in the first window in the other windows too, without a copy of it."""

    def again(image: re.Match[str]) -> str:
        (left, top, *_), *others = windows
        return image[0] + "".join(
            f'<use xlink:href="#{image[1]}" x="{x - left:.2f}" y="{y - top:.2f}"/>'
            for x, y, *_ in others
        )

    return re.sub(r'<image [^>]*id="(\w+)"[^>]*/>', again, still.decode(), count=1).encode()


def _panel(window: Window, lines: list[str], heads: list[str]) -> str:
    """Return one panel: its paths, with the heads above the lines, cut off at the axes."""
    box = " ".join(f"{number:.1f}" for number in window)
    left, top, width, height = box.split()
    place = f'x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{box}"'
    return f"<svg {place}>{''.join(lines + heads)}</svg>"


def _join(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _line(points: Array, shown: Array, window: Window) -> tuple[str, list[int]]:
    """Return a path as SVG path data, and how many of its characters each frame shows.

    What lies far outside the window is cut off: a diverging path would bring huge numbers.
    """
    left, top, width, height = window
    clip = (left - width, top - height, left + 2 * width, top + 2 * height)
    points = np.clip(points, -1e9, 1e9)
    data, cuts, pen = "", [0], ""
    for start, stop in pairwise(shown):
        part = points[start : stop + 1]
        if len(part) > 1:
            cleaned = Path(part).cleaned(clip=clip, remove_nans=True)
            for vertex, code in cleaned.iter_segments(simplify=False):
                place = f"{vertex[0]:.1f} {vertex[1]:.1f}"
                if code in (Path.MOVETO, Path.LINETO) and place != pen:
                    data += ("M" if code == Path.MOVETO else "L") + place
                    pen = place
        cuts.append(len(data))
    return data, cuts


def _heads(points: Array, shown: Array, window: Window) -> list[str]:
    """Return where the marker is in each frame: just outside where a place is far or no number."""
    left, top, width, height = window
    low, high = (left - width, top - height), (left + 2 * width, top + 2 * height)
    at = points[np.minimum(shown, len(points) - 1)]
    at = np.where(np.isfinite(at).all(axis=1, keepdims=True), np.clip(at, low, high), low)
    return [f"{x:.1f} {y:.1f}" for x, y in at]


_FRAGMENT = """<!-- optlearn animation -->
<div class="optlearn-animation" data-key="@KEY@" role="group" aria-label="Animation">
<style>
.optlearn-animation { max-width: @CSS_WIDTH@px; padding: 8px; box-sizing: border-box;
  background: #fff; color: #1a1a1a; font: 15px/1.4 sans-serif; }
.optlearn-animation .picture { position: relative; }
.optlearn-animation .picture img { display: block; width: 100%; height: auto; margin: 0;
  padding: 0 !important; border-radius: 0 !important; background: #fff !important;
  filter: none !important; }
.optlearn-animation .picture > svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.optlearn-animation .line { fill: none; stroke-width: 2; stroke-linejoin: round;
  stroke-linecap: butt; }
.optlearn-animation .halo { stroke: #fff; stroke-width: 4; stroke-linecap: round; }
.optlearn-animation .head { stroke: #fff; stroke-width: 1; }
.optlearn-animation .controls { display: flex; flex-wrap: wrap; gap: 6px 8px; margin-top: 6px;
  align-items: center; }
.optlearn-animation .controls[hidden] { display: none; }
.optlearn-animation button { min-width: 4.2em; min-height: 36px; padding: 2px 10px;
  border: 1px solid #595959; border-radius: 4px; background: #fff; color: #1a1a1a;
  font: inherit; cursor: pointer; }
.optlearn-animation button:hover { background: #eee; }
.optlearn-animation button:focus-visible, .optlearn-animation input:focus-visible {
  outline: 3px solid #0072b2; outline-offset: 0; }
.optlearn-animation input { flex: 0 0 100%; height: 30px; margin: 0; accent-color: #0072b2; }
.optlearn-animation .step { flex: 1; text-align: right; white-space: nowrap; }
@media print { .optlearn-animation .controls { display: none; } }
</style>
<div class="picture"><img alt="@ALT@" src="data:image/svg+xml;base64,@STILL@">
<svg viewBox="0 0 @SIZE@" aria-hidden="true" focusable="false">@PANELS@</svg>
</div>
<div class="controls" hidden>
<input type="range" min="0" max="@LAST@" step="1" value="@LAST@" aria-label="Step">
<button type="button" data-go="play">Play</button>
<button type="button" data-go="-1">Back</button>
<button type="button" data-go="1">Next</button>
<span class="step"></span>
</div>
<script>
(() => {
const here = document.currentScript?.closest('[data-key="@KEY@"]');
setTimeout(() => {
  const steps = [@STEPS@], last = steps.length - 1;
  const roots = here ? [here] : document.querySelectorAll('[data-key="@KEY@"]:not([data-ready])');
  for (const root of roots) {
    root.dataset.ready = "";
    const all = (name) => [...root.querySelectorAll(name)];
    const [slider] = all("input"), [step] = all(".step"), [play] = all("[data-go=play]");
    const lines = all(".line").map((path) => {
      const halo = path.cloneNode();
      halo.removeAttribute("stroke");
      halo.removeAttribute("stroke-dasharray");
      halo.classList.add("halo");
      path.parentNode.prepend(halo);
      return { paths: [path, halo], data: path.getAttribute("d"),
        cuts: path.dataset.cuts.split(",") };
    });
    const heads = all(".head").map((path) => ({ path, places: path.dataset.places.split("|") }));
    let frame = 0, timer = null;
    const show = (to) => {
      frame = Math.max(0, Math.min(last, to));
      for (const { paths, data, cuts } of lines)
        for (const path of paths) path.setAttribute("d", data.slice(0, cuts[frame]));
      for (const head of heads)
        head.path.setAttribute("transform", `translate(${head.places[frame]})`);
      slider.value = frame;
      step.textContent = `step ${steps[frame]} of ${steps[last]}`;
      slider.setAttribute("aria-valuetext", step.textContent);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    };
    const run = () => {
      if (frame === last) show(0);
      play.textContent = "Pause";
      timer = setInterval(() => {
        show(frame + 1);
        if (frame === last) stop();
      }, @INTERVAL@);
    };
    play.onclick = () => (timer === null ? run() : stop());
    for (const button of all("[data-go='-1'], [data-go='1']"))
      button.onclick = () => { stop(); show(frame + Number(button.dataset.go)); };
    slider.oninput = () => { stop(); show(Number(slider.value)); };
    addEventListener("beforeprint", () => { stop(); show(last); });
    all(".controls")[0].hidden = false;
    show(last);
  }
}, 0);
})();
</script>
</div>
<!-- /optlearn animation -->"""
