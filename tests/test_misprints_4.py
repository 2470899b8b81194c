"""The numbers of article 4's failures, from closed forms and from facts outside the package."""

from __future__ import annotations

import math
import re
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from scipy.optimize import minimize

from optlearn.functions import rosenbrock, saddle
from optlearn.gradients import complex_step
from optlearn.misprints import misprint, misprints

HALL = Path(__file__).resolve().parents[1] / "book" / "17_article_4.ipynb"
X = np.array([[1.0], [2.0], [3.0], [4.0]])
SIGNS = np.array([[1.0], [-1.0], [1.0], [-1.0]])


def test_there_are_twelve() -> None:
    assert [e.id for e in misprints(article=4)] == [f"E4-{k:02}" for k in range(1, 13)]


def printed_program() -> str:
    """Return the program as the hall shows it, with a seeded generator for the global one."""
    cells = nbformat.read(HALL, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return re.sub(r"np\.random\.randn\((\d, \d)\)", r"rng.normal(size=(\1))", program)


@pytest.mark.parametrize("passes", [0, 1])
def test_the_rule_is_the_program_that_the_hall_shows(passes: int) -> None:
    memory: dict[str, Any] = {"np": np, "rng": np.random.default_rng(5)}
    exec(printed_program().replace("iterations = 1000", f"iterations = {passes}"), memory)
    w, b = misprint("E4-07").printed(np.random.default_rng(5), passes)
    np.testing.assert_allclose(w, memory["w"], rtol=1e-14)
    np.testing.assert_allclose(b, memory["b"], rtol=1e-14)


def test_the_program_stops_in_its_second_pass_and_says_why() -> None:
    message = re.escape("shapes (4,1) and (4,2) not aligned: 1 (dim 1) != 4 (dim 0)")
    memory: dict[str, Any] = {"np": np, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=message):
        exec(printed_program(), memory)
    assert memory["i"] == 1
    assert memory["w"].shape == memory["b"].shape == (4, 2)
    with pytest.raises(ValueError, match=message):
        misprint("E4-07").printed(np.random.default_rng(0), 2)


def test_giving_w_the_right_shape_alone_does_not_help() -> None:
    memory: dict[str, Any] = {"np": np, "rng": np.random.default_rng(0)}
    program = printed_program().replace("size=(1, 2)", "size=(1, 1)")
    with pytest.raises(ValueError, match="not aligned"):
        exec(program, memory)
    assert memory["i"] == 1 and memory["w"].shape == (4, 1)  # noqa: PT018


def test_the_program_with_fitting_shapes_descends_on_the_articles_loss() -> None:
    w, b = misprint("E4-07").corrected(np.random.default_rng(0), 400)
    start = misprint("E4-07").corrected(np.random.default_rng(0), 0)
    assert w.shape == b.shape == (1, 1)
    assert loss(w, b) < loss(*start) - 0.05


def loss(w: Any, b: Any, targets: np.ndarray = SIGNS) -> Any:
    return np.mean((1 / (1 + np.exp(-(X * w + b))) - targets) ** 2)


def test_the_luckiest_of_fifty_is_as_lucky_as_the_binomial_says() -> None:
    """Accuracies of 100 guesses: the expected maximum of fifty binomial variables, over 100."""
    k = np.arange(101)
    chances = [math.comb(100, n) * 0.1**n * 0.9 ** (100 - n) for n in k]
    below = np.cumsum(chances) ** 50
    expected = np.sum(k * np.diff(below, prepend=0)) / 100
    right = np.random.default_rng(2).random((2, 400, 50, 100)) < 0.1
    entry = misprint("E4-01")
    assert abs(entry.printed(*right).mean() - expected) < 0.005  # 4 errors: sd 0.015 / sqrt(400)
    assert round(expected, 2) == 0.17
    assert abs(entry.corrected(*right).mean() - 0.1) < 0.006


def test_the_chosen_predictor_is_the_best_on_validation() -> None:
    validation = np.array([[1, 0, 0], [1, 1, 0]], bool)
    test = np.array([[1, 1, 1], [0, 1, 0]], bool)
    assert misprint("E4-01").corrected(validation, test) == 1 / 3
    assert misprint("E4-01").printed(validation, test) == 1


def test_ten_steps_grow_or_shrink_by_powers() -> None:
    entry = misprint("E4-02")
    for rule, factor in ((entry.printed, 1.1), (entry.corrected, 0.9)):
        w = 1.0
        for _ in range(10):
            w = rule(w, w, 0.1)
        assert np.isclose(w, factor**10, rtol=1e-12)


def test_one_derivative_is_the_sum_of_the_partial_ones() -> None:
    entry = misprint("E4-03")
    for function in (rosenbrock, saddle):
        theta = np.array([0.7, -0.4])
        exact = function.gradient(theta)
        np.testing.assert_allclose(entry.printed(function.value, theta), exact.sum(), rtol=1e-6)
        np.testing.assert_allclose(entry.corrected(function.value, theta), exact, rtol=1e-6)
    assert not entry.meets(lambda f, theta: -rosenbrock.gradient(theta))
    assert entry.meets(lambda f, theta: rosenbrock.gradient(theta))


def test_of_all_claims_on_what_a_step_changes_one_is_true() -> None:
    entry = misprint("E4-04")
    for answers in product((False, True), repeat=2):
        claim = dict(zip(("sample", "parameters"), answers, strict=True))
        assert entry.meets(claim.__getitem__) == (answers == (False, True))
    assert entry.printed("sample")
    assert not entry.printed("parameters")


def test_when_the_runs_end() -> None:
    entry = misprint("E4-05")
    assert entry.printed(0, 0.49, 1.0)
    assert not entry.printed(10**9, 0.51, 0.0)
    assert entry.corrected(0, 1.0, 0.9e-8)
    assert entry.corrected(10_000, 1.0, -1.0)
    assert not entry.corrected(9_999, 1.0, -1.0)


@pytest.mark.parametrize("z", [-3.0, 0.5, 8.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_slopes_of_the_two_losses_are_their_complex_steps(z: float, y: float) -> None:
    entry = misprint("E4-06")
    by_hand = {
        entry.printed: lambda p: (1 / (1 + np.exp(-p[0])) - y) ** 2,
        entry.corrected: lambda p: np.log(1 + np.exp(p[0])) - y * p[0],
    }
    for rule, value in by_hand.items():
        assert np.isclose(rule(z, y), complex_step(value, np.array([z]))[0], rtol=1e-10)


def test_the_saturated_slopes_have_the_printed_sizes() -> None:
    assert f"{misprint('E4-06').printed(8.0, 0.0):.1e}" == "6.7e-04"
    assert f"{misprint('E4-06').corrected(8.0, 0.0):.4f}" == "0.9997"


@pytest.mark.parametrize("point", [(0.5, -0.5), (-1.2, 2.0)])
def test_gradients_of_the_program_against_complex_steps(point: tuple[float, float]) -> None:
    entry = misprint("E4-08")
    slopes = complex_step(lambda p: loss(p[0], p[1]), np.array(point))
    np.testing.assert_allclose(entry.corrected(*point, X, SIGNS), slopes, rtol=1e-10)
    a = 1 / (1 + np.exp(-(X * point[0] + point[1])))
    dw, db = entry.printed(*point, X, SIGNS)
    assert np.isclose(dw, np.mean((a - SIGNS) * a * (1 - a)))
    assert np.isclose(db, np.mean(a - SIGNS))


def test_labels_of_minus_one_cost_at_least_three_quarters() -> None:
    entry = misprint("E4-09")
    w, b = np.meshgrid(np.linspace(-60, 60, 61), np.linspace(-150, 150, 61))
    with np.errstate(over="ignore"):
        a = 1 / (1 + np.exp(-(X.ravel()[:, None, None] * w + b)))
    losses = np.mean((a - entry.printed(SIGNS)[:, :, None]) ** 2, axis=0)
    assert 0.75 <= losses.min() < 0.75 + 1e-9
    assert entry.corrected(SIGNS).ravel().tolist() == [1, 0, 1, 0]


def test_one_unit_gets_three_right_and_three_hidden_units_all() -> None:
    entry, classes = misprint("E4-10"), np.array([1, 0, 1, 0])
    assert np.sum(entry.printed(X, classes) == classes) == 3
    for labels in product((0, 1), repeat=4):
        wanted = np.array(labels)
        monotone = np.sum(np.diff(wanted) != 0) <= 1
        assert np.array_equal(entry.printed(X, wanted), wanted) == monotone
        if np.any(np.diff(wanted)):  # one label alone needs no hidden unit
            assert np.array_equal(entry.corrected(X, wanted), wanted)


def test_the_best_cross_entropy_on_alternating_labels_is_close_to_that_of_a_guess() -> None:
    """A convex problem: its optimum leaves an accuracy of one half."""
    labels = misprint("E4-09").corrected(SIGNS)

    def entropy(p: np.ndarray) -> float:
        z = X * p[0] + p[1]
        return float(np.mean(np.logaddexp(0, z) - labels * z))

    best = minimize(entropy, [0.0, 0.0], tol=1e-10)
    assert abs(best.fun - 0.586872) < 1e-6
    assert best.fun < np.log(2)
    assert np.mean((X * best.x[0] + best.x[1] > 0) == labels) == 0.5


def test_reports_can_be_repeated_from_a_seed_only() -> None:
    entry = misprint("E4-11")
    assert entry.corrected(3) == entry.corrected(3) != entry.corrected(4)
    assert entry.printed(3) != entry.printed(3)
    report = entry.corrected(3)
    assert np.isclose(report["loss after"], loss(report["w"], report["b"]))
    assert np.isclose(report["loss before"], loss(*np.random.default_rng(3).normal(size=2)))
    assert "loss" not in " ".join(entry.printed(3))


def test_without_a_bias_a_line_through_zero_is_fitted() -> None:
    """The least squares slope of y = 2 x + 3 on -1, 0, 1, 2 through 0 is 3, with error 7.5."""
    x, w, b = np.array([-1.0, 0.0, 1.0, 2.0]), 0.0, 0.0
    for _ in range(500):
        miss = w * x + b - (2 * x + 3)
        w, b = misprint("E4-12").printed(w, b, 2 * np.mean(miss * x), 2 * np.mean(miss), 0.1)
    assert b == 0
    assert np.isclose(w, x @ (2 * x + 3) / (x @ x)) and np.isclose(np.mean(miss**2), 7.5)  # noqa: PT018
    assert misprint("E4-12").corrected(1.0, 2.0, 3.0, 4.0, 0.5) == (-0.5, 0.0)


def test_what_is_asked_of_the_rules_is_asked_of_any_rule() -> None:
    """Rules that are neither printed nor corrected are judged by what they do."""
    verdicts: dict[str, tuple[Any, Any]] = {
        "E4-01": (lambda v, t: v.mean(-1).max(-1), lambda v, t: t[:, 0].mean(-1)),
        "E4-02": (lambda w, g, r: w - 30 * r * g, lambda w, g, r: w - np.sign(g) * r),
        "E4-05": (lambda t, f, g: f < 0.9, lambda t, f, g: t == 5),
        "E4-06": (lambda z, y: 0.1, lambda z, y: z - y),
        "E4-08": (lambda w, b, x, y: (0, 0), misprint("E4-08").corrected),
        "E4-09": (lambda y: 2 * y, lambda y: np.full(4, 0.5)[:, None]),
        "E4-12": (lambda w, b, u, v, r: (w, b - r * v), lambda *_: (2.0, 3.0)),
    }
    for number, (bad, good) in verdicts.items():
        assert not misprint(number).meets(bad), number
        assert misprint(number).meets(good), number
