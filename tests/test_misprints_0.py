"""The errors of article 0 fail by the numbers that closed forms and outside facts predict."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from optlearn import _misprints_0b, _misprints_0c
from optlearn.functions import Quadratic
from optlearn.losses import binary_cross_entropy
from optlearn.misprints import misprint, misprints
from optlearn.networks import MLP
from optlearn.optimizers import Adam, Momentum, RMSProp
from optlearn.training import minimize

ROOT = Path(__file__).resolve().parents[1]


def recursion(alpha: float, beta: float, steps: int, rule: str) -> list[float]:
    """Follow E0-05 or E0-06 on theta^2 / 2 from 1."""
    printed: Any = misprint(rule).printed
    path = [1.0, 1.0]
    for _ in range(steps):
        theta, last = path[-1], path[-2]
        if rule == "E0-05":
            path.append(printed(np.atleast_1d, theta, last, [0], alpha, beta))
        else:
            path.append(printed(theta, last, theta, alpha, beta))
    return path[1:]


def test_there_are_twenty_and_their_severities_are_those_of_the_article() -> None:
    found = misprints(article=0)
    assert [entry.id for entry in found] == [f"E0-{k:02}" for k in range(1, 21)]
    assert Counter(entry.severity for entry in found) == {"A": 6, "B": 7, "C": 7}


@pytest.mark.parametrize("entry", misprints(article=0), ids=lambda entry: entry.id)
def test_the_rules_differ_in_more_than_their_names(entry: Any) -> None:
    """A demand that tells rules apart by anything but a run would not ask them."""
    asked = []

    def spy(rule: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            asked.append(rule)
            return rule(*args, **kwargs)

        return call

    assert entry.meets(spy(entry.corrected))
    assert not entry.meets(spy(entry.printed))
    assert {entry.printed, entry.corrected} == set(asked)


def test_e0_01_the_technique_changes_what_it_measures() -> None:
    network, x = MLP([2, 3, 2]), np.ones((4, 2))
    theta, y = network.init(np.random.default_rng(0)), np.array([0, 1, 1, 1])
    assert misprint("E0-01").corrected(network, theta, x, y) in (0.25, 0.75)
    before = theta.copy()
    misprint("E0-01").printed(network, theta, x, y)
    assert not np.array_equal(theta, before)


def test_e0_02_names_the_rate_of_newton_when_it_is_there() -> None:
    assert misprint("E0-02").corrected([0.1, 0.5, 0.9], 2.0) == 0.5
    assert misprint("E0-02").printed([0.1, 0.5, 0.9], 2.0) == 0.1


def test_e0_03_the_promise_is_the_global_minimum() -> None:
    well = misprint("E0-03").printed(1.0)
    grid = np.linspace(-2, 2, 4001)
    assert abs(well - grid[np.argmin(grid**4 / 4 - grid**2 / 2 + 0.1 * grid)]) < 1e-3
    assert misprint("E0-03").corrected(1.0) > 0.9


@pytest.mark.parametrize(
    ("alpha", "beta", "after"), [(0.1, 0.9, 4.646e17), (0.1, 0.1, 1.0), (0.1, 0.05, 7.676e-3)]
)
def test_e0_05_grows_or_stays_or_shrinks_by_its_root(
    alpha: float, beta: float, after: float
) -> None:
    path = recursion(alpha, beta, 100, "E0-05")
    root = max(np.roots([1, -(1 - alpha), -beta]), key=abs)
    np.testing.assert_allclose(path[-1], after, rtol=1e-4)
    np.testing.assert_allclose(path[-1] / path[-2], root, rtol=1e-8)


def test_e0_05_is_stable_only_while_alpha_plus_beta_is_small() -> None:
    for beta, inside in ((0.79, True), (0.81, False)):
        path = recursion(1.2, beta, 3000, "E0-05")
        assert (abs(path[-1]) < 1e-3) == inside


def test_e0_05_corrected_is_the_gradient_of_the_batch() -> None:
    step = misprint("E0-05").corrected(
        lambda x: x - np.array([0.0, 4.0, 8.0]), 5.0, 0, [0, 2], 0.1, 0
    )
    np.testing.assert_allclose(step, 5.0 - 0.1 * (5.0 - 4.0), rtol=1e-15)


def test_e0_06_rests_where_its_fixed_point_is_and_grows_by_its_root() -> None:
    path = recursion(0.1, 0.9, 20, "E0-06")
    np.testing.assert_allclose(path[1:4] + path[20:21], [1.8, 2.52, 3.888, 3800.293], rtol=1e-6)
    np.testing.assert_allclose(path[-1] / path[-2], 1.5, rtol=1e-4)
    for c, alpha, beta in ((1.0, 0.1, 0.05), (1.0, 0.1, 0.09), (-3.0, 0.2, 0.1)):
        theta = last = 0.0
        for _ in range(4000):
            theta, last = (
                misprint("E0-06").printed(theta, last, theta - c, alpha, beta),
                theta,
            )
        np.testing.assert_allclose(theta, alpha * c / (alpha - beta), rtol=1e-9)


def test_e0_06_corrected_is_the_heavy_ball() -> None:
    ours = minimize(Quadratic([1.0], [1.0]), [0.0], Momentum(0.1, beta=0.7), 30).theta[:, 0]
    theta = last = 0.0
    for expected in ours[1:]:
        theta, last = misprint("E0-06").corrected(theta, last, theta - 1.0, 0.1, 0.7), theta
        np.testing.assert_allclose(theta, expected, rtol=1e-12)


def test_e0_07_squashes_and_the_corrected_rule_is_the_packages() -> None:
    g = np.array([1e-6, 1e6])
    printed, _ = misprint("E0-07").printed(g, np.zeros(2), 0.01, 0.9)
    np.testing.assert_allclose(printed, [1e-8, 0.01 / 0.9], rtol=1e-9)
    ours, s, theta = RMSProp(0.01), np.zeros(2), np.zeros(2)
    for k in range(5):
        before, theta = theta, ours.step(theta, k * g)
        step, s = misprint("E0-07").corrected(k * g, s, 0.01, 0.9)
        np.testing.assert_allclose(before - theta, step, rtol=1e-12)


def test_e0_08_becomes_descent_and_blows_up_as_predicted() -> None:
    rule: Any = misprint("E0-08").printed
    for t, size in ((1, 0.37225), (100, 0.72454), (20_000, 1.0)):
        np.testing.assert_allclose(rule(1.0, t, 0, 0, 1.0)[0], size, atol=1e-5)
    theta = 1.0
    for t in range(1, 10_001):
        theta -= rule(3000 * theta, t, 0, 0, 1e-3)[0]
    np.testing.assert_allclose(abs(theta), 1.25**0.5 / 3000 / 0.999**5000, rtol=1e-3)


def test_e0_08_corrected_is_the_packages_adam() -> None:
    adam, theta, m, v = Adam(1e-3), np.zeros(1), 0.0, 0.0
    for t, g in enumerate(np.random.default_rng(0).normal(size=20), start=1):
        before, theta = theta, adam.step(theta, np.array([g]))
        step, m, v = misprint("E0-08").corrected(g, t, m, v, 1e-3)
        np.testing.assert_allclose(before - theta, step, rtol=1e-10)


def test_e0_11_a_label_costs_infinity_or_nothing_that_is_a_number() -> None:
    printed, corrected = misprint("E0-11").printed, misprint("E0-11").corrected
    assert np.isinf(printed(2.0, 0.0))
    assert np.isnan(printed(2.0, 1.0))
    for z in (-700.0, -3.0, 0.2, 800.0):
        for y in (0.0, 1.0):
            expected = binary_cross_entropy(np.array([z]), np.array([y]))[0]
            np.testing.assert_allclose(corrected(z, y), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("reading", ["A", "B"])
@pytest.mark.parametrize("hidden", [1, 3])
def test_e0_12_fits_by_accident_where_there_is_one_hidden_unit(hidden: int, reading: str) -> None:
    rng = np.random.default_rng(1)
    network, x, y = MLP([2, hidden, 1], "sigmoid"), rng.normal(size=(9, 2)), np.ones((9, 1))
    theta = network.init(rng)
    _, gradient = network.loss_and_grad(theta, x, y, binary_cross_entropy)
    true = [array for pair in network.unpack(gradient) for array in pair]
    for ours, expected in zip(
        misprint("E0-12").corrected(network, theta, x, y), true, strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-15)
    found = misprint("E0-12").printed(network, theta, x, y, reading)
    fits = [a.shape == b.shape for a, b in zip(found, true, strict=True)]
    if hidden == 1:
        assert all(fits)
    else:
        assert fits == (
            [True, True, False, False] if reading == "A" else [False, False, True, True]
        )
    right = [fit and bool(np.allclose(a, b)) for fit, a, b in zip(fits, found, true, strict=True)]
    assert right == ([False] * 4 if reading == "A" else [False, False, True, True])


def test_e0_13_the_years_are_those_of_the_bibliography() -> None:
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for key, year in _misprints_0b.PUBLISHED.values():
        entry = bibliography.split(f"{{{key},")[1].split("\n}")[0]
        assert re.search(rf"year\s*=\s*\{{{year}\}}", entry), key


def test_e0_15_four_equal_shards_weigh_alike_and_unequal_ones_by_size() -> None:
    shards = [np.array([[1.0]]), np.array([[-0.5], [-0.5], [-0.5]])]
    mean = np.array([(1.0 - 1.5) / 4])
    expected = RMSProp(0.01).step(np.zeros(1), mean)
    np.testing.assert_allclose(misprint("E0-15").corrected(shards), expected, rtol=1e-12)
    # RMSProp's first step has one length, so two workers of opposite sign stand still.
    assert abs(misprint("E0-15").printed(shards)[0]) < 1e-8


def test_e0_16_counts_momentum_twice() -> None:
    path = misprint("E0-16").printed(np.ones((300, 1)))[:, 0]
    np.testing.assert_allclose(path[-1] - path[-2], -0.01 / (1 - 0.9), rtol=1e-6)
    assert not misprint("E0-16").meets(lambda g: np.cumsum(-0.01 * np.sign(g), axis=0))


def test_e0_16_corrected_is_the_packages_adam() -> None:
    gradients = np.random.default_rng(0).normal(size=(50, 3))
    adam, theta, path = Adam(0.01), np.zeros(3), []
    for g in gradients:
        theta = adam.step(theta, g)
        path.append(theta)
    found = misprint("E0-16").corrected(gradients)
    np.testing.assert_allclose(found, path, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("rule", "price"), [("printed", 5), ("corrected", 1)])
def test_e0_17_costs_its_folds_and_never_trains_on_what_it_holds_out(
    rule: str, price: int
) -> None:
    seen: list[int] = []

    def train(rate: float, rows: Any, held_out: Any) -> float:
        assert sorted({*rows, *held_out}) == list(range(50))
        assert len(held_out) == 10
        assert len(rows) == 40
        seen.append(1)
        return abs(rate - 0.3)

    assert getattr(misprint("E0-17"), rule)(train, np.array([0.1, 0.3, 1.0]), 50) == 0.3
    assert len(seen) == 3 * price


@pytest.mark.parametrize(
    ("condition", "winner"),
    [(1.0, "GradientDescent"), (16.0, "GradientDescent"), (64.0, "Adam"), (1e4, "Adam")],
)
def test_e0_18_the_scale_chooses_and_the_number_of_samples_does_not(
    condition: float, winner: str
) -> None:
    entry = misprint("E0-18")
    for n in (20, 500, 2000):
        assert _misprints_0c._winner(n, condition) == winner
        assert entry.corrected(n, condition) == winner
    small = {entry.printed(n, condition) for n in (20, 50, 200, 900)}
    large = {entry.printed(n, condition) for n in (1000, 2000, 60_000)}
    assert (small, large) == ({"GradientDescent"}, {"Adam"})


def test_e0_10_readers_differ_where_the_example_is_silent() -> None:
    entry = misprint("E0-10")
    floor = (3 * np.log(3) - 2 * np.log(2)) / 4  # of one hidden unit on XOR, proved in the book
    results = [entry.printed(reader) for reader in range(3)]
    assert min(results[0], results[2]) > floor > 0.1 > results[1]  # the second has other labels
    assert entry.corrected(0) == entry.corrected(7) < 0.1
    assert not entry.meets(lambda reader: np.log(2))


def test_e0_19_the_sentence_names_two_of_four() -> None:
    entry, names = misprint("E0-19"), ("theta", "gradient", "settings", "memory")
    assert entry.printed(names) == {"theta", "gradient"}
    for left_out in names:
        assert not entry.meets(lambda names, left_out=left_out: set(names) - {left_out})
    usual: Any = {"theta": 1.0, "gradient": 0.5, "settings": 0.1, "memory": ()}
    np.testing.assert_allclose(_misprints_0c._next(**usual), 1 - 0.1, rtol=1e-6)


def test_e0_20_is_the_list_as_printed() -> None:
    entries = misprint("E0-20").printed()
    assert len(entries) == 65
    assert len(set(entries)) == 16
    assert set(entries[15:]) == {("Graph Convolutional Networks", "arXiv:1802.05018")}
    known = [_misprints_0c.WORKS.get(identifier) == title for title, identifier in entries]
    assert [k + 1 for k in range(65) if known[k]] == [1, 3, 4, 5, 7, 12, 13]


def test_e0_20_the_page_has_the_titles_and_numbers_of_the_catalogue() -> None:
    page = nbformat.read(ROOT / "book" / "17_source_audit.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    rows = dict(re.findall(r"^\| (\d+)(?: to 65)? \| (.+?) \|", text, flags=re.MULTILINE))
    assert sorted(map(int, rows)) == list(range(1, 17))
    for k, (title, identifier) in enumerate(misprint("E0-20").printed()[:16], start=1):
        row, number = rows[str(k)], re.findall(r"arXiv:[\d.]+\d", rows[str(k)])
        assert number == [identifier] * identifier.startswith("arXiv"), k
        (named,) = re.findall(r"\*(.+?)\*", row) or [""]
        assert title.startswith(named), k
    assert sum("*" in row for row in rows.values()) >= 12


def test_e0_20_identifiers_and_titles_agree_with_the_bibliography() -> None:
    """Each known arXiv number that the book cites stands there with the same title."""
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    checked = 0
    for identifier, title in _misprints_0c.WORKS.items():
        for entry in bibliography.split("\n@")[1:]:
            if identifier.startswith("arXiv") and identifier in entry:
                given = re.search(r"title\s*=\s*\{(.+?)\}(?:,\n|\n)", entry)
                assert given
                assert re.sub(r"[{}]", "", given[1]).lower() == title.lower(), identifier
                checked += 1
    assert checked == 7, "each but the one on program graphs"
