"""Optimizers against recorded steps, closed forms and invariances."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from comparisons import load, optimizer_distance
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from optlearn._memory import LINE, aligned_zeros, blocks
from optlearn.optimizers import AdaGrad, Adam, AdamW, GradientDescent, Momentum, RMSProp

Array = NDArray[Any]
ORACLE = load("optimizers")

# Every class with every switch; a call with a learning rate makes a fresh optimizer.
VARIANTS: dict[str, Callable[[Any], Any]] = {
    "gradient descent": GradientDescent,
    "heavy ball": Momentum,
    "ema": lambda lr: Momentum(lr, form="ema"),
    "nesterov": lambda lr: Momentum(lr, form="nesterov"),
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "rmsprop eps inside": lambda lr: RMSProp(lr, eps_inside=True),
    "rmsprop corrected": lambda lr: RMSProp(lr, bias_correction=True),
    "adam": Adam,
    "adam eps inside": lambda lr: Adam(lr, eps_inside=True),
    "adam uncorrected": lambda lr: Adam(lr, bias_correction=False),
    "amsgrad": lambda lr: Adam(lr, amsgrad=True),
    "adamw": AdamW,
    "adamw amsgrad": lambda lr: AdamW(lr, amsgrad=True, weight_decay=0.1),
}
SCALE_FREE: dict[str, Callable[[Any], Any]] = {
    "adagrad": lambda lr: AdaGrad(lr, eps=0.0),
    "rmsprop": lambda lr: RMSProp(lr, eps=0.0),
    "rmsprop corrected": lambda lr: RMSProp(lr, eps=0.0, bias_correction=True),
    "adam": lambda lr: Adam(lr, eps=0.0),
    "adam uncorrected": lambda lr: Adam(lr, eps=0.0, bias_correction=False),
    "amsgrad": lambda lr: Adam(lr, eps=0.0, amsgrad=True),
    "adamw": lambda lr: AdamW(lr, eps=0.0),
}
every_variant = pytest.mark.parametrize("make", VARIANTS.values(), ids=VARIANTS.keys())
seeds = st.integers(0, 2**32 - 1)


def trajectory(optimizer: Any, theta: Array, gradients: Iterable[Array]) -> Array:
    """Every theta after every step, shape (steps, ...)."""
    path = []
    for gradient in gradients:
        theta = optimizer.step(theta, gradient)
        path.append(theta)
    return np.array(path)


def descend(optimizer: Any, theta: Array, slope: Callable[[Array], Array], steps: int) -> Array:
    """Follow the gradient `slope` for some steps; returns (steps + 1, ...) with the start."""
    path = [theta]
    for _ in range(steps):
        path.append(optimizer.step(path[-1], slope(path[-1])))
    return np.array(path)


def random_quadratic(seed: int) -> tuple[Array, Array, float]:
    """A symmetric positive definite matrix, a start and a rate below 2 / L."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    eigenvalues = 10.0 ** rng.uniform(-2, 2, size=n)
    return (
        (basis * eigenvalues) @ basis.T,
        rng.normal(size=n),
        float(rng.uniform(0.1, 1.9) / eigenvalues.max()),
    )


def random_run(seed: int, steps: int = 20, shape: tuple[int, ...] = (5,)) -> tuple[Array, Array]:
    """A start and gradients of many scales."""
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-3, 3, size=(steps, *shape))
    return rng.normal(size=shape), scales * rng.normal(size=(steps, *shape))


# Recorded steps ---------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [False, True], ids=["pure", "in place"])
@pytest.mark.parametrize("run", ORACLE["runs"])
def test_three_hundred_steps_agree_with_pytorch_and_optax(run: str, in_place: bool) -> None:
    # Each of the 300 steps rounds to about 1e-16 of theta, in either library.
    assert optimizer_distance(ORACLE, run, in_place=in_place) < 1e-12


def test_the_recorded_gradients_span_six_orders_of_magnitude_and_have_a_silent_start() -> None:
    gradients = np.array(ORACLE["gradients"])
    sizes = np.abs(gradients).mean(axis=0)
    assert sizes.max() / sizes.min() > 1e5
    assert not gradients[:40, 5].any()
    assert gradients[40:, 5].all()


def test_the_recorded_runs_differ_from_each_other() -> None:
    # Were two variants recorded as one, agreement with both would say nothing.
    ends = [tuple(run["theta"][-1]) for run in ORACLE["runs"].values()]
    assert len(set(ends)) == len(ends)


# The step as a function -------------------------------------------------------------


@every_variant
def test_writing_into_theta_gives_the_bits_of_the_pure_step(make: Callable[..., Any]) -> None:
    start, gradients = random_run(0, steps=100)
    pure = trajectory(make(0.01), start, gradients)
    optimizer, theta = make(0.01), start.copy()
    for expected, gradient in zip(pure, gradients, strict=True):
        assert optimizer.step(theta, gradient, out=theta) is theta
        assert_array_equal(theta, expected, strict=True)


@every_variant
def test_writing_into_another_array_gives_the_bits_of_the_pure_step(
    make: Callable[..., Any],
) -> None:
    start, gradients = random_run(1, steps=10)
    pure = trajectory(make(0.01), start, gradients)
    optimizer, theta = make(0.01), start
    for expected, gradient in zip(pure, gradients, strict=True):
        before, room = theta.copy(), np.full_like(theta, np.nan)
        assert optimizer.step(theta, gradient, out=room) is room
        assert_array_equal(theta, before, strict=True)
        assert_array_equal(room, expected, strict=True)
        theta = room


@every_variant
def test_the_pure_step_changes_neither_theta_nor_gradient(make: Callable[..., Any]) -> None:
    start, gradients = random_run(2)
    optimizer, theta = make(0.01), start
    for gradient in gradients:
        theta_before, gradient_before = theta.copy(), gradient.copy()
        following = optimizer.step(theta, gradient)
        assert not np.may_share_memory(following, theta)
        assert_array_equal(theta, theta_before)
        assert_array_equal(gradient, gradient_before)
        theta = following


@every_variant
def test_no_state_shares_memory_with_the_callers_arrays(make: Callable[..., Any]) -> None:
    start, gradients = random_run(3, steps=2)
    untouched = trajectory(make(0.01), start, gradients)
    optimizer, gradient = make(0.01), gradients[0].copy()
    theta = optimizer.step(start, gradient)
    gradient[:] = np.nan  # the caller re-uses the buffer
    assert_array_equal(optimizer.step(theta, gradients[1]), untouched[1])


@pytest.mark.parametrize("rate", ["float", "array", "schedule"])
@every_variant
def test_nothing_is_allocated_after_the_first_step_in_place(
    make: Callable[..., Any], rate: str
) -> None:
    lr = {"float": 0.01, "array": np.full((2, 1), 0.01), "schedule": lambda taken: 0.01}[rate]
    rng = np.random.default_rng(4)
    theta, gradient = rng.normal(size=(2, 2, 50_000))
    optimizer = make(lr)
    optimizer.step(theta, gradient, out=theta)
    tracemalloc.start()
    try:
        optimizer.step(theta, gradient, out=theta)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(3):
            optimizer.step(theta, gradient, out=theta)
        growth = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # Python numbers and NumPy's iterators come and go; an array of theta's shape would be
    # 800,000 bytes, a mask of it 100,000.
    assert growth < 4000


@every_variant
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", ["float", "numpy float", "array", "schedule of numpy floats"])
def test_the_dtype_of_theta_is_kept_in_the_step_and_in_every_state(
    make: Callable[..., Any], dtype: type, rate: str
) -> None:
    lr = {
        "float": 0.01,
        "numpy float": np.float64(0.01),
        "array": np.full((3, 1), 0.01),
        "schedule of numpy floats": lambda taken: np.float64(0.01) / (1 + taken),
    }[rate]
    start, gradients = random_run(5, shape=(3, 4))
    optimizer = make(lr)
    path = trajectory(optimizer, start.astype(dtype), gradients.astype(dtype))
    assert path.dtype == dtype
    for name in "umvs":
        state = getattr(optimizer, name, None)
        assert state is None or (state.dtype == dtype and state.shape == (3, 4))
    # float32 rounds to 6e-8 relative at each of 20 steps and in the states.
    reference = trajectory(make(lr), start, gradients)
    tolerance = 2e-5 if dtype is np.float32 else 0
    assert_allclose(path, reference, rtol=tolerance, atol=tolerance)


@every_variant
def test_independent_runs_equal_the_single_runs(make: Callable[..., Any]) -> None:
    rates = np.array([0.5, 0.02, 0.001])
    start, gradients = random_run(6, shape=(3, 4))
    together = trajectory(make(rates[:, None]), start, gradients)
    for run, lr in enumerate(rates.tolist()):
        alone = trajectory(make(lr), start[run], gradients[:, run])
        # A rate that is an array may be multiplied in at another place: one more rounding.
        assert_allclose(together[:, run], alone, rtol=0, atol=1e-14 * np.abs(alone).max())


@every_variant
def test_a_schedule_is_asked_once_a_step_with_the_number_of_steps_taken(
    make: Callable[..., Any],
) -> None:
    asked: list[int] = []

    def schedule(taken: int) -> float:
        asked.append(taken)
        return 0.1 / (1 + taken)

    start, gradients = random_run(7, steps=5)
    scheduled = trajectory(make(schedule), start, gradients)
    assert asked == [0, 1, 2, 3, 4]
    # The same steps by hand: set the rate before each of them.
    optimizer, theta = make(0.1), start
    for taken, gradient in enumerate(gradients):
        optimizer.lr = 0.1 / (1 + taken)
        theta = optimizer.step(theta, gradient)
        assert_array_equal(theta, scheduled[taken])


@every_variant
def test_reset_forgets_everything(make: Callable[..., Any]) -> None:
    start, gradients = random_run(8)
    optimizer = make(0.01)
    first = trajectory(optimizer, start, gradients)
    assert optimizer.t == len(gradients)
    optimizer.reset()
    assert optimizer.t == 0
    assert not any(np.any(getattr(optimizer, state, 0)) for state in "umvs")
    assert_array_equal(trajectory(optimizer, start, gradients), first)
    optimizer.reset()
    assert optimizer.step(np.ones(2), np.ones(2)).shape == (2,)


@every_variant
def test_reset_forgets_the_dtype_of_the_steps_before(make: Callable[..., Any]) -> None:
    # A rate that was rounded to float32 for float32 steps must be 0.1 again afterwards.
    start, gradients = random_run(11)
    rates = np.full(5, 0.1)
    optimizer = make(rates)
    trajectory(optimizer, start.astype(np.float32), gradients.astype(np.float32))
    optimizer.reset()
    assert_array_equal(
        trajectory(optimizer, start, gradients), trajectory(make(rates), start, gradients)
    )


@every_variant
def test_the_rate_can_be_replaced_between_steps(make: Callable[..., Any]) -> None:
    start, gradients = random_run(12, steps=3)
    rates: list[Any] = [np.full(5, 0.1), 1, np.full(5, 0.01)]
    scheduled = trajectory(make(lambda taken: rates[taken]), start, gradients)
    optimizer, theta = make(rates[0]), start
    for lr, gradient, expected in zip(rates, gradients, scheduled, strict=True):
        optimizer.lr = lr
        theta = optimizer.step(theta, gradient)
        assert_array_equal(theta, expected)


@every_variant
def test_a_copy_continues_on_its_own(make: Callable[..., Any]) -> None:
    start, gradients = random_run(9)
    optimizer = make(0.01)
    whole = trajectory(make(0.01), start, gradients)
    theta = trajectory(optimizer, start, gradients[:10])[-1]
    twin = optimizer.copy()
    trajectory(twin, np.zeros(5), 7.0 * gradients)  # must not disturb the original
    assert twin.t == 30
    assert optimizer.t == 10
    assert_array_equal(trajectory(optimizer.copy(), theta, gradients[10:]), whole[10:])
    assert_array_equal(trajectory(optimizer, theta, gradients[10:]), whole[10:])


# Invariances ------------------------------------------------------------------------


@every_variant
@given(seed=seeds)
def test_mirrored_coordinates_take_mirrored_steps(make: Callable[..., Any], seed: int) -> None:
    start, gradients = random_run(seed)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=5)
    mirrored = trajectory(make(0.1), signs * start, signs * gradients)
    assert_array_equal(mirrored, signs * trajectory(make(0.1), start, gradients))


@every_variant
@given(seed=seeds)
def test_coordinates_do_not_see_each_other(make: Callable[..., Any], seed: int) -> None:
    start, gradients = random_run(seed)
    order = np.random.default_rng(seed).permutation(5)
    permuted = trajectory(make(0.1), start[order], gradients[:, order])
    assert_array_equal(permuted, trajectory(make(0.1), start, gradients)[:, order])


@pytest.mark.parametrize("make", SCALE_FREE.values(), ids=SCALE_FREE.keys())
@given(seed=seeds, power=st.integers(-30, 30))
def test_without_eps_gradients_scaled_by_a_power_of_two_give_the_same_bits(
    make: Callable[..., Any], seed: int, power: int
) -> None:
    # Powers of two pass squares, roots and quotients without rounding.
    start, gradients = random_run(seed)
    scaled = trajectory(make(0.1), start, 2.0**power * gradients)
    assert_array_equal(scaled, trajectory(make(0.1), start, gradients))


@pytest.mark.parametrize("make", SCALE_FREE.values(), ids=SCALE_FREE.keys())
def test_without_eps_a_coordinate_without_gradient_stays_and_nothing_warns(
    make: Callable[..., Any],
) -> None:
    optimizer, theta = make(0.5), np.array([3.0, 3.0])
    decay = getattr(optimizer, "weight_decay", 0.0)
    with np.errstate(all="raise"):
        for _ in range(5):
            theta = optimizer.step(theta, np.array([0.0, 1.0]))
    # Five products round.
    assert_allclose(theta[0], 3.0 * (1 - 0.5 * decay) ** 5, rtol=1e-15)
    assert theta[1] < 3.0


def test_without_eps_momentum_alone_does_not_move_a_coordinate_whose_average_is_zero() -> None:
    # beta2 = 0 forgets the square at once: after a gradient of 1, then 0, m is 0.09 and v is 0.
    optimizer = Adam(0.5, beta2=0.0, eps=0.0)
    with np.errstate(all="raise"):
        theta = optimizer.step(np.array([3.0]), np.array([1.0]))
        assert_array_equal(theta, [2.5])
        assert_array_equal(optimizer.step(theta, np.array([0.0])), theta)
    assert_allclose(optimizer.m, [0.09], rtol=1e-15)
    assert_array_equal(optimizer.v, [0.0])


@pytest.mark.parametrize(
    ("make", "state", "decay"),
    [
        (lambda: Momentum(0.1), "u", 0.9),
        (lambda: Momentum(0.1, form="ema", beta=0.5), "u", 0.5),
        (lambda: Adam(0.1), "m", 0.9),
    ],
    ids=["heavy ball", "ema", "adam"],
)
def test_averages_of_a_gradient_that_has_died_fade_to_zero(
    make: Callable[[], Any], state: str, decay: float
) -> None:
    # Subnormal numbers slow a processor down, and 0.9 of the smallest one is itself again.
    optimizer, theta = make(), np.zeros(2, dtype=np.float32)
    alive = np.array([0.0, 1e-3], dtype=np.float32)
    theta = optimizer.step(theta, np.ones(2, dtype=np.float32))
    first = float(getattr(optimizer, state)[0])
    smallest = float(np.finfo(np.float32).smallest_normal)
    for t in range(1, 1200):
        theta = optimizer.step(theta, alive)
        fading = float(getattr(optimizer, state)[0])
        if first * decay**t > 1e-29:  # far above any subnormal: nothing may be lost yet
            assert_allclose(fading, first * decay**t, rtol=1e-4)
        elif first * decay ** (t - 64) < smallest:
            assert fading == 0.0
    assert getattr(optimizer, state)[1] > 1e-4


@pytest.mark.parametrize(
    "make",
    [
        *(
            lambda form=form: Momentum(0.1, form=form)
            for form in ("heavy-ball", "ema", "nesterov")
        ),
        lambda: Adam(0.1, beta2=0.9),
        lambda: Adam(0.1, beta2=0.9, eps_inside=True),
        lambda: AdamW(0.1, beta2=0.9),
        lambda: RMSProp(0.1),
        lambda: RMSProp(0.1, bias_correction=True),
    ],
)
def test_no_state_stays_subnormal(make: Callable[[], Any]) -> None:
    # Two coordinates get gradients for a while, two for ever, one of these tiny ones.
    optimizer, theta = make(), np.zeros(4, dtype=np.float32)
    start = np.array([1.0, 1e-4, 1.0, 1e-15], dtype=np.float32)
    for t in range(64 * 40):
        theta = optimizer.step(theta, start if t < 5 else start * np.float32([0, 0, 1, 1]))
    smallest = float(np.finfo(np.float32).smallest_normal)
    for name in optimizer._states:
        size = np.abs(getattr(optimizer, name))
        assert np.all((size == 0) | (size >= smallest)), name
        assert name == "_largest" or (size[:2] == 0).all(), name


def test_without_eps_the_smallest_squares_are_kept() -> None:
    # 1e-20 squared is subnormal in float32; with eps = 0 the step is lr whatever the scale.
    optimizer, theta = RMSProp(0.5, eps=0.0), np.zeros(1, dtype=np.float32)
    for _ in range(200):
        theta = optimizer.step(theta, np.array([1e-20], dtype=np.float32))
    assert_allclose(theta, [-0.5 * 200], rtol=0.05)  # 1/sqrt(1 - 0.9^t) adds three steps' worth


@pytest.mark.parametrize("make", [GradientDescent, Momentum, Adam, RMSProp])
def test_gradients_as_small_as_1e_25_still_count_in_float32(make: Callable[..., Any]) -> None:
    paths = []
    for dtype in (np.float32, np.float64):
        gradients = np.full((200, 2), 1e-25, dtype=dtype)
        paths.append(trajectory(make(1e20), np.zeros(2, dtype=dtype), gradients))
    # Squares underflow in float32, yet eps is far larger than their roots: 200 roundings.
    assert_allclose(*paths, rtol=1e-4)


# Gradient descent and momentum ------------------------------------------------------


@given(seed=seeds, steps=st.integers(1, 40))
def test_gradient_descent_on_a_quadratic_is_a_matrix_power(seed: int, steps: int) -> None:
    matrix, start, lr = random_quadratic(seed)
    end = descend(GradientDescent(lr), start, lambda theta: matrix @ theta, steps)[-1]
    power = np.linalg.matrix_power(np.eye(len(start)) - lr * matrix, steps)
    # The steps round to 1e-16 each and are not amplified, as lr < 2 / L.
    assert_allclose(end, power @ start, rtol=0, atol=1e-13 * np.linalg.norm(start))


def companion_matrix(form: str, matrix: Array, lr: float, beta: float) -> Array:
    """What one step does to (theta, u) when the gradient is `matrix` times theta."""
    eye = np.eye(len(matrix))
    gain = 1 - beta if form == "ema" else 1.0
    buffer = np.hstack([gain * matrix, beta * eye])
    direction = buffer if form != "nesterov" else beta * buffer + np.hstack([matrix, 0 * eye])
    return np.vstack([np.hstack([eye, 0 * eye]) - lr * direction, buffer])


@pytest.mark.parametrize("form", ["heavy-ball", "ema", "nesterov"])
@given(seed=seeds, beta=st.floats(0.0, 0.95), steps=st.integers(1, 40))
def test_momentum_on_a_quadratic_is_the_power_of_its_companion_matrix(
    form: str, seed: int, beta: float, steps: int
) -> None:
    matrix, start, lr = random_quadratic(seed)
    optimizer = Momentum(lr, beta=beta, form=form)
    end = descend(optimizer, start, lambda theta: matrix @ theta, steps)[-1]
    companion = companion_matrix(form, matrix, lr, beta)
    power = np.linalg.matrix_power(companion, steps)
    expected = power @ np.concatenate([start, 0 * start])
    # Rounding grows with the powers that came before (Nesterov may diverge here).
    growth = max(np.abs(np.linalg.matrix_power(companion, k)).max() for k in range(steps + 1))
    assert_allclose(end, expected[: len(start)], rtol=0, atol=1e-12 * growth)
    assert_allclose(optimizer.u, expected[len(start) :], rtol=0, atol=1e-12 * growth)


@given(seed=seeds, beta=st.floats(0.0, 0.99))
def test_heavy_ball_is_the_recursion_of_polyak(seed: int, beta: float) -> None:
    # Polyak (1964): theta_{t+1} = theta_t - lr g(theta_t) + beta (theta_t - theta_{t-1}).
    matrix, start, lr = random_quadratic(seed)
    path = descend(Momentum(lr, beta=beta), start, lambda theta: matrix @ theta, 30)
    inertia = beta * (path[1:-1] - path[:-2])
    expected = path[1:-1] - lr * path[1:-1] @ matrix + inertia
    # One step of rounding at the largest theta that was met.
    assert_allclose(path[2:], expected, rtol=0, atol=1e-13 * np.abs(path).max())


@given(seed=seeds, beta=st.floats(0.0, 0.95))
def test_nesterov_walks_the_look_ahead_points_of_the_two_sequences(seed: int, beta: float) -> None:
    # Nesterov (1983): x_{t+1} = y_t - lr g(y_t), y_{t+1} = x_{t+1} + beta (x_{t+1} - x_t).
    matrix, start, lr = random_quadratic(seed)
    lr /= 2  # below the stability edge of Nesterov's form
    path = descend(
        Momentum(lr, beta=beta, form="nesterov"), start, lambda theta: matrix @ theta, 30
    )
    x, y = start, start
    for theta in path[1:]:
        x_next = y - lr * matrix @ y
        x, y = x_next, x_next + beta * (x_next - x)
        # Thirty steps of rounding, none of them amplified by a stable iteration.
        assert_allclose(theta, y, rtol=0, atol=1e-11 * np.abs(path).max())


@given(seed=seeds, beta=st.floats(0.0, 0.99))
def test_the_moving_average_with_rate_over_one_minus_beta_is_heavy_ball(
    seed: int, beta: float
) -> None:
    start, gradients = random_run(seed)
    ball = trajectory(Momentum(0.1, beta=beta), start, gradients)
    average = trajectory(Momentum(0.1 / (1 - beta), beta=beta, form="ema"), start, gradients)
    # (1 - beta) / (1 - beta) leaves a rounding error of 1e-16 in each of 20 terms.
    assert_allclose(average, ball, rtol=0, atol=1e-13 * np.abs(ball).max())


@pytest.mark.parametrize("form", ["heavy-ball", "ema", "nesterov"])
@given(seed=seeds)
def test_momentum_with_beta_zero_is_gradient_descent(form: str, seed: int) -> None:
    start, gradients = random_run(seed)
    still = trajectory(Momentum(0.1, beta=0.0, form=form), start, gradients)
    assert_array_equal(still, trajectory(GradientDescent(0.1), start, gradients))


def test_two_steps_of_each_momentum_by_hand() -> None:
    # Gradients 1 and 2, lr 1, beta 1/2, from 0. All numbers are exact in binary.
    gradients = np.array([[1.0], [2.0]])
    expected = {"heavy-ball": [-1.0, -3.5], "ema": [-0.5, -1.75], "nesterov": [-1.5, -4.75]}
    for form, values in expected.items():
        path = trajectory(Momentum(1.0, beta=0.5, form=form), np.zeros(1), gradients)
        assert_array_equal(path[:, 0], values)


# AdaGrad, RMSProp, Adam -------------------------------------------------------------


def test_adagrad_under_a_constant_gradient_steps_by_the_rate_over_root_t() -> None:
    path = trajectory(AdaGrad(0.5, eps=0.0), np.zeros(1), np.full((50, 1), 3.0))
    expected = -0.5 * np.cumsum(1 / np.sqrt(np.arange(1, 51)))
    # Sums of squares of 3 are exact; the fifty additions round.
    assert_allclose(path[:, 0], expected, rtol=1e-14)


def test_the_first_step_of_rmsprop_is_the_rate_over_root_one_minus_rho() -> None:
    step = RMSProp(0.1, rho=0.9, eps=0.0).step(np.zeros(3), np.array([1e-3, -1.0, 1e3]))
    # A square, a root and a quotient round once each.
    assert_allclose(step, 0.1 / np.sqrt(0.1) * np.array([-1, 1, -1]), rtol=1e-15)


@given(gradient=st.floats(1e-6, 1e6), eps=st.floats(0.0, 10.0))
def test_eps_sits_outside_the_root_unless_asked(gradient: float, eps: float) -> None:
    g = np.array([gradient, -gradient])
    outside, inside = g / (np.abs(g) + eps), g / np.sqrt(g * g + eps)
    for make in (Adam, lambda lr, **kw: RMSProp(lr, bias_correction=True, **kw)):
        # (1 - beta2) g^2 / (1 - beta2) and its root round three times.
        assert_allclose(make(1.0, eps=eps).step(0 * g, g), -outside, rtol=1e-15)
        assert_allclose(make(1.0, eps=eps, eps_inside=True).step(0 * g, g), -inside, rtol=1e-15)
    assert_allclose(AdaGrad(1.0, eps=eps).step(0 * g, g), -outside, rtol=1e-15)


@given(seed=seeds)
def test_corrected_rmsprop_is_adam_without_first_moment(seed: int) -> None:
    start, gradients = random_run(seed)
    rmsprop = RMSProp(0.1, rho=0.99, eps=1e-6, bias_correction=True)
    adam = Adam(0.1, beta1=0.0, beta2=0.99, eps=1e-6)
    assert_array_equal(trajectory(rmsprop, start, gradients), trajectory(adam, start, gradients))


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_under_a_constant_gradient_always_steps_by_the_rate(amsgrad: bool) -> None:
    # m / (1 - beta1^t) = g and v / (1 - beta2^t) = g^2 for every t.
    optimizer = Adam(0.25, eps=0.0, amsgrad=amsgrad)
    path = trajectory(optimizer, np.zeros(2), np.tile([1e-3, -40.0], (100, 1)))
    steps = np.diff(path, axis=0, prepend=np.zeros((1, 2)))
    # 1 - 0.999 carries a relative rounding error of 1e-13.
    assert_allclose(steps, np.tile([-0.25, 0.25], (100, 1)), rtol=1e-12)


def test_uncorrected_adam_overshoots_most_at_the_twelfth_step() -> None:
    # Under a constant gradient step t is lr (1 - 0.9^t) / sqrt(1 - 0.999^t).
    path = trajectory(Adam(1.0, eps=0.0, bias_correction=False), np.zeros(1), np.ones((40, 1)))
    steps = -np.diff(path[:, 0], prepend=0.0)
    t = np.arange(1, 41)
    assert_allclose(steps, (1 - 0.9**t) / np.sqrt(1 - 0.999**t), rtol=1e-12)
    assert steps.argmax() + 1 == 12


def test_the_moments_can_be_read_after_two_steps() -> None:
    optimizer = Adam(0.1, beta1=0.5, beta2=0.75)
    trajectory(optimizer, np.zeros(1), np.array([[2.0], [4.0]]))
    assert optimizer.t == 2
    # m: 1, then 0.5 + 2; v: 1, then 0.75 + 4. Exact in binary.
    assert_array_equal(optimizer.m, [2.5])
    assert_array_equal(optimizer.v, [4.75])
    sums = AdaGrad(0.1)
    trajectory(sums, np.zeros(1), np.array([[2.0], [4.0]]))
    assert_array_equal(sums.s, [20.0])
    leaky = RMSProp(0.1, rho=0.75)
    trajectory(leaky, np.zeros(1), np.array([[2.0], [4.0]]))
    assert_array_equal(leaky.s, [4.75])


def test_adam_goes_to_the_wrong_end_of_the_counterexample_and_amsgrad_to_the_right_one() -> None:
    # Reddi, Kale and Kumar (2018), theorem 1 with C = 3: slopes 3, -1, -1, 3, ... on [-1, 1],
    # so the best point is -1; beta1 = 0, beta2 = 1 / (1 + C^2), rate falling as 1 / sqrt(t).
    def last(amsgrad: bool) -> float:
        optimizer = Adam(
            lambda taken: 0.5 / np.sqrt(taken + 1), beta1=0.0, beta2=0.1, amsgrad=amsgrad
        )
        theta = np.zeros(1)
        for t in range(3000):
            slope = np.array([3.0 if t % 3 == 0 else -1.0])
            theta = np.clip(optimizer.step(theta, slope), -1.0, 1.0)
        return float(theta[0])

    # The last step has the size 0.5 / sqrt(3000) = 0.009.
    assert last(amsgrad=False) > 0.97
    assert last(amsgrad=True) < -0.97


@given(seed=seeds)
def test_amsgrad_never_divides_by_less_than_before(seed: int) -> None:
    start, gradients = random_run(seed)
    gradients[10:] *= 1e-4
    optimizer = Adam(1.0, beta1=0.0, beta2=0.5, eps=0.0, bias_correction=False, amsgrad=True)
    # From 0 every time, so that theta is the step.
    steps = np.array([optimizer.step(0 * start, gradient) for gradient in gradients])
    divisors = np.abs(gradients / steps)
    # The two quotients round.
    assert (divisors[1:] >= divisors[:-1] * (1 - 1e-15)).all()


@given(seed=seeds)
def test_without_decay_adamw_is_adam(seed: int) -> None:
    start, gradients = random_run(seed)
    assert_array_equal(
        trajectory(AdamW(0.1, weight_decay=0.0), start, gradients),
        trajectory(Adam(0.1), start, gradients),
    )


def test_decoupled_decay_shrinks_weights_even_without_gradient() -> None:
    path = trajectory(AdamW(0.5, weight_decay=0.5), np.ones(1), np.zeros((10, 1)))
    assert_array_equal(path[:, 0], 0.75 ** np.arange(1, 11))  # powers of 3/4 are exact


@every_variant
def test_a_coordinate_that_never_sees_a_gradient_stays(make: Callable[..., Any]) -> None:
    start, gradients = random_run(10)
    gradients[:, 2] = 0.0
    path = trajectory(make(0.1), start, gradients)
    decay = getattr(make(0.1), "weight_decay", 0.0)
    # Decay multiplies twenty times by a rounded factor.
    assert_allclose(path[-1, 2], start[2] * (1 - 0.1 * decay) ** 20, rtol=1e-14)


# Memory -----------------------------------------------------------------------------


@every_variant
@pytest.mark.parametrize("shape", [(200_001,), (7, 30_000), (3, 150_000)])
def test_a_large_theta_is_updated_in_blocks_with_the_numbers_of_a_small_one(
    make: Callable[[Any], Any], shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=shape)
    whole, parts = make(0.01), [make(0.01) for _ in range(4)]
    cuts = np.array_split(np.arange(shape[-1]), 4)  # not where the blocks are cut
    assert len(blocks(shape, theta.dtype)) > 1
    for _ in range(3):
        grad = rng.normal(size=shape)
        expected = [
            p.step(theta[..., cut].copy(), grad[..., cut].copy())
            for p, cut in zip(parts, cuts, strict=True)
        ]
        theta = whole.step(theta, grad)
        assert_array_equal(theta, np.concatenate(expected, axis=-1))


@pytest.mark.parametrize("shape", [(200_001,), (7, 30_000)])
def test_rates_of_every_shape_reach_their_block(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    theta, grad = rng.normal(size=(2, *shape))
    shapes = {shape, shape[-1:], (1,)}
    if len(shape) == 2:
        shapes |= {(7, 1), (1, 30_000), (1, 1)}
    for rate_shape in sorted(shapes):
        rate = rng.uniform(0.1, 1.0, size=rate_shape)
        assert_array_equal(
            GradientDescent(rate).step(theta, grad), theta - grad * rate, err_msg=f"{rate_shape}"
        )


@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 400_000)), st.tuples(st.integers(1, 300), st.integers(1, 2000))
    ),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_blocks_cover_the_first_axis_once_and_begin_at_a_line(
    shape: tuple[int, ...], dtype: type
) -> None:
    cuts = blocks(shape, dtype)
    covered = np.concatenate([np.arange(shape[0])[cut] for cut in cuts])
    assert_array_equal(covered, np.arange(shape[0]))
    array = aligned_zeros(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.ctypes.data % LINE == 0
    if len(shape) == 1:
        assert all(array[cut].ctypes.data % LINE == 0 for cut in cuts)


def test_states_are_kept_when_an_update_of_blocks_is_interrupted() -> None:
    class Interrupted(Momentum):
        def _update(self, *arguments: Any) -> None:
            super()._update(*arguments)
            raise KeyboardInterrupt

    optimizer = Interrupted(0.1)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(np.zeros(200_000), np.ones(200_000))
    assert optimizer.u.shape == (200_000,)


def test_the_averages_that_are_read_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(2)
    gradients = rng.normal(size=(40, 5))
    adam, rms = Adam(0.1, beta1=0.8, beta2=0.95, amsgrad=True), RMSProp(0.1, rho=0.7)
    assert (adam.m, adam.v, adam.v_max, rms.s) == (0.0, 0.0, 0.0, 0.0)
    m = v = s = largest = np.zeros(5)
    for grad in gradients:
        adam.step(np.zeros(5), grad)
        rms.step(np.zeros(5), grad)
        m, v, s = 0.8 * m + 0.2 * grad, 0.95 * v + 0.05 * grad**2, 0.7 * s + 0.3 * grad**2
        largest = np.maximum(largest, v)
        for read, expected in ((adam.m, m), (adam.v, v), (adam.v_max, largest), (rms.s, s)):
            assert_allclose(read, expected, rtol=1e-13, atol=1e-15)


@every_variant
def test_theta_may_be_its_own_gradient(make: Callable[[Any], Any]) -> None:
    pure, inplace, theta = make(0.1), make(0.1), np.array([0.9, -2.0])
    for _ in range(3):
        expected = pure.step(theta, theta)
        inplace.step(theta, theta, out=theta)
        assert_array_equal(theta, expected)
