"""The compiled kernels: the same numbers as the rules they stand for."""

from __future__ import annotations

import copy
import functools
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from switched import REQUIRED, Switched, in_a_fresh_process

from optlearn import _fast_steps, fast, losses
from optlearn._fake_quantized import FakeQuantizedMLP
from optlearn._fast_network import LOSSES, fused_pass
from optlearn.losses import mean_squared_error, softmax_cross_entropy
from optlearn.networks import MLP
from optlearn.optimizers import AdaGrad, Adam, AdamW, GradientDescent, Momentum, Optimizer, RMSProp
from optlearn.training import fit

Array = NDArray[Any]
Make = Callable[[Any], Optimizer]

if not REQUIRED:
    pytest.importorskip("numba", reason="numba is not installed; make test-fast installs it")

# Relative to the largest number. Rules written twice: as many bits as there are, less the few
# that another order of a sum may take.
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


@pytest.fixture(autouse=True)
def _leave_the_switch_as_it_was() -> Iterator[None]:
    before = fast.enabled
    yield
    fast.enabled = before


def test_compiled_kernels_are_stored_and_found_again(tmp_path: Path) -> None:
    code = (
        "import numpy as np\nfrom optlearn import fast\nfrom optlearn.optimizers import Adam\n"
        "Adam(0.1).step(np.ones(2), np.ones(2))\n"
        "stats = fast.kernels().adam.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))\n"
    )
    where = {"NUMBA_CACHE_DIR": str(tmp_path), "OPTLEARN_FAST": "1"}
    assert in_a_fresh_process(code, **where) == "0 1\n"
    assert in_a_fresh_process(code, **where) == "1 0\n"


# Optimizers --------------------------------------------------------------------------------------


def counted(optimizer: Optimizer) -> bool:
    """Tell whether a step of `optimizer` is made by a kernel."""
    theta = np.ones(3)
    return _fast_steps.fused_update(
        _after_a_step(optimizer), theta, theta.copy(), 0.1, np.empty(3)
    )


def _after_a_step(optimizer: Optimizer) -> Optimizer:
    optimizer.step(np.ones(3), np.ones(3))
    return optimizer


epsilons = st.sampled_from([0.0, 1e-10, 1e-8, 1e-3, 0.5])
flags = st.booleans()
fractions = st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.999])


@st.composite
def makers(draw: st.DrawFn) -> Make:
    """Draw a way to make an optimizer from a rate."""
    adam = {
        "beta1": draw(fractions),
        "beta2": draw(fractions),
        "eps": draw(epsilons),
        "eps_inside": draw(flags),
        "bias_correction": draw(flags),
        "amsgrad": draw(flags),
    }
    decay = draw(st.sampled_from([0.0, 0.01, 0.5]))
    choices: list[Make] = [
        GradientDescent,
        lambda lr: Momentum(lr, beta=adam["beta1"], form="heavy-ball"),
        lambda lr: Momentum(lr, beta=adam["beta1"], form="nesterov"),
        lambda lr: Momentum(lr, beta=adam["beta1"], form="ema"),
        lambda lr: AdaGrad(lr, eps=adam["eps"]),
        lambda lr: RMSProp(
            lr,
            rho=adam["beta2"],
            eps=adam["eps"],
            eps_inside=adam["eps_inside"],
            bias_correction=adam["bias_correction"],
        ),
        lambda lr: Adam(lr, **adam),
        lambda lr: Adam(lr, **adam),
        lambda lr: AdamW(lr, **adam, weight_decay=decay),
        lambda lr: AdamW(lr, **adam, weight_decay=decay),
    ]
    return draw(st.sampled_from(choices))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Make, Any, Array, int]:
    """Draw an optimizer, a rate that fits, a start and a seed for the gradients."""
    shape = draw(st.sampled_from([(1,), (2,), (17,), (300,), (1, 5), (3, 1), (4, 33)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    rates: list[Any] = [
        0.01,
        lambda t: 0.1 / (1 + t),
        lambda t: np.full(shape[-1], 0.1 / (1 + t)),
        rng.uniform(0, 0.1, size=shape[-1]) + 1e-3,
        rng.uniform(0, 0.1, size=shape),
        np.array([0.02]),
    ]
    if len(shape) == 2:
        rates += [rng.uniform(0.01, 0.1, size=(shape[0], 1)), np.full((1, shape[1]), 0.01)]
    theta = rng.normal(size=shape).astype(dtype)
    return draw(makers()), draw(st.sampled_from(rates)), theta, draw(st.integers(0, 99))


def gradients(theta: Array, seed: int, steps: int) -> Iterator[Array]:
    """Yield gradients of all sizes, some of whose elements are 0 for a while."""
    rng = np.random.default_rng(seed)
    for step in range(steps):
        grad = rng.normal(size=theta.shape) * 10.0 ** rng.integers(-6, 4)
        if step % 5 < 3:
            grad[..., ::2] = 0
        yield grad.astype(theta.dtype)


def walk(optimizer: Optimizer, theta: Array, seed: int, steps: int, inplace: bool) -> Array:
    """Return all points of a trajectory."""
    theta, points = theta.copy(), []
    for grad in gradients(theta, seed, steps):
        kept = grad.copy()
        theta = optimizer.step(theta, grad, out=theta if inplace else None)
        assert_array_equal(grad, kept)
        points.append(theta.copy())
    return np.stack(points)


@settings(max_examples=100)
@given(problems(), st.booleans())
def test_a_kernel_makes_the_steps_of_its_rule(
    problem: tuple[Make, Any, Array, int], inplace: bool
) -> None:
    make, rate, theta, seed = problem
    ends = {}
    for on in (True, False):
        with Switched(on):
            optimizer = make(rate)
            ends[on] = optimizer, walk(optimizer, theta, seed, 150, inplace)
    (quick, fused), (slow, plain) = ends[True], ends[False]
    assert fused.dtype == theta.dtype
    # The operations keep their order and are not contracted: nothing differs.
    assert_array_equal(fused, plain)
    assert quick.t == slow.t == 150
    for name in slow._states:
        assert_array_equal(getattr(quick, name), getattr(slow, name))


@pytest.mark.parametrize(
    "make",
    [
        GradientDescent,
        Momentum,
        lambda lr: Momentum(lr, form="nesterov"),
        lambda lr: Momentum(lr, form="ema"),
        AdaGrad,
        RMSProp,
        Adam,
        lambda lr: Adam(lr, amsgrad=True),
        AdamW,
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_theta_is_no_exception(make: Make, dtype: Any) -> None:
    theta = np.random.default_rng(0).normal(size=100_003).astype(dtype)
    for rate in (0.01, np.linspace(0, 0.1, theta.size)):
        with Switched(True):
            fused = walk(make(rate), theta, 1, 3, True)
        with Switched(False):
            plain = walk(make(rate), theta, 1, 3, True)
        assert_array_equal(fused, plain)


@pytest.mark.parametrize(
    "make",
    [GradientDescent, Momentum, AdaGrad, RMSProp, Adam, AdamW],
    ids=lambda make: make.__name__,
)
def test_every_optimizer_has_a_kernel(make: Make) -> None:
    with Switched(True):
        assert counted(make(0.1))
    with Switched(False):
        assert not counted(make(0.1))


def test_the_first_step_of_adam_is_the_rate_by_hand() -> None:
    with Switched(True):
        optimizer = Adam(0.1, eps=0.0)
        theta = optimizer.step(np.array([1.0, 1.0, 1.0]), np.array([1e-3, -1e3, 0.0]))
        assert counted(optimizer)
    assert_allclose(theta, [0.9, 1.1, 1.0], rtol=1e-14)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", [AdaGrad, RMSProp, Adam, AdamW])
def test_at_eps_0_what_never_had_a_gradient_stays(kind: Any, inside: bool) -> None:
    options = {} if kind is AdaGrad else {"eps_inside": inside}
    options |= {"weight_decay": 0.0} if kind is AdamW else {}
    theta, grad = np.array([3.0, 3.0, 3.0]), np.array([0.0, 1e-3, -1e3])
    with Switched(True):
        optimizer = kind(0.1, eps=0.0, **options)
        moved = optimizer.step(theta, grad)
        assert counted(kind(0.1, eps=0.0, **options))
    assert moved[0] == 3.0
    assert moved[1] < 3.0 < moved[2]
    with Switched(False):
        assert_array_equal(kind(0.1, eps=0.0, **options).step(theta, grad), moved)


class Doubled(Adam):
    """Adam that says itself how it is updated."""

    def _update(
        self, theta: Array, grad: Array, rate: Any, out: Array, a: Array, mask: Any
    ) -> None:
        super()._update(theta, 2 * grad, rate, out, a, mask)


class Renamed(Adam):
    """Adam under another name."""


def test_a_subclass_with_its_own_update_keeps_it() -> None:
    theta, grad = np.ones(3), np.array([1.0, 2.0, -4.0])
    with Switched(True):
        assert not counted(Doubled(0.1))
        assert counted(Renamed(0.1))
        own = Doubled(0.1, eps=0.5).step(theta, grad)
        assert_array_equal(own, Adam(0.1, eps=0.5).step(theta, 2 * grad))
        assert_array_equal(Renamed(0.1).step(theta, grad), Adam(0.1).step(theta, grad))
        assert (own != Adam(0.1, eps=0.5).step(theta, grad)).all()


def test_a_rule_that_bears_the_name_of_another_is_still_its_own() -> None:
    class Still(Adam):
        @functools.wraps(Adam._update)
        def _update(self, *arguments: Any) -> None:
            arguments[3][...] = arguments[0]

    assert_array_equal(Still(0.1).step(np.ones(2), np.ones(2)), np.ones(2))


def test_arrays_that_are_no_block_of_memory_take_the_readable_rule() -> None:
    wide, grads = np.ones((4, 6)), np.random.default_rng(0).normal(size=(4, 6))
    with Switched(True):
        spread = Adam(0.1).step(wide[:, ::2], grads[:, ::2])
        block = Adam(0.1).step(wide[:, ::2].copy(), grads[:, ::2].copy())
        turned = Adam(0.1).step(np.asfortranarray(wide), np.asfortranarray(grads))
        out = np.zeros((4, 12))[:, ::2]
        Adam(0.1).step(wide, grads, out=out)
        frozen = grads.copy()
        frozen.flags.writeable = False
        assert_array_equal(Adam(0.1).step(wide, frozen), Adam(0.1).step(wide, grads))
    assert_array_equal(spread, block)
    assert_array_equal(turned, out)


@pytest.mark.parametrize("make", [Momentum, RMSProp, Adam, AdamW])
def test_a_switch_in_mid_run_changes_no_number(make: Make) -> None:
    theta = np.random.default_rng(3).normal(size=50).astype(np.float32)
    with Switched(False):
        plain = walk(make(0.05), theta, 4, 60, False)
    optimizer, points = make(0.05), theta.copy()
    for step, grad in enumerate(gradients(theta, 4, 60)):
        fast.enabled = step % 7 < 3
        points = optimizer.step(points, grad)
        if step == 20:
            optimizer = optimizer.copy()
        elif step == 30:
            optimizer = pickle.loads(pickle.dumps(optimizer))
        elif step == 40:
            optimizer = copy.copy(optimizer)
        assert_array_equal(points, plain[step])


@pytest.mark.parametrize("make", [Momentum, AdaGrad, RMSProp, Adam, AdamW])
@pytest.mark.parametrize(
    ("theta", "grad"),
    [
        (np.ones(3), np.array([1.0, np.nan, 1.0])),
        (np.array([1.0, np.inf, 1.0]), np.ones(3)),
        (np.ones(3), np.ones(4)),
        (np.ones(3), np.ones(3, np.float32)),
        (np.ones(4), np.ones(4)),
    ],
)
def test_a_refused_step_changes_nothing(make: Make, theta: Array, grad: Array) -> None:
    with Switched(True):
        optimizer = _after_a_step(make(0.1))
        before, out = copy.deepcopy(vars(optimizer)), np.full(3, 7.0)
        with pytest.raises((TypeError, ValueError)):
            optimizer.step(theta, grad, out=out)
    assert_array_equal(out, np.full(3, 7.0))
    for name, value in before.items():
        if isinstance(value, np.ndarray):
            assert_array_equal(getattr(optimizer, name), value)
    assert optimizer.t == before["t"] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [Momentum, Adam, AdamW])
def test_what_has_faded_is_0_and_costs_nothing(make: Make, dtype: Any) -> None:
    theta = np.ones(50_000, dtype)
    rng = np.random.default_rng(0)
    with Switched(True):
        optimizer = make(1e-3)
        for _ in range(3):
            optimizer.step(theta, rng.normal(size=theta.size).astype(dtype), out=theta)
        none = np.zeros_like(theta)

        def cost() -> float:
            seconds = []
            for _ in range(40):
                start = time.perf_counter()
                optimizer.step(theta, none, out=theta)
                seconds.append(time.perf_counter() - start)
            return min(seconds)

        at_first = cost()
        for _ in range(8192):  # 0.9**8192 is far below the smallest number of both dtypes
            optimizer.step(theta, none, out=theta)
        at_last = cost()
    smallest = np.finfo(dtype).tiny
    for name in optimizer._states:
        state = np.abs(getattr(optimizer, name))
        assert not ((state > 0) & (state < smallest)).any(), name
    # The quickest of forty: subnormal numbers would take several times as long.
    assert at_last < 2 * at_first


# Networks ----------------------------------------------------------------------------------------


def data(network: MLP, loss: Any, n: int = 70) -> tuple[Array, Array]:
    """Draw inputs, some of them 0, and targets that the loss takes."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(n, network.sizes[0])) * (rng.uniform(size=(n, network.sizes[0])) < 0.7)
    if loss is softmax_cross_entropy:
        return x, rng.integers(0, network.sizes[-1], size=n)
    targets = rng.integers(0, 2, size=(n, network.sizes[-1]))
    return x, 2 * targets - 1 if loss is losses.hinge else targets


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("sizes", [(6, 3), (6, 9, 4), (7, 5, 4, 6, 3), (3, 8, 1), (20, 64, 10)])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_a_network_trains_as_the_readable_pass_trains_it(
    sizes: tuple[int, ...], activation: str, loss: Any, dtype: Any
) -> None:
    network = MLP(sizes, activation)
    theta = network.init(np.random.default_rng(1), dtype=dtype)
    histories = {}
    for on in (True, False):
        with Switched(on):
            histories[on] = fit(
                network,
                theta,
                data(network, loss),
                Adam(3e-3),
                loss=loss,
                epochs=20,
                batch_size=16,  # the last batch has 6
                rng=np.random.default_rng(2),
                validation=data(network, loss, 9),
                clip_norm=1.0,
            )
    fused, plain = histories[True], histories[False]
    tolerance = TOLERANCE[np.dtype(dtype).name]
    assert fused.theta.dtype == dtype
    assert len(fused.step_loss) == 100
    size = np.abs(plain.theta).max()
    assert_allclose(fused.theta, plain.theta, rtol=0, atol=50 * tolerance * size)
    for name in ("step_loss", "grad_norm", "loss", "validation_loss"):
        assert_allclose(
            getattr(fused, name), getattr(plain, name), rtol=50 * tolerance, atol=1e-30
        )
    assert fused.message == plain.message
    assert fused.gradient_evaluations == plain.gradient_evaluations


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("sizes", [(5, 4), (6, 9, 4), (7, 5, 4, 6, 3)])
@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_one_pass_gives_loss_and_gradient_of_its_batch(
    sizes: tuple[int, ...], activation: str, rows: int, dtype: Any
) -> None:
    network = MLP(sizes, activation)
    rng = np.random.default_rng(rows)
    theta = (network.init(rng) + 0.1 * rng.normal(size=network.n_parameters)).astype(dtype)
    for loss in LOSSES:
        x, y = data(network, loss)
        x = x.astype(dtype)
        grad = np.full_like(theta, np.nan)
        with Switched(True):
            one_pass = fused_pass(network, theta, grad, x, y, loss)
        assert one_pass is not None
        for size in (rows, rows + 3, rows):  # at last in a workspace that has been used
            batch = rng.permutation(len(x))[:size]
            value = one_pass(batch)
            expected, right = network.loss_and_grad(theta, x[batch], y[batch], loss)
            tolerance = TOLERANCE[np.dtype(dtype).name]
            assert_allclose(value, expected, rtol=tolerance)
            assert_allclose(grad, right, rtol=0, atol=tolerance * np.abs(right).max())


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    # Complex step of the readable loss: to the last digits, and by another road.
    network = MLP((5, 7, 6, 4), activation="tanh")
    theta = network.init(np.random.default_rng(0))
    x, y = data(network, softmax_cross_entropy)
    grad = np.empty_like(theta)
    with Switched(True):
        one_pass = fused_pass(network, theta, grad, x, y, softmax_cross_entropy)
    assert one_pass is not None
    one_pass(np.arange(30))
    for index in range(0, theta.size, 7):
        shifted = theta.astype(complex)
        shifted[index] += 1e-30j
        value, _ = network.loss_and_grad(shifted, x[:30], y[:30])
        assert_allclose(grad[index], value.imag / 1e-30, rtol=1e-10, atol=1e-14)


def test_confident_logits_are_as_exact_as_ever() -> None:
    network = MLP((1, 3), activation="identity")
    theta = np.array([0.0, 1e4, -1e4, 0.0, 0.0, 0.0])  # the largest logit is not the first
    x, y, grad = np.ones((2, 1)), np.array([0, 1]), np.empty(6)
    with Switched(True):
        one_pass = fused_pass(network, theta, grad, x, y, softmax_cross_entropy)
    assert one_pass is not None
    assert one_pass(np.array([0])) == 1e4
    assert_array_equal(grad, [-1, 1, 0, -1, 1, 0])
    assert one_pass(np.array([1])) == 0


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_run_that_diverges_says_so_at_the_same_step(activation: str) -> None:
    network = MLP((4, 6, 3), activation)
    theta = network.init(np.random.default_rng(0))
    ends = []
    for on in (True, False):
        with Switched(on):
            ends.append(
                fit(
                    network,
                    theta,
                    data(network, softmax_cross_entropy),
                    GradientDescent(1e200),
                    epochs=5,
                    batch_size=10,
                    rng=np.random.default_rng(0),
                )
            )
    assert ends[0].diverged
    assert ends[0].message == ends[1].message
    assert_array_equal(ends[0].theta, ends[1].theta)


class Halved(MLP):
    """A network with a backward pass of its own."""

    def _backpropagate(self, layers: Any, slots: Any, x: Any, y: Any, loss: Any) -> Any:
        value = super()._backpropagate(layers, slots, x, y, loss)
        for slot in (array for pair in slots for array in pair):
            slot *= 0.5
        return value


def own_loss(logits: Any, y: Any) -> tuple[Any, Array]:
    """Keep what it was given, as a user's loss may."""
    return mean_squared_error(logits, y)


def test_what_the_kernels_do_not_know_is_left_to_the_readable_pass() -> None:
    network = MLP((3, 4, 2))
    theta = network.init(np.random.default_rng(0))
    x, y = data(network, softmax_cross_entropy)
    grad = np.empty_like(theta)

    def known(
        network: MLP, theta: Array = theta, x: Array = x, loss: Any = softmax_cross_entropy
    ) -> bool:
        return fused_pass(network, theta, np.empty_like(theta), x, y, loss) is not None

    with Switched(False):
        assert not known(network)
    with Switched(True):
        assert known(network)
        assert not known(Halved((3, 4, 2)))
        assert not known(FakeQuantizedMLP(network, bits=4))
        assert not known(network, loss=own_loss)
        assert not known(network, theta=np.stack([theta] * 2))
        assert not known(network, x=x.astype(np.float32))
        assert not known(network, theta=theta.astype(complex), x=x.astype(complex))
        halved = fit(
            Halved((3, 4, 2)),
            theta,
            (x, y),
            GradientDescent(0.1),
            epochs=1,
            batch_size=len(x),
            rng=np.random.default_rng(0),
        )
        network.loss_and_grad(theta, x, y, out=grad)
    assert_allclose(halved.theta, theta - 0.05 * grad, rtol=1e-12, atol=1e-15)


def test_kernels_warn_of_nothing() -> None:
    network = MLP((4, 5, 3))
    with Switched(True), warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            network,
            network.init(np.random.default_rng(0)),
            data(network, softmax_cross_entropy),
            AdamW(0.01),
            epochs=2,
            batch_size=8,
            rng=np.random.default_rng(0),
        )
