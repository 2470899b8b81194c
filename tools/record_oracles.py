"""Record what PyTorch and optax compute, so that our tests can compare with it.

The tests of `optlearn` must not need PyTorch, yet they should rest on it: a mistake
in our Adam should meet somebody else's Adam. This script runs the two libraries once
and writes their numbers, with their versions, to ``tests/oracles/*.json``.

It needs an environment with ``torch==2.13.0``, ``optax==0.2.8`` and NumPy, and never
imports `optlearn`::

    python tools/record_oracles.py

Floats are written with ``repr``, which gives the same double when read again.
``tests/test_oracles_live.py`` runs the same recorder where both libraries are
installed, with other random numbers as well.

At the end it records the conventions page too, for which scikit-learn and Keras are asked as well,
where they are installed: see ``tools/record_conventions.py``, which can be run alone.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from numpy.typing import NDArray

jax.config.update("jax_enable_x64", True)

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "oracles"
STEPS = 300
# Every one of the first twelve steps, then every eighth: theta is a running sum, so a
# mistake in a step between two recorded ones stays visible in the next.
RECORDED = [*range(1, 13), *range(20, STEPS + 1, 8)]

Array = NDArray[Any]
Record = dict[str, Any]
# A stepper takes (theta, gradient, lr) and returns the next theta.
Stepper = Callable[[Array, Array, float], Array]


def versions() -> dict[str, str]:
    """Name the versions of the libraries the numbers come from."""
    return {
        "torch": torch.__version__,
        "optax": optax.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


# Optimizers -------------------------------------------------------------------------


def gradient_sequence(seed: int) -> tuple[Array, Array]:
    """Draw a starting point (6,) and gradients (STEPS, 6) with scales from 1e-3 to 1e3."""
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(STEPS, 6))
    gradients[:, 0] *= 1e-3
    gradients[:, 2] *= 1e3
    gradients[:, 3] *= 10.0 ** rng.uniform(-3, 3, size=STEPS)
    gradients[:, 4] *= np.logspace(3, -3, STEPS)
    # The last coordinate sees nothing for a while: 0 / (sqrt(0) + eps) must be 0.
    gradients[:40, 5] = 0.0
    return rng.normal(size=6), gradients


def torch_stepper(name: str, **arguments: Any) -> Stepper:
    """Wrap an optimizer of ``torch.optim`` on one float64 parameter."""
    parameter = torch.zeros(6, dtype=torch.float64)
    optimizer = getattr(torch.optim, name)([parameter], lr=1.0, **arguments)

    def step(theta: Array, gradient: Array, lr: float) -> Array:
        parameter.copy_(torch.from_numpy(theta))
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        return parameter.numpy().copy()

    return step


def optax_stepper(transform: optax.GradientTransformation) -> Stepper:
    """Wrap an optax transformation of the gradient, followed by a step of size lr."""
    state = transform.init(jnp.zeros(6))

    def step(theta: Array, gradient: Array, lr: float) -> Array:
        nonlocal state
        update, state = transform.update(jnp.asarray(gradient), state)
        return theta - lr * np.asarray(update)

    return step


def optax_adam_parts(beta1: float, beta2: float, eps: float, *, amsgrad: bool) -> Stepper:
    """Adam without bias correction, put together from optax's two moving averages.

    Neither library has a switch for it. Here m is what ``optax.ema`` returns without
    debiasing, and v is the accumulator that ``optax.scale_by_rms`` keeps.
    """
    first, second = optax.ema(beta1, debias=False), optax.scale_by_rms(beta2)
    first_state, second_state = first.init(jnp.zeros(6)), second.init(jnp.zeros(6))
    largest = np.zeros(6)

    def step(theta: Array, gradient: Array, lr: float) -> Array:
        nonlocal first_state, second_state, largest
        m, first_state = first.update(jnp.asarray(gradient), first_state)
        _, second_state = second.update(jnp.asarray(gradient), second_state)
        v = np.asarray(second_state.nu)
        largest = np.maximum(largest, v)
        return theta - lr * np.asarray(m) / (np.sqrt(largest if amsgrad else v) + eps)

    return step


def optimizer_table() -> Iterator[tuple[str, str, dict[str, Any], str, Stepper]]:
    """Rows (run, our class, our arguments, who computed it, stepper).

    A run whose name ends in "-schedule" gets a learning rate that changes every step.
    """
    sgd = "torch.optim.SGD"
    for suffix in ("", "-schedule"):
        yield "gradient-descent" + suffix, "GradientDescent", {}, sgd, torch_stepper("SGD")
        for form, beta, nesterov in [("heavy-ball", 0.9, False), ("nesterov", 0.7, True)]:
            yield (
                form + suffix,
                "Momentum",
                {"beta": beta, "form": form},
                sgd,
                torch_stepper("SGD", momentum=beta, nesterov=nesterov),
            )
        yield (
            "ema" + suffix,
            "Momentum",
            {"beta": 0.8, "form": "ema"},
            "optax.ema(debias=False)",
            optax_stepper(optax.ema(0.8, debias=False)),
        )
        yield (
            "adagrad" + suffix,
            "AdaGrad",
            {"eps": 1e-8},
            "torch.optim.Adagrad",
            torch_stepper("Adagrad", eps=1e-8),
        )
        yield (
            "rmsprop" + suffix,
            "RMSProp",
            {"rho": 0.95, "eps": 1e-6},
            "torch.optim.RMSprop",
            torch_stepper("RMSprop", alpha=0.95, eps=1e-6),
        )
        adam = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-6}
        torch_adam = {"betas": (0.8, 0.99), "eps": 1e-6}
        yield (
            "adam" + suffix,
            "Adam",
            adam,
            "torch.optim.Adam",
            torch_stepper("Adam", **torch_adam),
        )
        yield (
            "adamw" + suffix,
            "AdamW",
            adam | {"weight_decay": 0.1},
            "torch.optim.AdamW",
            torch_stepper("AdamW", **torch_adam, weight_decay=0.1),
        )

    # The defaults of the two libraries are ours as well.
    for name, torch_name in [
        ("AdaGrad", "Adagrad"),
        ("Adam", "Adam"),
        ("AdamW", "AdamW"),
    ]:
        yield (
            f"{name.lower()}-defaults",
            name,
            {},
            f"torch.optim.{torch_name}",
            torch_stepper(torch_name),
        )

    for eps_inside in (False, True):
        for bias_correction in (False, True):
            if not (eps_inside or bias_correction):
                continue  # torch records this one
            arguments = {
                "rho": 0.9,
                "eps": 1e-4,
                "eps_inside": eps_inside,
                "bias_correction": bias_correction,
            }
            yield (
                "rmsprop" + "-eps-inside" * eps_inside + "-bias-correction" * bias_correction,
                "RMSProp",
                arguments,
                "optax.scale_by_rms",
                optax_stepper(
                    optax.scale_by_rms(
                        0.9, 1e-4, eps_in_sqrt=eps_inside, bias_correction=bias_correction
                    )
                ),
            )

    yield (
        "adam-eps-inside",
        "Adam",
        {"beta1": 0.9, "beta2": 0.99, "eps": 1e-4, "eps_inside": True},
        "optax.scale_by_adam(eps=0, eps_root=1e-4)",
        optax_stepper(optax.scale_by_adam(0.9, 0.99, eps=0.0, eps_root=1e-4)),
    )
    for name in ("Adam", "AdamW"):
        yield (
            f"{name.lower()}-amsgrad",
            name,
            {"beta1": 0.9, "beta2": 0.9, "eps": 1e-6, "amsgrad": True},
            f"torch.optim.{name}(amsgrad=True)",
            torch_stepper(name, betas=(0.9, 0.9), eps=1e-6, amsgrad=True),
        )
    for amsgrad in (False, True):
        yield (
            "adam-no-bias-correction" + "-amsgrad" * amsgrad,
            "Adam",
            {
                "beta1": 0.9,
                "beta2": 0.99,
                "eps": 1e-6,
                "bias_correction": False,
                "amsgrad": amsgrad,
            },
            "optax.ema and the accumulator of optax.scale_by_rms",
            optax_adam_parts(0.9, 0.99, 1e-6, amsgrad=amsgrad),
        )


def record_optimizers(seed: int) -> Record:
    """Record the steps of every variant on one sequence of gradients."""
    start, gradients = gradient_sequence(seed)
    runs: dict[str, Record] = {}
    for run, class_name, arguments, source, step in optimizer_table():
        rates = np.full(STEPS, 0.05)
        if run.endswith("-schedule"):
            rates = 0.2 / (1.0 + 0.1 * np.arange(STEPS))
        theta, path = start, []
        for gradient, lr in zip(gradients, rates.tolist(), strict=True):
            theta = step(theta, gradient, lr)
            path.append(theta)
        runs[run] = {
            "class": class_name,
            "arguments": arguments,
            "lr": rates.tolist() if run.endswith("-schedule") else rates[0].item(),
            "source": source,
            "theta": [path[t - 1].tolist() for t in RECORDED],
        }
    return {
        "versions": versions(),
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "steps": RECORDED,
        "runs": runs,
    }


# Losses -----------------------------------------------------------------------------

functional = torch.nn.functional
TORCH_LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "mean_squared_error": functional.mse_loss,
    "mean_absolute_error": functional.l1_loss,
    "huber": functional.huber_loss,
    "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
    "softmax_cross_entropy": functional.cross_entropy,
    "hinge": lambda z, y: torch.clamp(1 - y * z, min=0).mean(),
}


def targets(loss: str, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Draw targets that suit the loss: classes, probabilities, signs or real numbers."""
    if loss == "softmax_cross_entropy":
        return rng.integers(shape[1], size=shape[0])
    if loss == "binary_cross_entropy":
        return rng.uniform(size=shape)
    if loss == "hinge":
        return rng.choice([-1.0, 1.0], size=shape)
    return rng.normal(size=shape)


def record_losses(seed: int) -> Record:
    """Record value and gradient of every loss at ordinary and at extreme logits."""
    rng = np.random.default_rng(seed)
    cases = []
    for loss, torch_loss in TORCH_LOSSES.items():
        for scale in (3.0, 30.0, 1e3, 1e4):  # 1 and 2 would hit the kink of hinge
            for arguments in [{"delta": 0.5}, {"delta": 20.0}] if loss == "huber" else [{}]:
                logits = scale * rng.normal(size=(6, 4))
                logits[0] = [scale, -scale, 0.0, 0.5 * scale]
                target = targets(loss, logits.shape, rng)
                z = torch.tensor(logits, requires_grad=True)
                value = torch_loss(z, torch.from_numpy(target), **arguments)
                value.backward()
                assert z.grad is not None
                cases.append(
                    {
                        "loss": loss,
                        "scale": scale,
                        "arguments": arguments,
                        "logits": logits.tolist(),
                        "target": target.tolist(),
                        "value": value.item(),
                        "gradient": z.grad.tolist(),
                    }
                )
    z = torch.tensor(
        [[-1e4, -1e3, -40.0, -1.0], [-1e-8, 0.0, 1e-8, 1.0], [2.0, 40.0, 1e3, 1e4]],
        dtype=torch.float64,
    )
    squashed = {
        "logits": z.tolist(),
        "sigmoid": torch.sigmoid(z).tolist(),
        "softmax": torch.softmax(z, dim=-1).tolist(),
        "log_softmax": torch.log_softmax(z, dim=-1).tolist(),
    }
    return {"versions": versions(), "cases": cases, "squashed": squashed}


# Networks ---------------------------------------------------------------------------

SIZES = {1: (5, 3), 2: (5, 4, 3), 3: (5, 6, 4, 3), 4: (5, 6, 4, 5, 3)}
TORCH_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
}


def torch_forward(
    theta: torch.Tensor,
    x: torch.Tensor,
    sizes: tuple[int, ...],
    activation: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Compute the logits of the network whose weights lie one after the other in theta."""
    a, start = x, 0
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight = theta[start : start + n_in * n_out].reshape(n_in, n_out)
        start += n_in * n_out
        z = functional.linear(a, weight.T, theta[start : start + n_out])
        start += n_out
        a = activation(z) if layer < len(sizes) - 2 else z
    return a


def record_networks(seed: int) -> Record:
    """Record loss and gradient by autograd for every depth, activation and loss."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(7, 5))
    y = {loss: targets(loss, (7, 3), rng) for loss in TORCH_LOSSES}
    thetas, cases = {}, []
    for depth, sizes in SIZES.items():
        n = sum((a + 1) * b for a, b in pairwise(sizes))
        thetas[str(depth)] = (theta := 0.7 * rng.normal(size=n)).tolist()
        for activation, torch_activation in TORCH_ACTIVATIONS.items():
            if depth == 1 and activation != "identity":
                continue  # no hidden layer, nothing to activate
            for loss, torch_loss in TORCH_LOSSES.items():
                leaf = torch.tensor(theta, requires_grad=True)
                logits = torch_forward(leaf, torch.from_numpy(x), sizes, torch_activation)
                value = torch_loss(logits, torch.from_numpy(y[loss]))
                value.backward()
                assert leaf.grad is not None
                cases.append(
                    {
                        "depth": depth,
                        "activation": activation,
                        "loss": loss,
                        "value": value.item(),
                        "gradient": leaf.grad.tolist(),
                    }
                )
    return {
        "versions": versions(),
        "x": x.tolist(),
        "y": {loss: target.tolist() for loss, target in y.items()},
        "sizes": {str(depth): list(sizes) for depth, sizes in SIZES.items()},
        "theta": thetas,
        "cases": cases,
    }


# Schedules --------------------------------------------------------------------------


def torch_rates(name: str, steps: int, **arguments: Any) -> list[float]:
    """Collect the rates that a scheduler of PyTorch sets for steps 0, 1, ..."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def record_schedules(seed: int) -> Record:  # noqa: ARG001 - nothing in a schedule is random
    """Record the rates of six schedules whose peak or start is 0.5."""
    length = 40
    table = {
        "step_decay": ("StepLR", {"every": 7, "factor": 0.3}, {"step_size": 7, "gamma": 0.3}),
        "exponential": ("ExponentialLR", {"rate": 0.93}, {"gamma": 0.93}),
        "cosine": (
            "CosineAnnealingLR",
            {"steps": length - 1, "final": 0.01},
            {"T_max": length - 1, "eta_min": 0.01},
        ),
        "cosine_restarts": (
            "CosineAnnealingWarmRestarts",
            {"period": 5, "growth": 2, "final": 0.01},
            {"T_0": 5, "T_mult": 2, "eta_min": 0.01},
        ),
        "linear_warmup": (
            "LinearLR",
            {"steps": 8},
            {"start_factor": 1 / 8, "total_iters": 7},
        ),
        "one_cycle": (
            "OneCycleLR",
            {"steps": length, "warm": 0.35, "start_divisor": 10.0, "final_divisor": 100.0},
            {
                "max_lr": 0.5,
                "total_steps": length,
                "pct_start": 0.35,
                "div_factor": 10.0,
                "final_div_factor": 100.0,
                "cycle_momentum": False,
            },
        ),
    }
    return {
        "versions": versions(),
        "lr": 0.5,
        "runs": {
            name: {
                "source": f"torch.optim.lr_scheduler.{torch_name}",
                "arguments": ours,
                "rates": torch_rates(torch_name, length, **theirs),
            }
            for name, (torch_name, ours, theirs) in table.items()
        },
    }


# Quantization -----------------------------------------------------------------------


def quantization_case(
    w: Array, scale: Any, zero_point: Any, bits: int, symmetric: bool, axis: int | None
) -> Record:
    """Quantize float32 numbers on a given grid, by the integer kernel too where it has one."""
    high = 2 ** (bits - 1) - 1
    low = -high if symmetric else -high - 1
    tensor = torch.tensor(w, dtype=torch.float32, requires_grad=True)
    scales = torch.as_tensor(scale, dtype=torch.float32)
    zeros = torch.as_tensor(zero_point, dtype=torch.int32)
    if axis is None:
        fake = torch.fake_quantize_per_tensor_affine(tensor, scales, zeros, low, high)
    else:
        fake = torch.fake_quantize_per_channel_affine(tensor, scales, zeros, axis, low, high)
    fake.sum().backward()
    case = {
        "bits": bits,
        "symmetric": symmetric,
        "axis": axis,
        "w": tensor.tolist(),
        "scale": scales.tolist(),
        "zero_point": zeros.tolist(),
        "fake": fake.tolist(),
        "passes": tensor.grad.tolist(),
    }
    if bits == 8 and not symmetric:
        with torch.no_grad(), warnings.catch_warnings():
            # PyTorch announces that these kernels will go; this is what they compute while there.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions")
            if axis is None:
                kept = torch.quantize_per_tensor(tensor, float(scales), int(zeros), torch.qint8)
            else:
                kept = torch.quantize_per_channel(
                    tensor, scales.double(), zeros.long(), axis, torch.qint8
                )
        case["q"] = kept.int_repr().tolist()
        case["real"] = kept.dequantize().tolist()
    return case


def record_quantization(seed: int) -> Record:
    """Record integers, real numbers and where the straight-through gradient passes."""
    rng = np.random.default_rng(seed)
    # All halves from -70 to 70: ties, and on both sides more than int8 holds.
    ties = np.arange(-140, 141) / 2
    cases = [
        quantization_case(ties * step, step, zero, 8, False, None)
        for step, zero in ((1.0, 0), (1.0, 37), (0.25, -128), (4.0, 127), (0.5, -3))
    ]
    for bits in (8, 6, 4, 3, 2):
        for symmetric in (False, True):
            w = rng.normal(size=(6, 4)).astype(np.float32)
            scale = np.float32(np.abs(w).max() / 2 ** (bits - 1))
            low = 0 if symmetric else -(2 ** (bits - 1))
            zero = int(rng.integers(low, -low)) if low else 0
            cases.append(quantization_case(3 * w, 2 * scale, zero, bits, symmetric, None))
            for axis in (0, 1):
                channels = w.shape[axis]
                scales = scale * rng.uniform(0.5, 2, size=channels).astype(np.float32)
                zeros = rng.integers(low, -low, size=channels) if low else [0] * channels
                cases.append(quantization_case(w, scales, zeros, bits, symmetric, axis))
    return {"versions": versions(), "cases": cases}


# Transfer ---------------------------------------------------------------------------


def record_transfer(seed: int) -> Record:
    """Record fine-tuning with a parameter group for each layer, and what averages networks.

    A rate of 0 is a layer that asks for no gradient and is in no group: PyTorch's way to freeze.
    """
    rng = np.random.default_rng(seed)
    sizes = SIZES[3]
    counts = [(a + 1) * b for a, b in pairwise(sizes)]
    theta, x = 0.7 * rng.normal(size=(4, sum(counts))), rng.normal(size=(7, 5))
    y, runs = rng.integers(3, size=7), {}
    for name, arguments, theirs in [
        ("GradientDescent", {}, lambda groups: torch.optim.SGD(groups)),
        ("Momentum", {"beta": 0.8}, lambda groups: torch.optim.SGD(groups, momentum=0.8)),
        ("AdamW", {"weight_decay": 0.1}, lambda g: torch.optim.AdamW(g, weight_decay=0.1)),
    ]:
        for rates in ([0.0, 0.0, 0.1], [0.0, 0.02, 0.1], [0.001, 0.01, 0.1]):
            leaves = [leaf.clone() for leaf in torch.from_numpy(theta[0]).split(counts)]
            groups = [
                {"params": [leaf.requires_grad_()], "lr": rate}
                for leaf, rate in zip(leaves, rates, strict=True)
                if rate > 0
            ]
            optimizer = theirs(groups)
            for _ in range(20):
                optimizer.zero_grad()
                logits = torch_forward(torch.cat(leaves), torch.from_numpy(x), sizes, torch.tanh)
                functional.cross_entropy(logits, torch.from_numpy(y)).backward()
                optimizer.step()
            runs[f"{name} {rates}"] = {
                "class": name,
                "arguments": arguments,
                "rates": rates,
                "theta": torch.cat(leaves).tolist(),
            }
    networks = [torch.nn.ParameterList([torch.from_numpy(one)]) for one in theta]
    averaged = torch.optim.swa_utils.AveragedModel(networks[0])
    for network in networks:
        averaged.update_parameters(network)
    outputs = [
        torch_forward(torch.from_numpy(one), torch.from_numpy(x), sizes, torch.tanh)
        for one in theta
    ]
    return {
        "versions": versions(),
        "sizes": list(sizes),
        "theta": theta.tolist(),
        "x": x.tolist(),
        "y": y.tolist(),
        "runs": runs,
        "average": averaged.module[0].tolist(),
        "ensemble": torch.stack(outputs).softmax(dim=-1).mean(dim=0).tolist(),
    }


RECORDERS = {
    "optimizers": record_optimizers,
    "losses": record_losses,
    "networks": record_networks,
    "schedules": record_schedules,
    "quantization": record_quantization,
    "transfer": record_transfer,
}


def main() -> None:
    """Write one file a topic."""
    FOLDER.mkdir(exist_ok=True)
    for topic, record in RECORDERS.items():
        text = json.dumps(record(seed=0), separators=(",", ":"))
        # One run or case a line, so that a difference between two recordings is readable.
        text = text.replace('{"class"', '\n{"class"').replace('{"loss"', '\n{"loss"')
        text = text.replace('{"depth"', '\n{"depth"').replace('{"bits"', '\n{"bits"')
        (FOLDER / f"{topic}.json").write_text(text + "\n")

    import record_conventions  # beside this file; the tests load this file from elsewhere

    record_conventions.main()


if __name__ == "__main__":
    main()
