"""Every public function refuses wrong arguments: by name, with the rule and the value.

`SUBJECTS` holds a call that works for every public function, class and method; `BAD` says
which single argument makes it fail and what the message must tell. A name that is added to
an ``__all__`` without rows here fails `test_every_public_name_has_rows`.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import optlearn
from optlearn import (
    curvature,
    functions,
    gradients,
    losses,
    misprints,
    optimizers,
    runs,
    schedules,
    second_order,
    training,
    transfer,
)
from optlearn.networks import MLP
from optlearn.optimizers import GradientDescent, Momentum

Array = NDArray[Any]
# (argument, its bad value, error, what the message says after the argument's name)
Bad = tuple[str, Any, type[Exception], str]
Subject = Callable[[], tuple[Callable[..., Any], dict[str, Any]]]

MODULES = (
    "activations",
    "adaptive",
    "curvature",
    "functions",
    "gradients",
    "losses",
    "misprints",
    "networks",
    "optimizers",
    "runs",
    "schedules",
    "second_order",
    "training",
    "transfer",
)
# Their bad inputs stand in test files of their own.
ELSEWHERE = {
    "comparing",
    "compression",
    "datasets",
    "diagnostics",
    "fast",
    "parallel",
    "plotting",
    "quantization",
    "sweeps",
}
# What these modules share with another one has its rows there.
HOME = {"activations": "losses", "adaptive": "optimizers"}
# Names that are not called with a user's arguments: records of results, type aliases, a
# table, and a helper for arrays that have been checked.
NOT_CALLED = {
    "curvature.Eigenpair",
    "runs.Runs",
    "misprints.Misprint",  # see test_misprints.py
    "misprints.Verdict",
    "training.History",
    "training.Path",
    "schedules.Schedule",
    "activations.ACTIVATIONS",
    "activations.Activation",
    "activations.minus_abs",
}


class Anything:
    """An object that is none of the types our functions take."""

    def __repr__(self) -> str:
        """Give messages something to quote."""
        return "Anything()"


# What is wrong with a floating array of any shape.
def bad_arrays(name: str, like: Array) -> list[Bad]:
    """List what is wrong with a floating array in the shape of `like`."""
    holes = [like.copy() for _ in range(3)]
    for array, value in zip(holes, (np.nan, np.inf, -np.inf), strict=True):
        array.flat[-1] = value
    return [
        (name, holes[0], ValueError, "must be finite, got nan"),
        (name, holes[1], ValueError, "must be finite, got inf"),
        (name, holes[2], ValueError, "must be finite, got -inf"),
        (name, like.astype(object), TypeError, "must be floating point, got object"),
        (name, like.astype(str), TypeError, "must be floating point, got <U"),
        (name, None, TypeError, "must be floating point, got object"),
    ]


def bad_floats(name: str, like: Array) -> list[Bad]:
    """List what is wrong with an array where integers do not pass either."""
    return [
        *bad_arrays(name, like),
        (name, like.astype(int), TypeError, "must be floating point, got int64"),
        (name, like.astype(bool), TypeError, "must be floating point, got bool"),
    ]


def bad_numbers(name: str, *wrong: float, optional: bool = False) -> list[Bad]:
    """List what is wrong with a real number, besides the values `wrong`."""
    return [
        *[(name, value, ValueError, f"must be .*got {value}") for value in wrong],
        (name, np.nan, ValueError, "must be .*got nan"),
        (name, np.inf, ValueError, "must be .*got inf"),
        (name, "0.5", TypeError, "must be .*got '0.5'"),
        (name, True, TypeError, "must be .*got True"),
        (name, 0.5j, TypeError, "must be .*got 0.5j"),
        *([] if optional else [(name, None, TypeError, "must be .*got None")]),
    ]


def bad_integers(name: str, *wrong: int, optional: bool = False) -> list[Bad]:
    """List what is wrong with a whole number, besides the values `wrong`."""
    return [
        *[(name, value, ValueError, f"must be .*got {value}") for value in wrong],
        (name, 2.0, TypeError, "must be an integer.*got 2.0"),
        (name, "2", TypeError, "must be an integer.*got '2'"),
        (name, True, TypeError, "must be an integer.*got True"),
        *([] if optional else [(name, None, TypeError, "must be an integer.*got None")]),
    ]


def bad_flags(*names: str) -> list[Bad]:
    """List what is wrong with switches."""
    return [
        (name, value, TypeError, f"must be True or False, got {value!r}")
        for name in names
        for value in (1, None, "yes")
    ]


def bad_generators(name: str) -> list[Bad]:
    """List what is wrong with a random generator."""
    return [
        (name, value, TypeError, "must be a numpy.random.Generator.*got ")
        for value in (None, 0, Anything())
    ]


SUBJECTS: dict[str, Subject] = {}
BAD: dict[str, list[Bad]] = {}


def subject(name: str, bad: list[Bad], make: Subject) -> None:
    """Add a public name with a call that works and the rows that do not."""
    SUBJECTS[name], BAD[name] = make, bad


# Losses and activations ---------------------------------------------------------------

ROW = np.array([[0.5, -0.25, 2.0]])

for loss, (first, second) in {
    "mean_squared_error": ("prediction", "target"),
    "mean_absolute_error": ("prediction", "target"),
    "huber": ("prediction", "target"),
    "binary_cross_entropy": ("logits", "labels"),
    "hinge": ("logits", "labels"),
}.items():
    subject(
        f"losses.{loss}",
        [
            *bad_floats(first, ROW),
            *bad_arrays(second, np.ones((1, 3))),
            (first, np.array(1.0), ValueError, r"must have a batch axis, got shape \(\)"),
            (first, np.empty((0, 3)), ValueError, r"must not be empty, got shape \(0, 3\)"),
            (second, np.empty((0, 3)), ValueError, r"must not be empty, got shape \(0, 3\)"),
            (second, np.ones((3, 1)), ValueError, r"must have the shape .*got \(3, 1\)"),
            (second, np.ones(3), ValueError, r"must have the shape .*got \(3,\)"),
            (second, 1.0, ValueError, r"must have the shape .*got \(\)"),
        ],
        lambda loss=loss, first=first, second=second: (
            getattr(losses, loss),
            {first: ROW, second: np.ones((1, 3))},
        ),
    )
BAD["losses.huber"] += bad_numbers("delta", 0.0, -1.0)
BAD["losses.binary_cross_entropy"] += [
    ("labels", np.array([[0.0, 1.5, 1.0]]), ValueError, r"must be in \[0, 1\], got 1.5"),
    ("labels", np.array([[0, -1, 1]]), ValueError, r"must be in \[0, 1\], got -1"),
]
BAD["losses.hinge"] += [
    ("labels", np.array([[0, 1, 1]]), ValueError, "must be -1 or .1, got 0"),
    ("labels", np.array([[-1.0, 0.5, 1.0]]), ValueError, "must be -1 or .1, got 0.5"),
    ("labels", np.ones((1, 3), dtype=bool), ValueError, "must be -1 or .1, got True"),
]
subject(
    "losses.softmax_cross_entropy",
    [
        *bad_floats("logits", ROW),
        ("logits", ROW[0], ValueError, r"must have shape \(..., batch, classes\), got \(3,\)"),
        ("logits", np.empty((1, 0)), ValueError, r"must not be empty, got shape \(1, 0\)"),
        ("labels", np.array([3]), ValueError, "must be integers from 0 to 2, got 3"),
        ("labels", np.array([-1]), ValueError, "must be integers from 0 to 2, got -1"),
        ("labels", np.array([1.0]), TypeError, "must be integers from 0 to 2, got float64"),
        ("labels", np.array([True]), TypeError, "must be integers from 0 to 2, got bool"),
        ("labels", np.array(["1"]), TypeError, "must be integers from 0 to 2, got <U1"),
        ("labels", None, TypeError, "must be integers from 0 to 2, got object"),
        ("labels", np.array([], dtype=int), ValueError, r"must not be empty, got shape \(0,\)"),
        ("labels", np.array([1, 2]), ValueError, r"must have shape \(1,\).*got \(2,\)"),
        ("labels", np.array([[1]]), ValueError, r"must have shape \(1,\).*got \(1, 1\)"),
        ("labels", 1, ValueError, r"must have shape \(1,\).*got \(\)"),
    ],
    lambda: (losses.softmax_cross_entropy, {"logits": ROW, "labels": np.array([1])}),
)
for squash in ("sigmoid", "softmax", "log_softmax"):
    subject(
        f"losses.{squash}",
        [
            *bad_floats("z", ROW),
            ("z", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
        ],
        lambda squash=squash: (getattr(losses, squash), {"z": ROW}),
    )
    if squash != "sigmoid":
        BAD[f"losses.{squash}"] += [
            ("z", 1.0, ValueError, r"must have shape \(..., classes\), got \(\)")
        ]

# Gradient checks ----------------------------------------------------------------------

VECTOR = np.array([1.0, 2.0])
bad_vectors = [
    *bad_floats("theta", VECTOR),
    ("theta", VECTOR.astype(complex), TypeError, "must be real, got complex128"),
    ("theta", np.ones((1, 2)), ValueError, r"must have shape \(n,\), got \(1, 2\)"),
    ("theta", 1.0, ValueError, r"must have shape \(n,\), got \(\)"),
    ("theta", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
]
subject(
    "gradients.finite_difference",
    [
        *bad_vectors,
        *bad_numbers("h", 0.0, -1e-6, optional=True),
        ("h", 1e-17, ValueError, "must be large enough to change theta, got 1e-17 at 1.0"),
        ("f", lambda x: x, TypeError, r"must return one real number, got float64 \(2,\)"),
        ("f", lambda x: 1j, TypeError, r"must return one real number, got complex128 \(\)"),
        ("f", lambda x: None, TypeError, r"must return one real number, got object \(\)"),
        ("f", 3.0, TypeError, "must be .*callable.*got 3.0"),
        ("scheme", "backward", ValueError, "must be one of central, forward, got 'backward'"),
        ("scheme", 2, TypeError, "must be one of central, forward, got 2"),
    ],
    lambda: (gradients.finite_difference, {"f": lambda x: x[0], "theta": VECTOR}),
)
subject(
    "gradients.complex_step",
    [
        *bad_vectors,
        *bad_numbers("h", 0.0, -1e-30),
        ("f", lambda x: x, TypeError, r"must return one complex number, got complex128 .*\(2,\)"),
        ("f", lambda x: x[0].real, TypeError, "must return one complex number, got float64"),
        ("f", None, TypeError, "must be .*callable.*got None"),
    ],
    lambda: (gradients.complex_step, {"f": lambda x: x[0], "theta": VECTOR}),
)
subject(
    "gradients.relative_error",
    [
        *bad_arrays("a", VECTOR),
        *bad_arrays("b", VECTOR),
        ("b", np.ones(3), ValueError, r"must have the shape of a, \(2,\), got \(3,\)"),
        ("a", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
    ],
    lambda: (gradients.relative_error, {"a": VECTOR, "b": VECTOR}),
)

# Curvature ----------------------------------------------------------------------------

subject(
    "curvature.hessian_vector_product",
    [
        *bad_vectors,
        *(("vector", *row[1:]) for row in bad_vectors),
        ("vector", np.ones(3), ValueError, r"has shape \(3,\), theta has shape \(2,\)"),
        ("gradient", 3.0, TypeError, "must be a callable of theta, got 3.0"),
        ("gradient", lambda x: x.real, TypeError, "must return complex numbers, got float64"),
        ("gradient", lambda x: x[0], ValueError, r"must return the shape of theta, .*got \(\)"),
    ],
    lambda: (
        curvature.hessian_vector_product,
        {"gradient": lambda x: 2 * x, "theta": VECTOR, "vector": VECTOR},
    ),
)
subject(
    "curvature.largest_eigenvalue",
    [
        ("product", None, TypeError, "must be a callable of a vector, got None"),
        ("n", 0, ValueError, "must be >= 1, got 0"),
        ("rng", 3, TypeError, "Generator.*got 3"),
        *bad_numbers("tolerance", 0.0, -1e-6),
        ("max_products", 1, ValueError, "must be >= 2, got 1"),
    ],
    lambda: (
        curvature.largest_eigenvalue,
        {"product": lambda v: 2 * v, "n": 2, "rng": np.random.default_rng(0)},
    ),
)

# Second-order steps -------------------------------------------------------------------

SYMMETRIC = np.array([[2.0, 1.0], [1.0, 3.0]])
bad_models = [
    *bad_floats("grad", VECTOR),
    ("grad", VECTOR.astype(complex), TypeError, "must be real, got complex128"),
    ("grad", np.ones((1, 2)), ValueError, r"must have shape \(n,\), got \(1, 2\)"),
    *bad_floats("hessian", SYMMETRIC),
    ("hessian", SYMMETRIC.astype(complex), TypeError, "must be real, got complex128"),
    ("hessian", np.eye(3), ValueError, r"must have shape \(2, 2\), got \(3, 3\)"),
    ("hessian", np.array([[1.0, 2.0], [0.0, 1.0]]), ValueError, "must be symmetric, got "),
]
subject(
    "second_order.newton_step",
    [
        *bad_models,
        *bad_numbers("damping", -0.1),
        ("hessian", np.ones((2, 2)), ValueError, "must not be singular at damping=0.0, got "),
        ("hessian", np.zeros((2, 2)), ValueError, "must not be singular at damping=0.0, got "),
    ],
    lambda: (second_order.newton_step, {"grad": VECTOR, "hessian": SYMMETRIC, "damping": 0.0}),
)
subject(
    "second_order.trust_region_step",
    [*bad_models, *bad_numbers("radius", 0.0, -1.0)],
    lambda: (
        second_order.trust_region_step,
        {"grad": VECTOR, "hessian": SYMMETRIC, "radius": 1.0},
    ),
)
subject(
    "second_order.backtrack",
    [
        *(
            row
            for name in ("theta", "grad", "step")
            for row in bad_floats(name, -VECTOR if name == "step" else VECTOR)
        ),
        ("grad", np.ones(3), ValueError, r"must have shape \(n,\) like theta, got \(3,\)"),
        ("step", -np.ones(3), ValueError, r"must have shape \(n,\) like theta, got \(3,\)"),
        ("theta", np.ones((1, 2)), ValueError, r"must have shape \(n,\) .*got \(1, 2\)"),
        ("value", 3.0, TypeError, "must be a callable of theta, got 3.0"),
        ("step", VECTOR, ValueError, "must lead downhill, got the slope 5 along it"),
        *bad_numbers("decrease", 0.0, -1.0),
        *bad_integers("halvings", 0),
    ],
    lambda: (
        second_order.backtrack,
        {"value": lambda x: x @ x / 2, "theta": VECTOR, "grad": VECTOR, "step": -VECTOR},
    ),
)
bad_walks = [
    ("function", None, TypeError, "must be an optlearn Function, got None"),
    *bad_floats("theta0", VECTOR),
    ("theta0", VECTOR.astype(complex), TypeError, "must be real, got complex128"),
    ("theta0", np.ones(3), ValueError, r"must have shape \(2,\), got \(3,\)"),
    ("theta0", np.ones((1, 2)), ValueError, r"must have shape \(n,\), got \(1, 2\)"),
    *bad_integers("steps", 0),
]
WALK = {"function": functions.himmelblau, "theta0": VECTOR, "steps": 2}
subject(
    "second_order.newton",
    [*bad_walks, *bad_numbers("damping", -1.0), *bad_flags("line_search")],
    lambda: (second_order.newton, {**WALK, "damping": 0.0}),
)
subject(
    "second_order.trust_region",
    [
        *bad_walks,
        *bad_numbers("radius", 0.0),
        *bad_numbers("limit", 0.0),
        ("limit", 0.5, ValueError, r"must be >= radius=1.0, got 0.5"),
    ],
    lambda: (second_order.trust_region, {**WALK, "radius": 1.0}),
)
subject(
    "second_order.gauss_newton_product",
    [
        ("network", None, TypeError, "must be an MLP, got None"),
        *bad_floats("theta", np.ones(9)),
        ("theta", np.ones(8), ValueError, r"has shape \(9,\), theta has shape \(8,\)"),
        *bad_floats("vector", np.ones(9)),
        ("vector", np.ones(8), ValueError, r"has shape \(8,\), theta has shape \(9,\)"),
        ("vector", np.ones(9) * 1j, TypeError, "must be real, got complex128"),
        ("x", np.ones((1, 3)), ValueError, r"must have shape \(batch, 2\), got \(1, 3\)"),
        ("y", np.array([3]), ValueError, "must be integers from 0 to 2, got 3"),
        ("loss", 3.0, TypeError, "must be a callable of logits and y, got 3.0"),
    ],
    lambda: (
        second_order.gauss_newton_product,
        {
            "network": MLP((2, 3)),
            "theta": np.ones(9),
            "x": np.ones((1, 2)),
            "y": np.array([0]),
            "vector": np.ones(9),
        },
    ),
)

# Functions ----------------------------------------------------------------------------

parts: dict[str, Any] = {
    "name": "parabola",
    "value": lambda theta: (theta**2).sum(axis=-1),
    "gradient": lambda theta: 2 * theta,
    "hessian": lambda theta: 2.0 + 0 * theta[..., None],
    "minimum": [[0.0]],
    "domain": [[-1.0, 1.0]],
}
subject(
    "functions.Function",
    [
        *[
            (part, 3.0, TypeError, "must be a callable of theta, got 3.0")
            for part in ("value", "gradient", "hessian")
        ],
        ("name", 3.0, TypeError, "must be a string, got 3.0"),
        *bad_floats("domain", np.array([[-1.0, 1.0]])),
        ("domain", [[-1.0, 1.0, 2.0]], ValueError, r"must have shape \(n, 2\), got \(1, 3\)"),
        ("domain", [-1.0, 1.0], ValueError, r"must have shape \(n, 2\), got \(2,\)"),
        ("domain", [[1.0, -1.0]], ValueError, r"must .*lower.*got \[1.0, -1.0\]"),
        *[row for row in bad_floats("minimum", np.array([[1.0]])) if row[1] is not None],
        ("minimum", [[0.0, 1.0]], ValueError, r"must have shape \(k, 1\), got \(1, 2\)"),
        ("minimum", [0.0], ValueError, r"must have shape \(k, 1\), got \(1,\)"),
    ],
    lambda: (functions.Function, dict(parts)),
)
subject(
    "functions.Quadratic",
    [
        *bad_floats("hessian", np.eye(2)),
        ("hessian", np.eye(2) + 0j, TypeError, "must be real, got complex128"),
        ("hessian", np.ones((2, 3)), ValueError, r"must have shape .*got \(2, 3\)"),
        ("hessian", np.ones((2, 2, 2)), ValueError, r"must have shape .*got \(2, 2, 2\)"),
        ("hessian", 1.0, ValueError, r"must have shape .*got \(\)"),
        ("hessian", np.empty((0, 0)), ValueError, "must not be empty"),
        ("hessian", np.array([[1.0, 2.0], [0.0, 1.0]]), ValueError, "must be symmetric, got"),
        ("center", np.ones(3), ValueError, r"must have shape \(2,\), got \(3,\)"),
        ("center", np.ones((1, 2)), ValueError, r"must have shape \(2,\), got \(1, 2\)"),
        *[row for row in bad_arrays("center", VECTOR) if row[1] is not None],
    ],
    lambda: (functions.Quadratic, {"hessian": np.eye(2), "center": VECTOR}),
)
INSTANCES = {name: getattr(functions, name) for name in functions.__all__ if name[0].islower()} | {
    "Function": functions.Function(**parts),
    "Quadratic": functions.Quadratic(np.eye(2)),
}
for name, function in INSTANCES.items():
    n = function.dimension
    for method in ("value", "gradient", "hessian"):
        subject(
            f"functions.{name}.{method}",
            [
                *bad_floats("theta", np.ones(n)),
                ("theta", np.ones(n + 1), ValueError, rf"must have shape .*{n}\), got \({n + 1},"),
                ("theta", 1.0, ValueError, rf"must have shape .*{n}\), got \(\)"),
                ("theta", np.empty((0, n)), ValueError, "must not be empty"),
            ],
            lambda function=function, method=method: (
                getattr(function, method),
                {"theta": np.ones(function.dimension)},
            ),
        )

# Schedules ----------------------------------------------------------------------------

bad_rates = bad_numbers("lr", 0.0, -0.1)
for name, arguments, bad in [
    ("constant", {}, []),
    (
        "step_decay",
        {"every": 2},
        [*bad_integers("every", 0, -1), *bad_numbers("factor", 0.0, -0.5, 1.5)],
    ),
    ("exponential", {"rate": 0.5}, bad_numbers("rate", 0.0, -0.5, 1.5)),
    ("inverse_time", {"decay": 0.5}, bad_numbers("decay", 0.0, -0.5)),
    (
        "cosine",
        {"steps": 5},
        [*bad_integers("steps", 0, -1), *bad_numbers("final", -0.1, 0.75)],
    ),
    (
        "cosine_restarts",
        {"period": 5},
        [
            *bad_integers("period", 0, -1),
            *bad_integers("growth", 0, -1),
            *bad_numbers("final", -0.1, 0.75),
        ],
    ),
    ("linear_warmup", {"steps": 5}, bad_integers("steps", 0, -1)),
    (
        "one_cycle",
        {"steps": 10},
        [
            *bad_integers("steps", 1, 0, -1),
            *bad_numbers("warm", 0.0, 1.0, -0.5),
            ("warm", 0.1, ValueError, "steps must be > 1, got 0.1"),
            *bad_numbers("start_divisor", 0.0, -1.0),
            *bad_numbers("final_divisor", 0.0, -1.0),
        ],
    ),
]:
    subject(
        f"schedules.{name}",
        [*bad_rates, *bad],
        lambda name=name, arguments=arguments: (
            getattr(schedules, name),
            {"lr": 0.5, **arguments},
        ),
    )
    subject(
        f"schedules.{name}()",
        bad_integers("t", -1),
        lambda name=name, arguments=arguments: (
            getattr(schedules, name)(0.5, **arguments),
            {"t": 3},
        ),
    )
subject(
    "schedules.warmup_then",
    [
        *bad_integers("steps", 0, -1),
        ("schedule", 0.1, TypeError, "must be a callable of the step, got 0.1"),
        ("schedule", None, TypeError, "must be a callable of the step, got None"),
    ],
    lambda: (schedules.warmup_then, {"schedule": schedules.constant(0.5), "steps": 3}),
)
subject(
    "schedules.warmup_then()",
    bad_integers("t", -1),
    lambda: (schedules.warmup_then(schedules.constant(0.5), steps=3), {"t": 3}),
)

# Optimizers ---------------------------------------------------------------------------

bad_lr = [
    *bad_numbers("lr", 0.0, -0.1),
    ("lr", np.array([0.1, -0.1]), ValueError, "must be >= 0 everywhere, got -0.1"),
    ("lr", np.array([0.0, 0.0]), ValueError, "must be > 0 somewhere, got only zeros"),
    ("lr", np.array([0.1, np.nan]), ValueError, "must be finite, got nan"),
    ("lr", np.array([1, 2]), TypeError, "must be floating point, got int64"),
    ("lr", np.array([0.1, 1j]), TypeError, "must be real, got complex128"),
    ("lr", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
    ("lr", [], ValueError, r"must not be empty, got shape \(0,\)"),
    ("lr", Anything(), TypeError, r"must be .*got Anything\(\)"),
]
bad_adam = [
    *bad_numbers("beta1", 1.0, 1.5, -0.1),
    *bad_numbers("beta2", 1.0, 1.5, -0.1),
    *bad_numbers("eps", -1e-8),
    *bad_flags("eps_inside", "bias_correction", "amsgrad"),
]
for name, bad in {
    "Optimizer": [],
    "GradientDescent": [],
    "Momentum": [
        *bad_numbers("beta", 1.0, 1.5, -0.1),
        ("form", "polyak", ValueError, "must be one of heavy-ball.*got 'polyak'"),
        ("form", None, TypeError, "must be one of heavy-ball.*got None"),
    ],
    "AdaGrad": bad_numbers("eps", -1e-8),
    "RMSProp": [
        *bad_numbers("rho", 1.0, 1.5, -0.1),
        *bad_numbers("eps", -1e-8),
        *bad_flags("eps_inside", "bias_correction"),
    ],
    "Adam": bad_adam,
    "AdamW": [*bad_adam, *bad_numbers("weight_decay", -0.01)],
}.items():
    subject(
        f"optimizers.{name}",
        [*bad_lr, *bad],
        lambda name=name: (getattr(optimizers, name), {"lr": 0.1}),
    )

THETA, GRAD = np.array([1.0, 2.0, 3.0]), np.array([0.5, -0.5, 1.0])


def after_two_steps(name: str, lr: Any = 0.1) -> Any:
    """Return an optimizer that has something to lose."""
    optimizer = getattr(optimizers, name)(lr)
    optimizer.step(optimizer.step(THETA, GRAD), GRAD)
    return optimizer


read_only = np.ones(3)
read_only.flags.writeable = False
shared = np.arange(5.0)
bad_outs = [
    ("out", [0.0, 0.0, 0.0], TypeError, "must be a NumPy array, got list"),
    ("out", np.ones(3, dtype=np.float32), TypeError, "must have dtype float64, got float32"),
    ("out", np.ones(3, dtype=int), TypeError, "must have dtype float64, got int64"),
    ("out", np.ones(4), ValueError, r"must have shape \(3,\), got \(4,\)"),
    ("out", np.ones((1, 3)), ValueError, r"must have shape \(3,\), got \(1, 3\)"),
    ("out", read_only, ValueError, "must be writeable, got a read-only array"),
]
for name in optimizers.__all__:
    if name == "Optimizer":
        continue  # abstract
    subject(
        f"optimizers.{name}.step",
        [
            *bad_floats("theta", THETA),
            *bad_floats("grad", GRAD),
            ("theta", THETA + 0j, TypeError, "must be float32 or float64, got complex128"),
            ("theta", THETA.astype("f2"), TypeError, "must be float32 or float64, got float16"),
            ("grad", GRAD + 0j, TypeError, "has dtype complex128, theta has dtype float64"),
            ("grad", GRAD.astype(np.float32), TypeError, "has dtype float32, theta has dtype"),
            ("grad", np.ones(4), ValueError, r"has shape \(4,\), theta has shape \(3,\)"),
            ("grad", np.ones((1, 3)), ValueError, r"has shape \(1, 3\), theta has shape \(3,\)"),
            ("theta", 1.0, ValueError, r"must have shape \(n,\) or \(runs, n\), got \(\)"),
            ("theta", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
            *bad_outs,
        ],
        lambda name=name: (
            after_two_steps(name).step,
            {"theta": THETA, "grad": GRAD, "out": np.zeros(3)},
        ),
    )

# Networks -----------------------------------------------------------------------------

NETWORK = MLP((2, 3))
WEIGHTS, X, Y = np.linspace(-1, 1, 9), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 2])
subject(
    "networks.MLP",
    [
        ("sizes", (3,), ValueError, r"must name at least input and output, got \(3,\)"),
        ("sizes", (), ValueError, r"must name at least input and output, got \(\)"),
        ("sizes", (3, 0, 2), ValueError, "must be >= 1, got 0"),
        ("sizes", (3, -2), ValueError, "must be >= 1, got -2"),
        ("sizes", (3, 2.0), TypeError, "must be an integer >= 1, got 2.0"),
        ("sizes", (3, True), TypeError, "must be an integer >= 1, got True"),
        ("sizes", "32", TypeError, "must be a sequence of integers, got '32'"),
        ("sizes", 3, TypeError, "must be a sequence of integers, got 3"),
        ("sizes", None, TypeError, "must be a sequence of integers, got None"),
        ("activation", "swish", ValueError, "must be one of relu.*got 'swish'"),
        ("activation", None, TypeError, "must be one of relu.*got None"),
        ("activation", np.tanh, TypeError, "must be one of relu.*got <ufunc 'tanh'>"),
    ],
    lambda: (MLP, {"sizes": (2, 3)}),
)
subject(
    "networks.MLP.init",
    [
        *bad_generators("rng"),
        ("scheme", "xavier", ValueError, "must be one of he, glorot, got 'xavier'"),
        ("scheme", 1, TypeError, "must be one of he, glorot, got 1"),
        ("dtype", int, TypeError, "must be float32 or float64, got int64"),
        ("dtype", np.float16, TypeError, "must be float32 or float64, got float16"),
        ("dtype", "float65", TypeError, "must be float32 or float64, got 'float65'"),
    ],
    lambda: (NETWORK.init, {"rng": np.random.default_rng(0)}),
)
bad_weights = [
    *bad_floats("theta", WEIGHTS),
    ("theta", np.ones(8), ValueError, r"must have shape \(9,\) .*got \(8,\)"),
    ("theta", np.ones((2, 8)), ValueError, r"must have shape \(9,\) .*got \(2, 8\)"),
    ("theta", np.ones((1, 2, 9)), ValueError, r"must have shape \(9,\) .*got \(1, 2, 9\)"),
    ("theta", 1.0, ValueError, r"must have shape \(9,\) .*got \(\)"),
    ("theta", np.empty((0, 9)), ValueError, r"must not be empty, got shape \(0, 9\)"),
]
bad_x = [
    *bad_floats("x", X),
    ("x", X + 0j, TypeError, "must be real.*got complex128"),
    ("x", X[0], ValueError, r"must have shape \(batch, 2\), got \(2,\)"),
    ("x", np.ones((2, 3)), ValueError, r"must have shape \(batch, 2\), got \(2, 3\)"),
    ("x", np.ones((4, 2, 2)), ValueError, r"must have shape .*got \(4, 2, 2\)"),
    ("x", np.empty((0, 2)), ValueError, r"must not be empty, got shape \(0, 2\)"),
]
subject(
    "networks.MLP.unpack",
    [row for row in bad_weights if "finite" not in row[3]],
    lambda: (NETWORK.unpack, {"theta": WEIGHTS}),
)
for method in ("forward", "activations", "predict"):
    subject(
        f"networks.MLP.{method}",
        [*bad_weights, *bad_x],
        lambda method=method: (getattr(NETWORK, method), {"theta": WEIGHTS, "x": X}),
    )
subject(
    "networks.MLP.loss_and_grad",
    [
        *bad_weights,
        *bad_x,
        ("y", np.array([0, 3]), ValueError, "labels must be integers from 0 to 2, got 3"),
        ("y", np.array([0, 1, 2]), ValueError, r"labels must have shape \(2,\).*got \(3,\)"),
        ("y", np.array([0.0, 1.0]), TypeError, "labels must be integers.*got float64"),
        ("loss", "mse", TypeError, "must be a callable of logits and y, got 'mse'"),
        ("loss", None, TypeError, "must be a callable of logits and y, got None"),
        ("out", np.ones(8), ValueError, r"must have shape \(9,\), got \(8,\)"),
        ("out", np.ones(9, dtype=np.float32), TypeError, "must have dtype float64, got float32"),
        ("out", [0.0] * 9, TypeError, "must be a NumPy array, got list"),
    ],
    lambda: (NETWORK.loss_and_grad, {"theta": WEIGHTS, "x": X, "y": Y, "out": np.zeros(9)}),
)

# Training -----------------------------------------------------------------------------

bad_data = [
    ((X, np.array([0, 3])), ValueError, "must be integers from 0 to 2, got 3"),
    ((X, np.array([0])), ValueError, r"must be x of shape .*got \(2, 2\) and \(1,\)"),
    ((X[0], Y), ValueError, r"must be x of shape .*got \(2,\) and \(2,\)"),
    ((X, 1), ValueError, r"must be x of shape .*got \(2, 2\) and \(\)"),
    ((np.ones((2, 3)), Y), ValueError, r"must have shape \(batch, 2\), got \(\d, 3\)"),
    ((X * np.nan, Y), ValueError, "x must be finite, got nan"),
    ((X.astype(int), Y), TypeError, "x must be floating point, got int64"),
    ((X, np.array(["a", "b"])), TypeError, "y must be floating point, got <U1"),
    ((np.empty((0, 2)), np.empty(0, dtype=int)), ValueError, "x must not be empty"),
    (X, TypeError, r"must be a tuple \(x, y\), got ndarray"),
    ((X, Y, Y), TypeError, r"must be a tuple \(x, y\), got tuple"),
]
bad_run = [
    ("network", Anything(), TypeError, r"must be an optlearn MLP, got Anything\(\)"),
    *bad_floats("theta", WEIGHTS),
    ("theta", np.ones(8), ValueError, r"must have shape \(9,\), got \(8,\)"),
    ("theta", np.ones((2, 9)), ValueError, r"must have shape \(9,\), got \(2, 9\)"),
]
subject(
    "training.minibatches",
    [
        *bad_integers("n", 0, -1),
        *bad_integers("batch_size", 0, -1, 6),
        *bad_generators("rng"),
    ],
    lambda: (training.minibatches, {"n": 5, "batch_size": 2, "rng": np.random.default_rng(0)}),
)
subject(
    "training.minimize",
    [
        ("function", np.sum, TypeError, "must be an optlearn Function, got <function sum"),
        ("optimizer", Anything(), TypeError, r"must be an optlearn Optimizer, got Anything\(\)"),
        ("optimizer", GradientDescent, TypeError, "must be an optlearn Optimizer, got <class"),
        *bad_integers("steps", 0, -1),
        *bad_floats("theta0", VECTOR),
        ("theta0", VECTOR + 0j, TypeError, "must be real, got complex128"),
        ("theta0", np.ones(3), ValueError, r"must have shape \(..., 2\), got \(3,\)"),
        ("theta0", 1.0, ValueError, r"must have shape \(..., 2\), got \(\)"),
        ("theta0", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
    ],
    lambda: (
        training.minimize,
        {
            "function": functions.rosenbrock,
            "theta0": VECTOR,
            "optimizer": Momentum(1e-4),
            "steps": 2,
        },
    ),
)
subject(
    "training.fit",
    [
        *bad_run,
        *[("data", *row) for row in bad_data],
        *[("validation", *row) for row in bad_data],
        ("optimizer", Anything(), TypeError, r"must be an optlearn Optimizer, got Anything\(\)"),
        ("loss", "mse", TypeError, "must be a callable of logits and y, got 'mse'"),
        *bad_integers("epochs", 0, -1),
        *bad_integers("batch_size", 0, -1, 3),
        *bad_generators("rng"),
        *bad_numbers("clip_norm", 0.0, -1.0, optional=True),
        *bad_integers("patience", 0, -1, optional=True),
        ("validation", None, ValueError, "patience needs validation data, got patience=2 alone"),
        *bad_flags("progress"),
    ],
    lambda: (
        training.fit,
        {
            "network": NETWORK,
            "theta": WEIGHTS,
            "data": (X, Y),
            "optimizer": Momentum(0.1),
            "epochs": 2,
            "batch_size": 1,
            "rng": np.random.default_rng(0),
            "validation": (X, Y),
            "patience": 2,
        },
    ),
)
subject(
    "training.accuracy",
    [
        *bad_run,
        *bad_x,
        ("y", np.array([0, 3]), ValueError, "must be integers from 0 to 2, got 3"),
        ("y", np.array([0, -1]), ValueError, "must be integers from 0 to 2, got -1"),
        ("y", np.array([0.0, 1.0]), TypeError, "must be integers from 0 to 2, got float64"),
        ("y", np.array([0, 1, 2]), ValueError, r"must have shape \(2,\), got \(3,\)"),
        ("y", np.array([], dtype=int), ValueError, r"must not be empty, got shape \(0,\)"),
    ],
    lambda: (training.accuracy, {"network": NETWORK, "theta": WEIGHTS, "x": X, "y": Y}),
)
subject(
    "training.clip_by_norm",
    [
        *bad_floats("grad", GRAD),
        ("grad", np.ones((1, 3)), ValueError, r"must have shape \(n,\), got \(1, 3\)"),
        ("grad", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
        *bad_numbers("max_norm", 0.0, -1.0),
        *bad_outs,
    ],
    lambda: (
        training.clip_by_norm,
        {"grad": np.array([3.0, 4.0, 0.0]), "max_norm": 1.0, "out": np.zeros(3)},
    ),
)

SEVERAL = np.stack([WEIGHTS, -WEIGHTS, WEIGHTS / 2])
bad_several = [
    ("network", Anything(), TypeError, r"must be an optlearn MLP, got Anything\(\)"),
    *bad_floats("theta", SEVERAL),
    ("theta", SEVERAL + 0j, TypeError, "must be float32 or float64, got complex128"),
    ("theta", WEIGHTS, ValueError, r"must have shape \(runs, 9\), got \(9,\)"),
    ("theta", np.ones((3, 8)), ValueError, r"must have shape \(runs, 9\), got \(3, 8\)"),
    ("theta", np.ones((0, 9)), ValueError, r"must not be empty, got shape \(0, 9\)"),
]
subject(
    "runs.fit_runs",
    [
        *bad_several,
        ("data", (X, np.array([0, 3])), ValueError, "must be integers from 0 to 2, got 3"),
        ("data", (X, np.array([0])), ValueError, r"y must have 2 targets .*got shape \(1,\)"),
        ("data", (X, 1), ValueError, r"y must have 2 targets .*got shape \(\)"),
        ("data", (X, np.zeros((2, 2), dtype=int)), ValueError, r"got \(2, 2\)"),
        ("data", (X[0], Y), ValueError, r"x must have shape \(N, d\) or .*got \(2,\)"),
        ("data", (np.ones((2, 2, 2)), Y), ValueError, r"x must have shape .*got \(2, 2, 2\)"),
        ("data", (np.ones((2, 3)), Y), ValueError, r"x must have shape .*got \(1, 3\)"),
        ("data", (X * np.nan, Y), ValueError, "x must be finite, got nan"),
        ("data", (X.astype(int), Y), TypeError, "x must be floating point, got int64"),
        ("data", (X, np.array(["a", "b"])), TypeError, "y must be floating point, got <U1"),
        ("data", X, TypeError, r"must be a tuple \(x, y\), got ndarray"),
        ("optimizer", Anything(), TypeError, r"must be an optlearn Optimizer, got Anything\(\)"),
        ("loss", "mse", TypeError, "must be a callable of logits and y, got 'mse'"),
        ("loss", lambda z, y: (0.0, z), ValueError, r"must return one value .* 3 runs, got \(\)"),
        *bad_integers("epochs", 0, -1),
        *bad_integers("batch_size", 0, -1, 3),
        *bad_generators("rngs"),
        (
            "rngs",
            [np.random.default_rng(0)],
            ValueError,
            "must be one Generator or .* 3 runs, got 1",
        ),
        ("rngs", [0, 1, 2], TypeError, "must be a numpy.random.Generator.*got 0"),
        *bad_flags("progress"),
    ],
    lambda: (
        runs.fit_runs,
        {
            "network": NETWORK,
            "theta": SEVERAL,
            "data": (X, Y),
            "optimizer": Momentum(0.1),
            "epochs": 2,
            "batch_size": 1,
            "rngs": np.random.default_rng(0),
        },
    ),
)
subject(
    "runs.accuracies",
    [
        *bad_several,
        *[row for row in bad_x if "batch, 2" not in row[3]],
        ("x", X[0], ValueError, r"must have shape .*got \(2,\)"),
        ("y", np.array([0, 3]), ValueError, "must be integers from 0 to 2, got 3"),
        ("y", np.array([0.0, 1.0]), TypeError, "must be integers from 0 to 2, got float64"),
        ("y", np.array([0, 1, 2]), ValueError, r"must have shape \(2,\) or \(3, 2\), got \(3,\)"),
    ],
    lambda: (runs.accuracies, {"network": NETWORK, "theta": SEVERAL, "x": X, "y": Y}),
)

# Transfer -----------------------------------------------------------------------------

DEEP = MLP((2, 2, 3))
DEEP_WEIGHTS = np.linspace(-1, 1, 15)
TWO = np.stack([DEEP_WEIGHTS, -DEEP_WEIGHTS])
NOT_A_NETWORK = [
    (Anything(), TypeError, r"must be an optlearn MLP, got Anything\(\)"),
    (MLP, TypeError, "must be an optlearn MLP, got <class"),
    ((2, 2, 3), TypeError, r"must be an optlearn MLP, got \(2, 2, 3\)"),
]
bad_network = [("network", *row) for row in NOT_A_NETWORK]


def bad_parameters(name: str) -> list[Bad]:
    """List what is wrong with parameters of the network (2, 2, 3), one a run or not."""
    return [
        *bad_floats(name, DEEP_WEIGHTS),
        (name, DEEP_WEIGHTS + 0j, TypeError, "must be float32 or float64, got complex128"),
        (name, np.ones(14), ValueError, r"must have shape \(15,\) or \(runs, 15\), got \(14,\)"),
        (name, np.ones((2, 14)), ValueError, r"must have shape \(15,\) .*got \(2, 14\)"),
        (name, np.ones((1, 2, 15)), ValueError, r"must have shape \(15,\) .*got \(1, 2, 15\)"),
        (name, 1.0, ValueError, r"must have shape \(15,\) .*got \(\)"),
        (name, np.empty((0, 15)), ValueError, r"must not be empty, got shape \(0, 15\)"),
    ]


subject(
    "misprints.misprint",
    [
        ("id", "E0-21", ValueError, "must be one of E0-01 to E4-12, got 'E0-21'"),
        ("id", "e0-05", ValueError, "must be one of E0-01 to E4-12, got 'e0-05'"),
        ("id", 5, ValueError, "must be one of E0-01 to E4-12, got 5"),
        ("id", None, ValueError, "must be one of E0-01 to E4-12, got None"),
        ("id", ["E0-05"], ValueError, "must be one of E0-01 to E4-12, got "),
    ],
    lambda: (misprints.misprint, {"id": "E0-05"}),
)
subject(
    "misprints.misprints",
    [
        ("article", 5, ValueError, "must be one of 0 to 4, got 5"),
        ("article", -1, ValueError, "must be one of 0 to 4, got -1"),
        ("article", True, ValueError, "must be one of 0 to 4, got True"),
        ("article", "0", ValueError, "must be one of 0 to 4, got '0'"),
        ("severity", "D", ValueError, "must be .*got 'D'"),
        ("severity", "a", ValueError, "must be .*got 'a'"),
        ("severity", 1, (TypeError, ValueError), "must be .*got 1"),
    ],
    lambda: (misprints.misprints, {"article": 0, "severity": "A"}),
)

bad_many = [
    *bad_floats("thetas", TWO),
    ("thetas", TWO + 0j, TypeError, "must be float32 or float64, got complex128"),
    ("thetas", DEEP_WEIGHTS, ValueError, r"must have shape \(K, 15\), got \(15,\)"),
    ("thetas", np.ones((2, 14)), ValueError, r"must have shape \(K, 15\), got \(2, 14\)"),
    ("thetas", np.ones((1, 2, 15)), ValueError, r"must have shape \(K, 15\), got \(1, 2, 15\)"),
    ("thetas", np.empty((0, 15)), ValueError, r"must not be empty, got shape \(0, 15\)"),
]
subject(
    "transfer.freeze",
    [
        *bad_network,
        ("layers", 2, ValueError, "must be from -2 to 1, got 2"),
        ("layers", [0, -3], ValueError, "must be >= -2, got -3"),
        *[
            ("layers", value, TypeError, f"must be an integer.*got {shown}")
            for value, shown in [
                (1.0, "1.0"),
                ([0, 1.0], "1.0"),
                (True, "True"),
                (np.array([True, False]), "np.True_"),
                (None, "None"),
                ("0", "'0'"),
                ([[0]], r"\[0\]"),
            ]
        ],
    ],
    lambda: (transfer.freeze, {"network": DEEP, "layers": [0]}),
)
subject(
    "transfer.layer_rates",
    [
        *bad_network,
        ("rates", [0.1], ValueError, r"must have one number for each of 2 layers, got \[0.1\]"),
        ("rates", [0.1] * 3, ValueError, "must have one number for each of 2 layers, got"),
        ("rates", [0.1, -0.1], ValueError, "must be >= 0, got -0.1"),
        ("rates", [0.1, np.nan], ValueError, "must be >= 0, got nan"),
        ("rates", [np.inf, 0.1], ValueError, "must be >= 0, got inf"),
        ("rates", [0.1, "0.1"], TypeError, "must be a real number >= 0, got '0.1'"),
        ("rates", [True, 0.1], TypeError, "must be a real number >= 0, got True"),
        ("rates", np.ones((2, 2)), TypeError, "must be a real number >= 0, got array"),
        ("rates", 0.1, TypeError, "must be a sequence of 2 numbers, got 0.1"),
        ("rates", np.array(0.1), TypeError, r"must be a sequence of 2 numbers, got array\(0.1\)"),
        ("rates", "12", TypeError, "must be a sequence of 2 numbers, got '12'"),
        ("rates", None, TypeError, "must be a sequence of 2 numbers, got None"),
    ],
    lambda: (transfer.layer_rates, {"network": DEEP, "rates": [0.1, 1]}),
)
subject(
    "transfer.reuse_body",
    [
        *[("source", *row) for row in NOT_A_NETWORK],
        *[("target", *row) for row in NOT_A_NETWORK],
        *bad_parameters("theta"),
        ("theta", DEEP_WEIGHTS.astype("f2"), TypeError, "must be float32 or float64, got float16"),
        (
            "target",
            MLP((2, 2, 2, 3)),
            ValueError,
            r"must have the body of source, \(2, 2\) relu, got \(2, 2, 2\) relu",
        ),
        ("target", MLP((3, 2, 3)), ValueError, r"must have the body .*got \(3, 2\) relu"),
        ("target", MLP((2, 3, 3)), ValueError, r"must have the body .*got \(2, 3\) relu"),
        ("target", MLP((2, 2, 3), "tanh"), ValueError, r"must have .*got \(2, 2\) tanh"),
        *bad_generators("rng"),
        ("scheme", "xavier", ValueError, "must be one of he, glorot, got 'xavier'"),
        ("scheme", 1, TypeError, "must be one of he, glorot, got 1"),
    ],
    lambda: (
        transfer.reuse_body,
        {
            "source": DEEP,
            "theta": DEEP_WEIGHTS,
            "target": MLP((2, 2, 1)),
            "rng": np.random.default_rng(0),
        },
    ),
)
bad_batch = [
    *[row for row in bad_x if "batch, 2" not in row[3]],
    ("x", X[0], ValueError, r"must have shape \(batch, 2\), got \(2,\)"),
    ("x", np.stack([X, X]), ValueError, r"must have shape \(batch, 2\), got \(2, 2, 2\)"),
]
subject(
    "transfer.ensemble",
    [*bad_network, *bad_many, *bad_batch],
    lambda: (transfer.ensemble, {"network": DEEP, "thetas": TWO, "x": X}),
)
subject(
    "transfer.average_weights",
    [
        *bad_floats("thetas", TWO),
        ("thetas", TWO + 0j, TypeError, "must be float32 or float64, got complex128"),
        ("thetas", WEIGHTS, ValueError, r"must have shape \(K, n\) or .*got \(9,\)"),
        ("thetas", np.ones((1, 1, 2, 9)), ValueError, r"must have shape .*got \(1, 1, 2, 9\)"),
        ("thetas", np.empty((0, 9)), ValueError, r"must not be empty, got shape \(0, 9\)"),
        *[row for row in bad_arrays("weights", np.ones(2)) if row[1] is not None],
        ("weights", np.ones(2) + 0j, TypeError, "must be real numbers, got complex128"),
        ("weights", [True, False], TypeError, "must be real numbers, got bool"),
        ("weights", [1.0, -0.5], ValueError, "must be >= 0, got -0.5"),
        ("weights", [0, 0], ValueError, "must be > 0 somewhere, got only zeros"),
        ("weights", [1.0], ValueError, r"must have shape \(2,\), got \(1,\)"),
        ("weights", np.ones((2, 1)), ValueError, r"must have shape \(2,\), got \(2, 1\)"),
        ("weights", 1.0, ValueError, r"must have shape \(2,\), got \(\)"),
        ("weights", [], ValueError, r"must not be empty, got shape \(0,\)"),
    ],
    lambda: (transfer.average_weights, {"thetas": TWO, "weights": [1, 3]}),
)
subject(
    "transfer.permute_hidden_units",
    [
        *bad_network,
        *bad_parameters("theta"),
        ("permutations", [], ValueError, "must be one for each of 1 hidden layers, got 0"),
        ("permutations", [[0, 1], [0, 1]], ValueError, "must be one for each of .*got 2"),
        ("permutations", [[0, 0]], ValueError, r"each of 0 to 1 once, got \[0, 0\]"),
        ("permutations", [[1, 2]], ValueError, r"each of 0 to 1 once, got \[1, 2\]"),
        ("permutations", [[-1, 0]], ValueError, r"each of 0 to 1 once, got \[-1, 0\]"),
        ("permutations", [[0]], ValueError, r"each of 0 to 1 once, got \[0\]"),
        ("permutations", [[[0, 1]]], ValueError, r"each of 0 to 1 once, got \[\[0, 1\]\]"),
        ("permutations", [0], ValueError, "each of 0 to 1 once, got 0"),
        ("permutations", [[0.0, 1.0]], TypeError, "must hold integers, got float64"),
        ("permutations", [[False, True]], TypeError, "must hold integers, got bool"),
        ("permutations", ["01"], TypeError, "must hold integers, got <U2"),
        ("permutations", "01", TypeError, "must be a sequence of sequences, got '01'"),
        ("permutations", 1, TypeError, "must be a sequence of sequences, got 1"),
        ("permutations", np.array(1), TypeError, r"must be a sequence of .*got array\(1\)"),
        ("permutations", None, TypeError, "must be a sequence of sequences, got None"),
    ],
    lambda: (
        transfer.permute_hidden_units,
        {"network": DEEP, "theta": DEEP_WEIGHTS, "permutations": [[1, 0]]},
    ),
)
subject(
    "transfer.align_hidden_units",
    [
        *bad_network,
        *bad_parameters("theta"),
        *bad_parameters("reference"),
        ("reference", TWO, ValueError, r"must have the shape of theta, \(15,\), .*got \(2, 15\)"),
        *[row for row in bad_batch if row[1] is not None],
    ],
    lambda: (
        transfer.align_hidden_units,
        {"network": DEEP, "theta": DEEP_WEIGHTS, "reference": -DEEP_WEIGHTS, "x": X},
    ),
)
subject(
    "transfer.interpolate",
    [
        *bad_floats("theta_a", VECTOR),
        *bad_floats("theta_b", VECTOR),
        ("theta_a", VECTOR + 0j, TypeError, "must be float32 or float64, got complex128"),
        ("theta_b", VECTOR + 0j, TypeError, "must be float32 or float64, got complex128"),
        ("theta_a", 1.0, ValueError, r"must have shape \(n,\) or \(runs, n\), got \(\)"),
        ("theta_a", np.ones((1, 1, 2)), ValueError, r"must have shape .*got \(1, 1, 2\)"),
        ("theta_b", np.ones(3), ValueError, r"the shape of theta_a, \(2,\), got \(3,\)"),
        ("theta_b", np.ones((1, 2)), ValueError, r"the shape of theta_a, \(2,\), got \(1, 2\)"),
        ("theta_b", np.array([]), ValueError, r"must not be empty, got shape \(0,\)"),
        *bad_arrays("alphas", VECTOR),
        ("alphas", [0.5j], TypeError, "must be real numbers, got complex128"),
        ("alphas", [True], TypeError, "must be real numbers, got bool"),
        ("alphas", 0.5, ValueError, r"must have shape \(A,\), got \(\)"),
        ("alphas", [[0.5]], ValueError, r"must have shape \(A,\), got \(1, 1\)"),
        ("alphas", [], ValueError, r"must not be empty, got shape \(0,\)"),
    ],
    lambda: (
        transfer.interpolate,
        {"theta_a": VECTOR, "theta_b": -VECTOR, "alphas": np.array([0.0, 0.5])},
    ),
)
subject(
    "transfer.greedy_soup",
    [
        *bad_network,
        *bad_many,
        *bad_x,
        ("y", np.array([0, 3]), ValueError, "must be integers from 0 to 2, got 3"),
        ("y", np.array([0.0, 1.0]), TypeError, "must be integers from 0 to 2, got float64"),
        ("y", np.array([0, 1, 2]), ValueError, r"must have shape \(2,\), got \(3,\)"),
        ("y", np.array([], dtype=int), ValueError, r"must not be empty, got shape \(0,\)"),
    ],
    lambda: (transfer.greedy_soup, {"network": DEEP, "thetas": TWO, "x": X, "y": Y}),
)


# The tests ----------------------------------------------------------------------------


def same(a: Any, b: Any) -> bool:
    """Tell whether two states are equal, arrays and generators included."""
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
        )
    if isinstance(a, np.random.Generator):
        return bool(a.bit_generator.state == b.bit_generator.state)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "__dict__") and not callable(a):
        return type(a) is type(b) and same(vars(a), vars(b))
    return a is b or callable(a) or bool(a == b)


def rows() -> Iterator[Any]:
    """Yield every row with a readable identifier."""
    for name, bad in BAD.items():
        for argument, value, error, message in bad:
            # xdist's workers must agree on a name: an address is another one in each of them.
            shown = re.sub(r" at 0x\w+", "", re.sub(r"\s+", " ", repr(value)))[:30]
            yield pytest.param(
                name, argument, value, error, message, id=f"{name}-{argument}-{shown}"
            )


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_call_that_the_rows_spoil_works(name: str) -> None:
    call, arguments = SUBJECTS[name]()
    call(**arguments)


@pytest.mark.parametrize(("name", "argument", "value", "error", "message"), list(rows()))
def test_a_bad_argument_is_refused_by_name_and_leaves_everything_as_it_was(
    name: str, argument: str, value: Any, error: type[Exception], message: str
) -> None:
    call, arguments = SUBJECTS[name]()
    arguments[argument] = value
    owner = getattr(call, "__self__", None)
    before = copy.deepcopy((vars(owner) if owner is not None else {}, arguments))
    with pytest.raises(error) as caught:
        call(**arguments)
    assert type(caught.value) is error or issubclass(type(caught.value), error)
    assert re.search(message, str(caught.value)), str(caught.value)
    # Losses name what they are given: the y of a network is the labels of its loss.
    told = {"y": "(y|labels)", "data": "(data|x|labels)", "validation": "(validation|x|labels)"}
    assert re.search(rf"\b{told.get(argument, argument)}\b", str(caught.value))
    assert same((vars(owner) if owner is not None else {}, arguments), before)


def test_every_public_name_has_rows() -> None:
    found = {module.name for module in pkgutil.iter_modules(optlearn.__path__)}
    public = {name for name in found if not name.startswith("_")}
    assert public - ELSEWHERE == set(MODULES), "a new module needs rows here"
    missing = []
    for module_name in MODULES:
        module = importlib.import_module(f"optlearn.{module_name}")
        for name in module.__all__:
            path, item = f"{module_name}.{name}", getattr(module, name)
            home = importlib.import_module(f"optlearn.{HOME.get(module_name, module_name)}")
            at_home = home is not module and getattr(home, name, None) is item
            if path in NOT_CALLED or at_home:
                continue
            wanted = [path] if callable(item) else [f"{path}.value"]
            if inspect.isclass(item) and not inspect.isabstract(item):
                wanted += [
                    f"{path}.{method}"
                    for method, code in inspect.getmembers(item, inspect.isfunction)
                    if not method.startswith("_") and len(inspect.signature(code).parameters) > 1
                ]
            missing += [path for path in wanted if not BAD.get(path)]
    assert set(missing) <= {"optimizers.Optimizer.step"}  # abstract: its subclasses have rows


def test_every_argument_has_a_row() -> None:
    for name, make in SUBJECTS.items():
        call, _ = make()
        spoiled = {argument for argument, *_ in BAD[name]}
        accepted = {
            parameter.name
            for parameter in inspect.signature(call).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        assert accepted <= spoiled, name


# What one argument alone cannot show ----------------------------------------------------


@pytest.mark.parametrize("name", [name for name in optimizers.__all__ if name != "Optimizer"])
def test_a_step_cannot_be_written_over_its_own_gradient_or_a_shifted_theta(name: str) -> None:
    optimizer = after_two_steps(name)
    memory = np.arange(1.0, 6.0)
    theta, shifted = memory[:3], memory[1:4]
    grad = np.array([0.5, -0.5, 1.0])
    for out in (grad, shifted, theta[::-1]):
        before = copy.deepcopy((vars(optimizer), memory, grad))
        with pytest.raises(ValueError, match=r"out must not overlap another argument"):
            optimizer.step(theta, grad, out=out)
        assert same((vars(optimizer), memory, grad), before)
    same_memory = memory[:3]
    expected = optimizer.copy().step(theta, grad)
    assert np.array_equal(optimizer.step(theta, grad, out=same_memory), expected)


@pytest.mark.parametrize("name", [name for name in optimizers.__all__ if name != "Optimizer"])
def test_a_change_of_shape_or_dtype_in_mid_run_is_refused(name: str) -> None:
    optimizer = after_two_steps(name)
    before = copy.deepcopy(vars(optimizer))
    for theta in (np.ones(4), np.ones((2, 3)), np.ones(3, dtype=np.float32)):
        with pytest.raises(ValueError, match=r"theta has shape .* earlier steps had .*reset"):
            optimizer.step(theta, theta.copy())
        assert same(vars(optimizer), before)


@pytest.mark.parametrize("shape", [(4,), (3, 1), (1, 1, 3), (2, 3)])
def test_a_rate_that_does_not_broadcast_is_refused(shape: tuple[int, ...]) -> None:
    optimizer = Momentum(np.full(shape, 0.1))
    before = copy.deepcopy(vars(optimizer))
    expected = rf"lr has shape {re.escape(str(shape))}, theta has shape \(3,\)"
    with pytest.raises(ValueError, match=expected):
        optimizer.step(THETA, GRAD)
    assert same(vars(optimizer), before)


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (-0.1, ValueError, "lr must be >= 0, got -0.1"),
        (np.nan, ValueError, "lr must be >= 0, got nan"),
        ("0.1", TypeError, "lr must be a real number >= 0, got '0.1'"),
        (None, TypeError, "lr must be a real number >= 0, got None"),
        (np.array([0.1, -0.1, 0.1]), ValueError, "lr must be >= 0 everywhere, got -0.1"),
        (np.ones(4), ValueError, r"lr has shape \(4,\), theta has shape \(3,\)"),
    ],
)
def test_a_schedule_that_returns_nonsense_is_refused(
    rate: Any, error: type[Exception], message: str
) -> None:
    optimizer = Momentum(lambda taken: 0.1 if taken < 1 else rate)
    theta = optimizer.step(THETA, GRAD)
    before = copy.deepcopy(vars(optimizer))
    with pytest.raises(error, match=message):
        optimizer.step(theta, GRAD)
    assert same(vars(optimizer), before)


def test_a_nonsense_rate_cannot_be_assigned_either() -> None:
    optimizer = Momentum(0.1)
    with pytest.raises(ValueError, match=r"lr must be > 0, got -1"):
        optimizer.lr = -1.0
    assert optimizer.lr == 0.1


def test_a_gradient_cannot_be_written_over_what_it_is_computed_from() -> None:
    network, memory = MLP((2, 3)), np.linspace(-1, 1, 20)
    theta, x = memory[:9], memory[10:20].reshape(5, 2)
    for out in (theta, memory[1:10], memory[11:20], memory[5:14]):
        before = memory.copy()
        with pytest.raises(ValueError, match="out must not overlap another argument"):
            network.loss_and_grad(theta, x, np.arange(5) % 3, out=out)
        assert np.array_equal(memory, before)


def test_data_with_a_late_mistake_are_refused_before_the_first_step() -> None:
    optimizer, rng = Momentum(0.1), np.random.default_rng(0)
    x, y = np.ones((50, 2)), np.zeros(50, dtype=int)
    y[-1] = 3
    state = copy.deepcopy(rng.bit_generator.state)
    for data, validation in [((x, y), None), ((X, Y), (x, y))]:
        with pytest.raises(ValueError, match="labels must be integers from 0 to 2, got 3"):
            training.fit(
                NETWORK,
                WEIGHTS,
                data,
                optimizer,
                epochs=1,
                batch_size=1,
                rng=rng,
                validation=validation,
            )
        assert optimizer.t == 0
        assert rng.bit_generator.state == state


def test_a_network_without_hidden_layers_has_no_body_to_reuse() -> None:
    with pytest.raises(ValueError, match=r"source must have a hidden layer .*got sizes \(2, 3\)"):
        transfer.reuse_body(NETWORK, WEIGHTS, MLP((2, 5)), np.random.default_rng(0))


def test_a_reference_for_each_run_is_one_for_each_run() -> None:
    three = np.stack([DEEP_WEIGHTS] * 3)
    with pytest.raises(ValueError, match=r"reference must .*\(2, 15\), or \(15,\), got \(3, 15\)"):
        transfer.align_hidden_units(DEEP, TWO, three)


def test_minibatches_complain_at_the_call_not_at_the_first_batch() -> None:
    with pytest.raises(ValueError, match="batch_size must be <= n = 3, got 4"):
        training.minibatches(3, 4, np.random.default_rng(0))
