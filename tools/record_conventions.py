"""Record one sequence of steps from every library that the conventions page compares.

The page ``book/conventions.ipynb`` says what PyTorch, optax, Keras and scikit-learn compute under
the same names. This script lets them do it: one sequence of gradients, float64, their own default
arguments. It writes ``book/_data/conventions.json``: the gradients, the parameters after some of
the steps, the default arguments read from the signatures, and the versions::

    python tools/record_conventions.py

Each library is imported only if it is installed. Of one that is not, the part recorded before is
kept, and its name is printed. ``tools/record_oracles.py`` calls this script too.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).resolve().parent.parent / "book" / "_data" / "conventions.json"
STEPS = 100
RECORDED = [1, 2, 3, 10, 30, 31, 50, 51, 52, 60, 80, 100]
RATE = 0.01
# The second one falls once, as step decay does: that is where two kinds of velocity part.
RATES = {"constant": [RATE] * STEPS, "falling": [RATE] * 50 + [RATE / 10] * 50}
DECAY = 0.1

# The default arguments that belong to the update itself, by the names the libraries give them.
ARGUMENTS = {
    *("lr", "learning_rate", "learning_rate_init", "lr_decay"),
    *("momentum", "dampening", "nesterov", "nesterovs_momentum"),
    *("alpha", "decay", "rho", "betas", "beta_1", "beta_2", "b1", "b2", "amsgrad"),
    *("eps", "epsilon", "eps_root", "eps_in_sqrt", "centered"),
    *("initial_accumulator_value", "initial_scale"),
    *("bias_correction", "bias_correction_mu", "bias_correction_nu"),
    *("weight_decay", "decoupled_weight_decay", "debias"),
}

Array = NDArray[Any]
Record = dict[str, Any]
# A stepper takes (theta, gradient, rate) and returns the next theta.
Stepper = Callable[[Array, Array, float], Array]
# (run, what is called, start of every coordinate, name of the rates, stepper)
Run = tuple[str, str, float, str, Stepper]


def gradient_sequence() -> Array:
    """Draw gradients (STEPS, 6), rounded to four digits, which keeps the file short.

    Coordinates 0 to 3 have sizes 1e-8, 1e-4, 1 and 1e3. Coordinate 4 falls from 1e3 to 1e-8.
    Coordinate 5 is of size 1 and sees nothing for 30 steps.
    """
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(STEPS, 6))
    gradients[:, :4] *= [1e-8, 1e-4, 1.0, 1e3]
    gradients[:, 4] *= np.logspace(3, -8, STEPS)
    gradients[:30, 5] = 0.0
    return np.array([[float(f"{g:.3e}") for g in row] for row in gradients])


def call(name: str, arguments: Record) -> str:
    """Write a call as the page shows it; the rate is left out, since it is the same for all."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def defaults(function: Callable[..., Any]) -> Record:
    """Read the default arguments that belong to the update, without those that have no default."""
    parameters = inspect.signature(function).parameters
    found = {
        name: parameter.default
        for name, parameter in parameters.items()
        if name in ARGUMENTS and parameter.default is not inspect.Parameter.empty
    }
    return json.loads(json.dumps(found))  # a pair becomes a list, as it is when read again


# Libraries -----------------------------------------------------------------------------------


def record_torch() -> tuple[dict[str, Record], Iterator[Run]]:
    import torch

    def stepper(name: str, arguments: Record) -> Stepper:
        parameter = torch.zeros(6, dtype=torch.float64)
        optimizer = getattr(torch.optim, name)([parameter], lr=RATE, **arguments)

        def step(theta: Array, gradient: Array, rate: float) -> Array:
            parameter.copy_(torch.from_numpy(theta))
            parameter.grad = torch.from_numpy(gradient.copy())
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            return parameter.numpy().copy()

        return step

    heavy = {"momentum": 0.9}
    nesterov = {"momentum": 0.9, "nesterov": True}
    table: list[tuple[str, str, Record]] = [
        ("sgd", "SGD", {}),
        ("momentum", "SGD", heavy),
        ("momentum-falling", "SGD", heavy),
        ("momentum-dampening", "SGD", heavy | {"dampening": 0.9}),
        ("momentum-decay", "SGD", heavy | {"weight_decay": DECAY}),
        ("momentum-decay-falling", "SGD", heavy | {"weight_decay": DECAY}),
        ("nesterov", "SGD", nesterov),
        ("nesterov-falling", "SGD", nesterov),
        ("adagrad", "Adagrad", {}),
        ("rmsprop", "RMSprop", {}),
        ("adam", "Adam", {}),
        ("adam-decay", "Adam", {"weight_decay": DECAY}),
        ("adam-decay-decoupled", "Adam", {"weight_decay": DECAY, "decoupled_weight_decay": True}),
        ("amsgrad", "Adam", {"amsgrad": True}),
        ("adamw", "AdamW", {}),
        ("adamw-falling", "AdamW", {"weight_decay": DECAY}),
    ]
    signatures = {
        f"torch.optim.{name}": defaults(getattr(torch.optim, name))
        for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW")
    }
    runs = (
        (run, call(f"torch.optim.{name}", arguments), *setting(run), stepper(name, arguments))
        for run, name, arguments in table
    )
    return signatures, runs


def record_optax() -> tuple[dict[str, Record], Iterator[Run]]:
    import jax
    import jax.numpy as jnp
    import optax

    jax.config.update("jax_enable_x64", True)

    def stepper(run: str, name: str, arguments: Record) -> Stepper:
        rates = jnp.asarray(RATES[setting(run)[1]])
        if name == "ema":  # an average of gradients, to which a rate is added
            rate = optax.scale_by_learning_rate(lambda taken: rates[taken])
            transform = optax.chain(optax.ema(**arguments), rate)
        else:
            transform = getattr(optax, name)(lambda taken: rates[taken], **arguments)
        state = transform.init(jnp.zeros(6))

        def step(theta: Array, gradient: Array, _: float) -> Array:
            nonlocal state
            update, state = transform.update(jnp.asarray(gradient), state, jnp.asarray(theta))
            return np.asarray(optax.apply_updates(jnp.asarray(theta), update))

        return step

    heavy = {"momentum": 0.9}
    nesterov = {"momentum": 0.9, "nesterov": True}
    paper = {"bias_correction_mu": False, "bias_correction_nu": False}
    table: list[tuple[str, str, Record]] = [
        ("sgd", "sgd", {}),
        ("momentum", "sgd", heavy),
        ("momentum-falling", "sgd", heavy),
        ("momentum-average", "ema", {"decay": 0.9, "debias": False}),
        ("nesterov", "sgd", nesterov),
        ("nesterov-falling", "sgd", nesterov),
        ("adagrad", "adagrad", {}),
        ("rmsprop", "rmsprop", {}),
        ("rmsprop-outside", "rmsprop", {"eps_in_sqrt": False}),
        ("adam", "adam", {}),
        ("adam-inside", "adam", {"eps": 0.0, "eps_root": 1e-8}),
        ("amsgrad", "amsgrad", {}),
        ("amsgrad-paper", "amsgrad", paper),
        ("adamw", "adamw", {}),
        ("adamw-falling", "adamw", {"weight_decay": DECAY}),
    ]
    signatures = {
        f"optax.{name}": defaults(getattr(optax, name))
        for name in ("sgd", "ema", "adagrad", "rmsprop", "adam", "amsgrad", "adamw")
    }
    runs = (
        (run, call(f"optax.{name}", arguments), *setting(run), stepper(run, name, arguments))
        for run, name, arguments in table
    )
    return signatures, runs


def record_keras() -> tuple[dict[str, Record], Iterator[Run]]:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import jax
    import keras

    if keras.backend.backend() == "jax":
        jax.config.update("jax_enable_x64", True)

    def stepper(name: str, arguments: Record) -> Stepper:
        # The rate is a variable of Keras' default type: float32 would keep 0.01 to 7 digits.
        before = keras.config.floatx()
        keras.config.set_floatx("float64")
        variable = keras.Variable(np.zeros(6), dtype="float64")
        optimizer = getattr(keras.optimizers, name)(learning_rate=RATE, **arguments)
        optimizer.build([variable])
        keras.config.set_floatx(before)

        def step(theta: Array, gradient: Array, rate: float) -> Array:
            variable.assign(theta)
            optimizer.learning_rate = rate
            optimizer.apply([keras.ops.convert_to_tensor(gradient, dtype="float64")])
            return np.array(keras.ops.convert_to_numpy(variable.value))

        return step

    heavy = {"momentum": 0.9}
    nesterov = {"momentum": 0.9, "nesterov": True}
    table: list[tuple[str, str, Record]] = [
        ("sgd", "SGD", {}),
        ("momentum", "SGD", heavy),
        ("momentum-falling", "SGD", heavy),
        ("momentum-decay", "SGD", heavy | {"weight_decay": DECAY}),
        ("momentum-decay-falling", "SGD", heavy | {"weight_decay": DECAY}),
        ("nesterov", "SGD", nesterov),
        ("nesterov-falling", "SGD", nesterov),
        ("adagrad", "Adagrad", {}),
        ("rmsprop", "RMSprop", {}),
        ("adam", "Adam", {}),
        ("adam-decay", "Adam", {"weight_decay": DECAY}),
        ("amsgrad", "Adam", {"amsgrad": True}),
        ("adamw", "AdamW", {}),
        ("adamw-falling", "AdamW", {"weight_decay": DECAY}),
    ]
    signatures = {
        f"keras.optimizers.{name}": defaults(getattr(keras.optimizers, name).__init__)
        for name in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW")
    }
    runs = (
        (run, call(f"keras.optimizers.{name}", arguments), *setting(run), stepper(name, arguments))
        for run, name, arguments in table
    )
    return signatures, runs


def record_sklearn() -> tuple[dict[str, Record], Iterator[Run]]:
    from sklearn.neural_network import MLPClassifier, _stochastic_optimizers

    def stepper(name: str, arguments: Record, falling: bool) -> Stepper:
        parameter = np.zeros(6)
        kind = getattr(_stochastic_optimizers, name)
        optimizer = kind([parameter], learning_rate_init=RATE, **arguments)

        def step(theta: Array, gradient: Array, rate: float) -> Array:
            parameter[:] = theta
            if falling:
                optimizer.learning_rate = rate
            optimizer.update_params([parameter], [gradient])
            return parameter.copy()

        return step

    table: list[tuple[str, str, Record]] = [
        ("sgd", "SGDOptimizer", {"momentum": 0.0, "nesterov": False}),
        ("momentum", "SGDOptimizer", {"nesterov": False}),
        ("momentum-falling", "SGDOptimizer", {"nesterov": False}),
        ("nesterov", "SGDOptimizer", {}),
        ("nesterov-falling", "SGDOptimizer", {}),
        ("adam", "AdamOptimizer", {}),
    ]
    runs = (
        (run, call(name, arguments), *setting(run), stepper(name, arguments, "falling" in run))
        for run, name, arguments in table
    )
    return {"MLPClassifier": defaults(MLPClassifier)}, runs


def setting(run: str) -> tuple[float, str]:
    """Where a run starts and which rates it uses: decay needs something that can decay."""
    decays = "-decay" in run or run.startswith("adamw")
    return float(decays), "falling" if run.endswith("-falling") else "constant"


def penalty() -> Record:
    """Let scikit-learn take two steps with a penalty on a linear model, to see what alpha is."""
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(5, 3)).round(3), rng.normal(size=5).round(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MLPRegressor(
            hidden_layer_sizes=(),
            solver="sgd",
            momentum=0.0,
            alpha=2.0,
            learning_rate_init=RATE,
            random_state=0,
        )
        path = []
        for _ in range(3):
            model.partial_fit(x, y)
            path.append([*model.coefs_[0][:, 0].tolist(), model.intercepts_[0].item()])
    return {"x": x.tolist(), "y": y.tolist(), "alpha": 2.0, "rate": RATE, "theta": path}


# Recording -----------------------------------------------------------------------------------

# name: (what to import, packages whose versions count, recorder)
LIBRARIES: dict[str, tuple[str, list[str], Callable[[], Any]]] = {
    "torch": ("torch", ["torch"], record_torch),
    "optax": ("optax", ["optax", "jax"], record_optax),
    "keras": ("keras", ["keras", "jax"], record_keras),
    "sklearn": ("sklearn", ["scikit-learn"], record_sklearn),
}


def installed(library: str) -> bool:
    return importlib.util.find_spec(LIBRARIES[library][0]) is not None


def record(library: str) -> Record:
    """Run one library on the gradients."""
    _, packages, recorder = LIBRARIES[library]
    signatures, table = recorder()
    gradients = gradient_sequence()
    runs = {}
    for run, called, start, rates, step in table:
        theta, path = np.full(6, start), []
        for gradient, rate in zip(gradients, RATES[rates], strict=True):
            theta = step(theta, gradient, rate)
            path.append(theta)
        runs[run] = {
            "call": called,
            "start": start,
            "rates": rates,
            "theta": [path[t - 1].tolist() for t in RECORDED],
        }
    found = {
        "versions": {package: version(package) for package in packages},
        "defaults": signatures,
        "runs": runs,
    }
    return found | ({"penalty": penalty()} if library == "sklearn" else {})


def conditions() -> Record:
    """What all libraries are given."""
    return {"gradients": gradient_sequence().tolist(), "steps": RECORDED, "rates": RATES}


def text(recorded: Record) -> str:
    """Write the record with a line for each run, so that two recordings can be compared."""
    found = json.dumps(recorded, separators=(",", ":"))
    for key in ('{"call"', '"versions"', '"defaults"', '"penalty"', '"steps"', '"rates":{'):
        found = found.replace(key, "\n" + key)
    return found + "\n"


def main() -> None:
    """Record the libraries that are installed and keep what was recorded of the others."""
    old = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"libraries": {}}
    new = conditions() | {"libraries": {}}
    missing = [library for library in LIBRARIES if not installed(library)]
    same = all(old.get(key) == value for key, value in conditions().items())
    if missing and not same and old["libraries"]:
        raise SystemExit(f"the gradients have changed: {', '.join(missing)} must be installed too")
    for library in LIBRARIES:
        if library not in missing:
            new["libraries"][library] = record(library)
        elif library in old["libraries"]:
            new["libraries"][library] = old["libraries"][library]
        state = "recorded" if library not in missing else "not installed, its old record is kept"
        print(f"{library}: {state}")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text(new), encoding="utf-8")


if __name__ == "__main__":
    main()
