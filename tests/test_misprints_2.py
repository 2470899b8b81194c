"""The numbers of article 2's failures, from closed forms and from facts outside the package."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from optlearn.adaptive import Adam
from optlearn.gradients import complex_step
from optlearn.losses import softmax
from optlearn.misprints import misprint, misprints
from optlearn.networks import MLP
from optlearn.training import minibatches

CLAIMS = {
    "E2-02": {"backpropagation": False, "optimizer": True},
    "E2-05": {"gradient": False, "step": True},
    "E2-09": {"RMSProp": False, "Adam": True},
    "E2-13": {"quantization": True, "transfer": False},
    "E2-17": {0.0: True, 0.2: False},
}


def test_there_are_eighteen() -> None:
    assert [e.id for e in misprints(article=2)] == [f"E2-{k:02}" for k in range(1, 19)]


@pytest.mark.parametrize("number", CLAIMS)
def test_of_all_claims_that_could_be_made_the_run_confirms_the_corrected_one(number: str) -> None:
    entry, truth = misprint(number), CLAIMS[number]
    for answers in product((False, True), repeat=len(truth)):
        claim = dict(zip(truth, answers, strict=True))
        assert entry.meets(claim.__getitem__) == (claim == truth)
    assert {part: entry.corrected(part) for part in truth} == truth


def test_the_printed_claims_say_what_the_article_says() -> None:
    assert misprint("E2-02").printed("backpropagation")
    assert misprint("E2-05").printed("gradient")
    assert misprint("E2-09").printed("RMSProp")
    assert misprint("E2-13").printed("transfer")
    assert misprint("E2-17").printed(0.2)


def test_units_that_jump_have_no_slope_and_units_that_bend_have_one() -> None:
    meets = misprint("E2-01").meets
    assert not any(map(meets, (np.sign, np.ceil, np.zeros_like)))
    assert all(map(meets, (np.arctan, lambda z: np.maximum(z, 0), lambda z: z)))
    assert misprint("E2-01").printed(np.array([-2.0, 0.5])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("target", [1.0, 3.0])
def test_the_sentence_solved_for_the_loss_is_blind_to_the_prediction(target: float) -> None:
    rule = misprint("E2-03").printed
    for prediction in (-1.0, 0.0, target):
        loss = rule(prediction, target)
        assert loss == abs(loss - target)
        assert np.isnan(rule(prediction, -target))  # L = |L - y| has no solution
    assert misprint("E2-03").corrected(0.5, target) == (0.5 - target) ** 2


def test_the_sum_over_paths_is_the_complex_step() -> None:
    u, target, w, x = np.array([0.3, -1.1, 2.0]), np.array([1.0, 0.2, -0.4]), -0.8, 1.3
    slope = complex_step(
        lambda w: np.sum((u * np.exp(w[0] * x) - target) ** 2) / 2, np.array([w])
    )[0]
    paths = u * np.exp(w * x) - target, u * np.exp(w * x) * x
    assert np.isclose(misprint("E2-04").corrected(*paths), slope, rtol=1e-12)
    assert misprint("E2-04").printed(*paths).tolist() == (paths[0] * paths[1]).tolist()
    assert misprint("E2-04").corrected(paths[0][:1], paths[1][:1]) == paths[0][0] * paths[1][0]


def test_batches_step_on_the_average_where_the_whole_gradient_steps_at_once() -> None:
    entry, slopes = misprint("E2-06"), np.array([1.0, -2.0, 0.5, 4.0])
    ends = [entry.corrected(2.0, slopes, list(batch), 0.3) for batch in combinations(range(4), 2)]
    assert np.isclose(np.mean(ends), entry.printed(2.0, slopes, [0, 1], 0.3))
    assert np.ptp(ends) > 0.5
    assert np.isclose(entry.corrected(2.0, slopes, [0, 1], 0.3), 2 + 0.3 * 0.5)


def overwritten(beta: Fraction, steps: int) -> list[Fraction]:
    """Average ones from 0, divide by 1 - beta^t, and go on from there: in exact arithmetic."""
    value, values = Fraction(0), []
    for t in range(1, steps + 1):
        value = (beta * value + 1 - beta) / (1 - beta**t)
        values.append(value)
    return values


def test_adam_in_place_stops_as_exact_arithmetic_says() -> None:
    entry = misprint("E2-07")
    m, v = overwritten(Fraction(9, 10), 6), overwritten(Fraction(999, 1000), 6)
    assert [round(float(x), 1) for x in v[:3]] == [1.0, 500.3, 166750.3]
    steps = -np.diff(entry.printed(lambda _: 1.0, 0.0, 6)) / 0.1
    np.testing.assert_allclose(
        steps, [float(a) / float(b) ** 0.5 for a, b in zip(m, v, strict=True)], rtol=1e-7
    )
    np.testing.assert_allclose(-np.diff(entry.corrected(lambda _: 1.0, 0.0, 6)), 0.1, rtol=1e-7)


def test_adam_in_place_freezes_on_a_bowl_where_adam_arrives() -> None:
    entry = misprint("E2-07")
    frozen = entry.printed(lambda w: w, 1.0, 1000)
    np.testing.assert_allclose(frozen[[10, 1000]], 0.871535, atol=1e-5)
    assert abs(entry.corrected(lambda w: w, 1.0, 1000)[-1]) < 1e-6


def test_betas_reach_both_rules_of_adam() -> None:
    entry = misprint("E2-07")
    for rule in (entry.printed, entry.corrected):
        first, second = (rule(lambda w: w, 1.0, 3, beta2=beta2) for beta2 in (0.9, 0.99))
        assert not np.allclose(first, second, rtol=1e-6)
    signs = entry.corrected(lambda w: w, 1.0, 4, rate=0.5, beta1=0.0, beta2=0.0)
    np.testing.assert_allclose(np.abs(np.diff(signs))[:2], 0.5, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.9, 0.5])
def test_the_square_of_an_average_is_not_the_average_of_squares(beta: float) -> None:
    entry, gradients = misprint("E2-08"), np.array([2.0, -1.0, 3.0])
    weights = (1 - beta) * beta ** np.array([2, 1, 0])
    assert np.isclose(entry.corrected(gradients, beta), weights @ gradients**2)
    assert np.isclose(entry.printed(gradients, beta), (weights @ gradients) ** 2)


def test_on_a_zigzag_the_two_readings_make_steps_2514_times_apart() -> None:
    entry, zigzag, beta, n = misprint("E2-08"), (-1.0) ** np.arange(1000), 0.999, 1000
    said = ((1 - beta) * (1 - (-beta) ** n) / (1 + beta)) ** 2
    np.testing.assert_allclose(entry.printed(zigzag, beta), said, rtol=1e-9)
    np.testing.assert_allclose(entry.corrected(zigzag, beta), 1 - beta**n, rtol=1e-9)
    ratio = (entry.corrected(zigzag, beta) / entry.printed(zigzag, beta)) ** 0.5
    assert round(ratio) == 2514


def test_rmsprop_in_place_shrinks_its_first_steps_and_hintons_rule_its_late_ones() -> None:
    entry = misprint("E2-10")
    steps = -np.diff(entry.printed(lambda _: 1.0, 0.0, 5, rate=0.01))
    np.testing.assert_allclose(
        steps, [0.01, 0.004359, 0.002367, 0.001459, 0.000983], atol=5e-7
    )  # the recursion by hand: s = 1, 5.26, 17.8, 47.0, 103.6
    exact = overwritten(Fraction(9, 10), 5)
    np.testing.assert_allclose(steps, [0.01 / float(s) ** 0.5 for s in exact], rtol=1e-7)
    t = np.arange(1, 6)
    steps = -np.diff(entry.corrected(lambda _: 1.0, 0.0, 5, rate=0.01, beta2=0.99))
    np.testing.assert_allclose(steps, 0.01 / np.sqrt(1 - 0.99**t), rtol=1e-6)


def test_a_cast_leaves_nothing_of_small_weights_and_a_grid_all_but_half_a_step() -> None:
    entry, weights = misprint("E2-11"), np.array([-0.99, 0.3, 0.0, 0.999, 1.7])
    assert entry.printed(weights).tolist() == [0, 0, 0, 0, 1]
    left = entry.corrected(weights)
    assert left[2] == 0
    assert np.max(np.abs(left - weights)) <= (1.7 + 0.99) / 255 / 2 * (1 + 1e-12)


def test_the_binary_representation_is_that_of_ieee_754_and_loses_nothing() -> None:
    entry = misprint("E2-12")
    for number in (0.15625, -3.7):
        bits, left = entry.printed(np.array([number]))
        exact = struct.pack(">f", number)
        assert "".join(map(str, bits[0])) == "".join(f"{byte:08b}" for byte in exact)
        assert left[0] == struct.unpack(">f", exact)[0]


def test_signs_take_a_bit_and_lose_what_the_normal_distribution_says() -> None:
    weights = np.random.default_rng(1).normal(size=40_000)
    bits, left = misprint("E2-12").corrected(weights)
    assert bits.shape == (40_000, 1)
    assert set(bits.ravel()) == {0, 1}
    assert np.array_equal(np.unique(np.abs(left)), [np.mean(np.abs(weights))])
    assert np.array_equal(np.sign(left), np.sign(weights))
    error = np.sum((left - weights) ** 2) / np.sum(weights**2)
    assert abs(error - (1 - 2 / np.pi)) < 0.02


def test_weights_can_be_averaged_only_if_the_units_have_one_order() -> None:
    entry, network = misprint("E2-14"), MLP((2, 6, 3))
    rng = np.random.default_rng(3)
    theta, x = network.init(rng), rng.normal(size=(5, 2))
    own = softmax(network.forward(theta, x))
    for rule in (entry.printed, entry.corrected):
        np.testing.assert_allclose(rule(network, np.stack([theta, theta]), x), own)
    other = network.init(rng)
    both = (own + softmax(network.forward(other, x))) / 2
    np.testing.assert_allclose(entry.corrected(network, np.stack([theta, other]), x), both)
    assert not np.allclose(entry.printed(network, np.stack([theta, other]), x), both, atol=1e-3)


def test_the_articles_batch_is_noise_with_labels_of_its_own() -> None:
    entry, rng = misprint("E2-15"), np.random.default_rng(0)
    x, y = entry.printed(rng)
    assert x.shape == (64, 784)
    assert y.shape == (64,)
    assert 0 <= x.min() < x.max() < 1
    assert set(entry.printed(rng, 2000)[1]) == set(range(10))
    again, labels = entry.printed(rng)
    assert not np.array_equal(again, x)
    assert not np.array_equal(labels, y)
    means = np.array([x[y == label].mean() for label in range(10) if np.any(y == label)])
    assert np.ptp(means) < 0.05  # no pixel knows the label
    x, y = entry.corrected(rng)
    assert np.array_equal(x.reshape(64, 28, 28).mean(axis=2).argmax(axis=1), y)


def test_a_guess_of_a_tenth_costs_ln_10() -> None:
    network = MLP((784, 10))
    x, y = misprint("E2-15").printed(np.random.default_rng(0))
    loss, _ = network.loss_and_grad(np.zeros(network.n_parameters), x, y)
    assert np.isclose(loss, np.log(10))


def test_pictures_teach_nothing_once_their_labels_are_exchanged() -> None:
    entry = misprint("E2-15")

    def exchanged(rng: np.random.Generator, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
        x, y = entry.corrected(rng, size)
        return x, rng.permutation(y)

    assert not entry.meets(exchanged)


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 1000])
def test_an_epoch_has_as_many_steps_as_batches(samples: int) -> None:
    batches = list(minibatches(samples, min(64, samples), np.random.default_rng(0)))
    assert misprint("E2-16").corrected(samples, 64) == len(batches)
    assert misprint("E2-16").printed(samples, 64) == 1
    assert misprint("E2-16").corrected(60_000, 64) == 938


def test_the_average_holds_the_present_gradient_as_adams_does() -> None:
    entry, rule, gradients = misprint("E2-18"), Adam(0.1, beta1=0.6), [3.0, -1.0, 2.0]
    for t in range(1, 4):
        rule.step(np.zeros(1), np.array(gradients[t - 1 : t]))
        assert np.isclose(entry.corrected(gradients[:t], 0.6), rule.m[0])
        late = entry.corrected(gradients[: t - 1], 0.6) if t > 1 else 0.0
        assert entry.printed(gradients[:t], 0.6) == late


def test_what_is_asked_of_the_rules_is_asked_of_any_rule() -> None:
    """Rules that are neither printed nor corrected are judged by what they do."""
    verdicts: dict[str, tuple[Any, Any]] = {
        "E2-03": (lambda p, y: 1.0, lambda p, y: abs(p - y)),
        "E2-04": (lambda a, b: np.max(a * b), lambda a, b: float(np.dot(a, b))),
        "E2-06": (lambda w, s, b, r: w - r * s[-1], lambda w, s, b, r: w - r * s[b[0]]),
        "E2-08": (lambda g, beta: abs(np.mean(g)), lambda g, beta: np.mean(np.abs(g))),
        "E2-11": (np.rint, lambda w: w),
        "E2-16": (lambda n, b: n // b, lambda n, b: -(-n // b)),
        "E2-18": (lambda g, beta: np.mean(g), _m),
    }
    for number, (bad, good) in verdicts.items():
        assert not misprint(number).meets(bad), number
        assert misprint(number).meets(good), number


def _m(gradients: list[float], beta: float) -> float:
    powers = beta ** np.arange(len(gradients))[::-1]
    return float((1 - beta) * powers @ gradients)
