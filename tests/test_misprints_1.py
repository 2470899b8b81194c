"""The numbers of article 1's failures, against closed forms and hand arithmetic."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from optlearn.misprints import misprint


def test_a_node_has_more_than_one_weight() -> None:
    counting = misprint("E1-01")
    assert counting.corrected((784, 64, 64, 10)) == 785 * 64 + 65 * 64 + 65 * 10 == 55_050
    assert counting.printed((784, 64, 64, 10)) == 2 * (784 + 64 + 64 + 10)


def test_the_slope_is_largest_at_the_inflection_point() -> None:
    lowered = misprint("E1-02")
    assert lowered.printed(1.0) == pytest.approx(np.exp(-0.5))
    assert lowered.printed(0.5) < lowered.printed(1.0) > lowered.printed(3.0)
    assert lowered.corrected(3.0) == pytest.approx(1 - np.exp(-4.5))


def test_a_constant_rate_must_be_tiny_and_a_falling_one_may_start_at_one() -> None:
    schedule = misprint("E1-03")
    assert schedule.meets is not None
    assert schedule.printed(0) == schedule.printed(9999)
    assert schedule.meets(lambda t: 0.0015)  # floor rate/(2 - rate) = 0.00075
    assert not schedule.meets(lambda t: 0.0021)  # and 0.00105
    assert not schedule.meets(lambda t: 1e-5)  # which does not arrive


def test_the_two_readings_of_adams_second_moment() -> None:
    moment = misprint("E1-04")
    alternating, beta = (-1.0) ** np.arange(1000), 0.999
    assert moment.printed(alternating, beta) == pytest.approx(((1 - beta) / (1 + beta)) ** 2)
    assert moment.corrected(alternating, beta) == pytest.approx(1)
    one = np.array([-3.0])
    assert moment.printed(one, beta) == moment.corrected(one, beta) == 9


def test_three_dense_layers_have_two_hidden_ones() -> None:
    layers = misprint("E1-05")
    assert (layers.printed((784, 64, 64, 10)), layers.corrected((784, 64, 64, 10))) == (3, 2)


@pytest.mark.parametrize(
    ("gradient", "program", "formula"),
    [(1e-6, 0.2403, 0.9901), (1e-8, 0.003152, 0.5), (1.0, 1.0, 1.0)],
)
def test_the_first_step_of_keras_beside_that_of_the_formula(
    gradient: float, program: float, formula: float
) -> None:
    step = misprint("E1-06")
    assert -step.printed(gradient) / 1e-3 == pytest.approx(program, rel=1e-3)
    assert -step.corrected(gradient) / 1e-3 == pytest.approx(formula, rel=1e-3)


def test_the_program_stops_with_a_name_error_and_the_complete_one_learns() -> None:
    fit = misprint("E1-07")
    last_line = fit.printed().strip().splitlines()[-1]
    with pytest.raises(NameError, match="x_train"):
        exec(last_line, {"model": type("Model", (), {"fit": None})})
    # One pass instead of ten: enough to see that it learns.
    short = fit.corrected().replace("epochs=10", "epochs=1")
    assert short != fit.corrected()
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(short, {})
    assert float(output.getvalue()) > 0.85


def test_second_derivatives_of_the_loss_and_of_the_gradient() -> None:
    matrix, at = misprint("E1-09"), np.array([0.3, -2.0])
    np.testing.assert_allclose(matrix.corrected(at), [[2, 1], [1, 3]], rtol=1e-12)
    np.testing.assert_allclose(matrix.printed(at), 0, atol=1e-12)


def test_the_edges_of_delayed_descent() -> None:
    edges = [misprint("E1-10").corrected(delay) for delay in range(5)]
    golden = (5**0.5 - 1) / 2
    assert [misprint("E1-10").printed(delay) for delay in range(5)] == [2.0] * 5
    np.testing.assert_allclose(edges, [2, 1, golden, 0.445042, 0.347296], atol=1e-6)
    for delay, edge in enumerate(edges):
        characteristic = np.zeros(delay + 2)
        characteristic[0], characteristic[1] = 1, -1
        characteristic[-1] += edge
        assert np.abs(np.roots(characteristic)).max() == pytest.approx(1, abs=1e-7)


def test_bytes_follow_from_weights_and_bits() -> None:
    stored = misprint("E1-11")
    assert (stored.printed(1000, 8), stored.corrected(1000, 8)) == (4000, 1000)


def test_what_has_no_run_says_so() -> None:
    with pytest.raises(ValueError, match="E1-12 must have a demand to be checked"):
        misprint("E1-12").check()
