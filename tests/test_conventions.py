"""The conventions page's tables against what the libraries have recorded.

nbval runs the page, which compares every recorded run. These tests read its tables as a reader
does. Every cell of a row must be true: who does it (a recorded call, a class of ours, or a paper
whose rule is in plain code here), the word and the formula of the rule, every default, and the
call, which must take the same steps, also at a rate that falls.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
import json
import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import nbformat
import numpy as np
import pytest
from displayed import evaluate, holds
from numpy.typing import NDArray

from optlearn import optimizers

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book" / "conventions.ipynb"
RECORD = json.loads((ROOT / "book" / "_data" / "conventions.json").read_text(encoding="utf-8"))
LIBRARIES = RECORD["libraries"]
SIGNATURES = {
    name: values for part in LIBRARIES.values() for name, values in part["defaults"].items()
}
GRADIENTS, RECORDED = np.array(RECORD["gradients"]), np.array(RECORD["steps"])
RATES = RECORD["rates"]
LAM = 0.001  # the decay of the paper on AdamW, which the page calls lam

Array = NDArray[Any]
Step = Callable[[Array, Array], Array]


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worlds = load("formulas_conventions", ROOT / "tests" / "formulas" / "conventions.py")
Constants, Path100 = worlds.Constants, worlds.Path100


@cache
def cells(kind: str) -> list[str]:
    notebook = nbformat.read(PAGE, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


PROSE = "\n\n".join(cells("markdown"))
FORMULAS = {
    label: tex.strip()
    for tex, label in re.findall(r"\$\$(.*?)\$\$ \(([\w-]+)\)", PROSE, re.DOTALL)
}


class Row(NamedTuple):
    section: str
    who: str
    rule: str
    defaults: str
    call: str


def table_rows() -> list[Row]:
    """Rows of the tables `who | rule | defaults | optlearn`."""
    found, section, inside = [], "", False
    for line in PROSE.splitlines():
        if label := re.fullmatch(r"\(conventions-(\w+)\)=", line):
            section = label[1]
        parts = [part.strip() for part in line.removeprefix("|").removesuffix("|").split("|")]
        if line.startswith("| who "):
            assert parts == ["who", "rule", "defaults", "`optlearn`"]
        inside = line.startswith("| who ") or (inside and line.startswith("|"))
        if inside and not re.match(r"\|(---| who )", line):
            found.append(Row(section, *parts))
    return found


ROWS = table_rows()


def each(chosen: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", chosen, ids=[f"{row[0]}-{row[1]}" for row in chosen])


# Who -----------------------------------------------------------------------------------------

# What runs inside scikit-learn when a network is trained in this way.
INSIDE = {
    "MLPClassifier(solver='sgd', nesterovs_momentum=False)": "SGDOptimizer(nesterov=False)",
    "MLPClassifier(solver='sgd')": "SGDOptimizer()",
    "MLPClassifier()": "AdamOptimizer()",
}
PENALTY = 'MLPClassifier(solver="sgd", momentum=0)'


class Who(NamedTuple):
    function: str
    arguments: dict[str, Any]
    called: str


def who(row: Row) -> Who | None:
    """Read a row's first cell, if it names a function of a library or a class of ours."""
    found = re.fullmatch(r"`([^`]+)`(, times the rate)?", row.who)
    if not found:
        return None
    call = ast.parse(found[1] if "(" in found[1] else found[1] + "()", mode="eval").body
    assert isinstance(call, ast.Call)
    function = ast.unparse(call.func)
    assert bool(found[2]) == (function == "optax.ema"), "only the average lacks a rate"
    arguments = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    return Who(function, arguments, ast.unparse(call))


@cache
def runs_of(row: Row) -> list[tuple[str, str]]:
    """Which recorded runs a row speaks of: all in which this was called."""
    known = who(row)
    assert known is not None
    called = INSIDE.get(known.called, known.called)
    return [
        (library, run)
        for library, part in LIBRARIES.items()
        for run, values in part["runs"].items()
        if ast.unparse(ast.parse(values["call"])) == called
    ]


IN_CODE = [row for row in ROWS if row.who.startswith("`")]
OURS = [row for row in IN_CODE if row.who.startswith("`optlearn.")]
LIBRARY = [row for row in IN_CODE if row not in OURS and row.who != f"`{PENALTY}`"]
IN_WORDS = [row for row in ROWS if row not in IN_CODE]


@each(LIBRARY)
def test_what_a_library_s_row_calls_has_been_recorded(row: Row) -> None:
    runs = runs_of(row)
    assert runs
    for library, run in runs:
        decays = LIBRARIES[library]["runs"][run]["start"] == 1.0
        assert decays == (row.section == "adamw")
        assert row.section == "adamw" or run.startswith(row.section)


def test_every_recorded_signature_has_a_row_and_every_class_of_ours() -> None:
    named = {known.function for row in IN_CODE if (known := who(row))}
    assert set(SIGNATURES) <= named
    ours = {f"optlearn.{name}" for name in optimizers.__all__}
    assert ours - named == {"optlearn.GradientDescent", "optlearn.Optimizer"}
    assert len(ROWS) == len({row[:2] for row in ROWS}) == 56


# Defaults ------------------------------------------------------------------------------------

RATE = {"lr", "learning_rate", "learning_rate_init"}
EPS = {"eps", "epsilon", "eps_root", "eps_inside", "bias_correction"}
BETAS = {"betas", "b1", "b2", "beta_1", "beta_2", "beta1", "beta2"}
# Which arguments a section's table is about: a row shows all of them that its function has.
SHOWN = {
    "momentum": RATE | {"momentum", "dampening", "beta", "form", "debias"},
    "nesterov": {"nesterov", "nesterovs_momentum"},
    "adagrad": RATE | EPS | {"lr_decay", "initial_accumulator_value"},
    "rmsprop": RATE | EPS | {"alpha", "decay", "rho", "eps_in_sqrt", "initial_scale"},
    "adam": RATE | EPS | BETAS,
    "amsgrad": {"amsgrad", "bias_correction_mu", "bias_correction_nu"},
    "adamw": {"weight_decay", "decoupled_weight_decay", "alpha"},
}
PAPER_DEFAULTS = {("rmsprop", "{cite:t}`tieleman2012rmsprop`"): r"$\rho=0.9$"}


def constructor(kind: type) -> dict[str, Any]:
    """Default arguments of a class, with those it hands on to the class it extends."""
    found: dict[str, inspect.Parameter] = {}
    for cls in reversed(kind.__mro__[:-1]):
        found |= inspect.signature(cls).parameters
    empty = inspect.Parameter.empty
    return {name: known.default for name, known in found.items() if known.default is not empty}


def signature(function: str) -> dict[str, Any]:
    if not function.startswith("optlearn."):
        return SIGNATURES[function]
    kind = getattr(optimizers, function.removeprefix("optlearn."))
    own = constructor(kind)
    # a class that extends another hands the rate on
    return {name: value for name, value in own.items() if name != "adam"}


@each(IN_CODE)
def test_a_row_prints_the_defaults_of_its_section_and_they_are_the_signature_s(row: Row) -> None:
    known = who(row)
    assert known is not None
    sections = {other.section for other in IN_CODE if who(other).function == known.function}
    shown = SHOWN[row.section] | (SHOWN["adam"] if len(sections) == 1 else set())
    if known.function == "MLPClassifier":
        shown = shown - {"learning_rate"}  # which is the name of a schedule there
    assert re.fullmatch(r"`[^`]+`", row.defaults)
    call = ast.parse(f"f({row.defaults.strip('`')})", mode="eval").body
    assert isinstance(call, ast.Call)
    claimed = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    expected = {name: value for name, value in signature(known.function).items() if name in shown}
    assert json.loads(json.dumps(claimed)) == expected
    assert len(call.keywords) == len(claimed)


@each(IN_WORDS)
def test_a_paper_has_no_defaults_but_those_it_gives(row: Row) -> None:
    assert row.defaults == PAPER_DEFAULTS.get(row[:2], "")


# Rules ---------------------------------------------------------------------------------------

WORDS = {
    "momentum": {
        "sgd": "plain", "heavy-ball": "heavy ball", "velocity": "velocity", "average": "average"
    },
    "nesterov": {
        "lookahead": "looks ahead", "nesterov": "gradients", "nesterov-velocity": "steps"
    },
    "adagrad": {"adagrad": "from 0", "adagrad-inside": "from 0.1"},
    "rmsprop": {"rmsprop": "outside", "rmsprop-inside": "inside"},
    "adam": {"adam": "outside", "adam-hat": r"$\hat\epsilon$", "adam-inside": "inside"},
    "amsgrad": {
        "amsgrad-paper": "plain", "amsgrad": "of $v$", "amsgrad-corrected": r"of $\hat v$"
    },
    "adamw": {
        "l2": "in the gradient", "decoupled": "decoupled",
        "adamw-paper": r"decoupled from $\alpha$",
    },
}  # fmt: skip
WITHOUT_EPSILON = r" with $\epsilon=0$"
OF_A_BATCH = r" with `alpha`/$B$ for $\lambda_{\mathrm{wd}}$"


def rule(row: Row) -> tuple[str, str]:
    """Return the formula's label, without the page's name, and what follows it."""
    found = re.fullmatch(r"(.+?) \{eq\}`eq-conventions-([\w-]+)`(.*)", row.rule)
    assert found, row.rule
    word, label, rest = found.groups()
    assert WORDS[row.section].get(label) == word
    if rest not in ("", WITHOUT_EPSILON, OF_A_BATCH):
        assert re.fullmatch(r" with \{eq\}`eq-conventions-[\w-]+`", rest)
        assert row.section in ("amsgrad", "adamw"), rest
    return label, rest


def constants(row: Row) -> Any:
    """The numbers of a library's rule: its defaults, and what the row gives it."""
    known = who(row)
    assert known is not None
    given = signature(known.function) | known.arguments
    beta1, beta2 = given.get("betas", (0.9, 0.999))
    eps = given.get("eps", given.get("epsilon", 1e-8)) or given.get("eps_root", 0.0)
    momentum = given.get("momentum") or 0.9
    decay = given.get("decay") if "debias" in given else None
    rho = given.get("rho", given.get("decay", given.get("alpha", 0.9)))
    return Constants(
        beta=given.get("beta", decay or momentum),
        rho=rho,
        beta1=given.get("b1", given.get("beta_1", given.get("beta1", beta1))),
        beta2=given.get("b2", given.get("beta_2", given.get("beta2", beta2))),
        eps=eps,
        s0=given.get("initial_accumulator_value", 0.0),
        hat=rule(row)[1] == " with {eq}`eq-conventions-adam-hat`",
    )


def true_on(label: str, path: Any, numbers: Any) -> bool:
    """Whether a formula of the page, as it stands there, holds in every step of a path."""
    tex = FORMULAS[f"eq-conventions-{label}"]
    with np.errstate(all="ignore"):
        return all(
            holds(said, 1e-9, 1e-15)
            for known in worlds.worlds_of(f"eq-conventions-{label}", path, numbers)
            for said in evaluate(tex, known)
        )


def true_rules(row: Row, paths: list[Any], numbers: Any) -> list[str]:
    """The formulas of the row's section that hold in all these paths."""
    evaluated = [label for label in WORDS[row.section] if label != "lookahead"]
    return [label for label in evaluated if all(true_on(label, path, numbers) for path in paths)]


@each([row for row in LIBRARY if row.section != "adamw"])
def test_of_its_section_s_formulas_a_library_takes_the_one_that_its_row_names(row: Row) -> None:
    label, rest = rule(row)
    assert rest != WITHOUT_EPSILON
    paths = [worlds.recorded(*run) for run in runs_of(row)]
    assert true_rules(row, paths, constants(row)) == [label]


@each([row for row in OURS if row.section != "adamw"])
def test_our_class_takes_the_formula_that_its_row_names(row: Row) -> None:
    label, rest = rule(row)
    assert not rest
    assert true_rules(row, [our_path(row)], constants(row)) == [label]


def our_path(row: Row) -> Any:
    kind = getattr(optimizers, who(row).function.removeprefix("optlearn."))
    return worlds.taken(kind(falling).step, float(row.section == "adamw"), "falling")


# Calls ---------------------------------------------------------------------------------------


def falling(taken: int) -> float:
    return float(RATES["falling"][min(taken, 99)])


def rate(name: str) -> Any:
    return RATES["constant"][0] if name == "constant" else falling


def made_by(row: Row, rates: str, decay: float | None = None) -> tuple[Any, Step]:
    """What a row's call makes, and its step; words after the call say what it is fed."""
    found = re.fullmatch(r"`([^`]+)`(.*)", row.call)
    assert found, row
    made = eval(found[1], worlds.page() | {"lr": rate(rates)})
    plain, taken = getattr(made, "step", made), iter(RATES[rates])
    if found[2] == r" fed $\tilde g_t$":
        return made, lambda theta, g: plain(theta, g + decay * theta)
    if found[2] == r" from $\tilde\theta_{t-1}$":
        return made, lambda theta, g: plain(theta * (1 - next(taken) * decay), g)
    at_the_lead = r" at $\theta+\beta v$" if "sutskever" in row.who else ""
    assert found[2] == at_the_lead, row
    return made, plain


def distance(step: Step, path: Any) -> float:
    """Largest difference from a path, each coordinate on its own scale."""
    ours = worlds.taken(step, path.theta[0][0]).theta
    known = [t for t in path.theta if t]
    a, b = (np.array([theta[t] for t in known]) for theta in (ours, path.theta))
    return float((np.abs(a - b).max(axis=0) / np.abs(b).max(axis=0)).max())


def library_paths(row: Row) -> list[tuple[str, Any]]:
    return [
        (LIBRARIES[library]["runs"][run]["rates"], worlds.recorded(library, run))
        for library, run in runs_of(row)
    ]


def decay_of(row: Row) -> float | None:
    known = who(row)
    assert known is not None
    return (signature(known.function) | known.arguments).get("weight_decay")


@each(LIBRARY)
def test_the_call_of_a_library_s_row_takes_the_recorded_steps(row: Row) -> None:
    for rates, path in library_paths(row):
        assert distance(made_by(row, rates, decay_of(row))[1], path) < 1e-12


@each(OURS)
def test_the_call_of_a_row_of_ours_makes_the_class_at_its_defaults(row: Row) -> None:
    assert distance(made_by(row, "falling")[1], our_path(row)) < 1e-15


@each(LIBRARY)
def test_another_constant_in_a_call_would_be_seen(row: Row) -> None:
    for name in ("beta", "rho", "beta1", "beta2", "eps", "weight_decay"):
        for rates, path in library_paths(row):
            made, step = made_by(row, rates, decay_of(row))
            if hasattr(made, name):
                setattr(made, name, getattr(made, name) * (2 if name == "eps" else 1.0001))
                assert distance(step, path) > 1e-10, name


@each([row for row in ROWS if row.call])
def test_the_call_of_a_row_is_run_on_the_page(row: Row) -> None:
    code = "\n".join(cells("code"))
    (call,) = re.findall(r"`([^`]+)`", row.call)
    assert call in code or re.sub(r"\blr\b", "falling", call) in code


# Decay: the formula says what the method is fed ---------------------------------------------


def method(name: str, rates: str, eps: float) -> Step:
    lr, page = rate(rates), worlds.page()
    return {
        "heavy-ball": lambda: optimizers.Momentum(lr).step,
        "velocity": lambda: page["velocity"](lr, "heavy-ball"),
        "adam": lambda: optimizers.Adam(lr, eps=eps).step,
        "adam-hat": lambda: optimizers.Adam(**page["hat"](lr), eps=eps).step,
    }[name]()


def with_decay(label: str, step: Step, rates: str, decay: float) -> Step:
    """A step on what the displayed formula makes of the gradient or of the parameters."""
    name = {"l2": r"\tilde g_t", "decoupled": r"\tilde\theta_{t-1}"}[label]
    etas = iter(RATES[rates])

    def decayed(theta: Array, g: Array) -> Array:
        known = {
            "g_t": g, r"\theta_{t-1}": theta, r"\eta": next(etas), r"\lambda_{\mathrm{wd}}": decay,
            name: 0.0,
        }  # fmt: skip
        fed = evaluate(FORMULAS[f"eq-conventions-{label}"], known)[0].sides[1]
        return step(theta, fed) if label == "l2" else step(fed, g)

    return decayed


@each([row for row in LIBRARY + OURS if row.section == "adamw"])
def test_decay_enters_where_the_row_says_and_in_the_method_that_it_names(row: Row) -> None:
    label, rest = rule(row)
    found = re.fullmatch(r" with \{eq\}`eq-conventions-(heavy-ball|velocity|adam|adam-hat)`", rest)
    assert found, rest
    paths = [("falling", our_path(row))] if row in OURS else library_paths(row)
    methods = ("heavy-ball", "velocity", "adam", "adam-hat")
    decay, eps = decay_of(row), constants(row).eps
    true = [
        (how, name)
        for how in ("l2", "decoupled")
        for name in methods
        if all(
            distance(with_decay(how, method(name, rates, eps), rates, decay), path) < 1e-12
            for rates, path in paths
        )
    ]
    assert true == [(label, found[1])]


def test_the_penalty_of_scikit_learn_is_what_its_row_says() -> None:
    (row,) = (row for row in ROWS if row.who == f"`{PENALTY}`")
    assert row.section == "adamw"
    assert rule(row) == ("l2", OF_A_BATCH)
    known = LIBRARIES["sklearn"]["penalty"]
    x, y, path = (np.array(known[name]) for name in ("x", "y", "theta"))
    made, fed = re.fullmatch(r"`([^`]+)` fed (\$.*\$)", row.call).groups()
    assert fed == r"$\tilde g_t$"
    step = eval(made, worlds.page() | {"lr": known["rate"]}).step
    decays = np.array([known["alpha"] / len(y)] * 3 + [0.0])  # not the bias
    for theta, after in pairwise(path):
        residual = x @ theta[:3] + theta[3] - y
        gradient = np.append(x.T @ residual / len(y), residual.mean())
        taken = with_decay("l2", step, "constant", decays)
        np.testing.assert_allclose(taken(theta, gradient), after, rtol=1e-12)


# Papers and articles, their rules in plain code ----------------------------------------------


def path_of(rule: Callable[[int, Array, float], Array], rates: str = "constant") -> Any:
    theta = {0: np.zeros(6)}
    with np.errstate(all="ignore"):
        for t, (g, eta) in enumerate(zip(GRADIENTS, RATES[rates], strict=True), start=1):
            theta[t] = theta[t - 1] + np.nan_to_num(rule(t, g, eta))
    return Path100(theta, tuple(RATES[rates]))


def weighted(beta: float, power: int, t: int) -> Array:
    """An average started at zero, as a sum: the newest gradient has the weight 1 - beta."""
    return (1 - beta) * (beta ** np.arange(t)[::-1] @ GRADIENTS[:t] ** power)


def polyak() -> Any:
    last = np.zeros(6)

    def move(_: int, g: Array, eta: float) -> Array:
        nonlocal last
        last = 0.9 * last - eta * g
        return last

    return path_of(move, "falling")


def sutskever() -> tuple[Any, Any]:
    """The paper's points, and the points at which it asks for the gradient."""
    path = polyak()  # the same sums, if the gradients are those of the points that lead
    lead = {
        t: path.theta[t] + 0.9 * (path.theta[t] - path.theta[max(t - 1, 0)]) for t in path.theta
    }
    return path, Path100(lead, path.rates)


def adam(t: int, eps: float, inside: bool) -> Array:
    m, v = weighted(0.9, 1, t) / (1 - 0.9**t), weighted(0.999, 2, t) / (1 - 0.999**t)
    return -0.01 * m / (np.sqrt(v + eps) if inside else np.sqrt(v) + eps)


def reddi(t: int, _: Array, eta: float) -> Array:
    top = np.max([weighted(0.999, 2, k) for k in range(1, t + 1)], axis=0)
    return -eta * weighted(0.9, 1, t) / np.sqrt(top)


def loshchilov() -> Any:
    theta = {0: np.ones(6)}
    for t in range(1, 101):
        theta[t] = theta[t - 1] * (1 - LAM) + adam(t, 1e-8, inside=False)
    return Path100(theta, tuple(RATES["constant"]))


@cache
def printed() -> dict[tuple[str, str], tuple[str, Any, Any]]:
    """For each paper or article: its rates, its path, and the numbers of its rule."""
    outside = path_of(lambda t, *_: adam(t, 1e-8, inside=False))
    return {
        ("momentum", "{cite:t}`polyak1964some`"): ("falling", polyak(), Constants()),
        ("momentum", "articles 0 to 4"): (
            "falling", path_of(lambda _, g, eta: -eta * g, "falling"), Constants()
        ),
        ("momentum", "article 3"): (
            "falling", path_of(lambda t, _, eta: -eta * weighted(0.9, 1, t), "falling"),
            Constants(),
        ),
        ("nesterov", "{cite:t}`sutskever2013importance`"): (
            "falling", sutskever()[1], Constants()
        ),
        ("adagrad", "{cite:t}`duchi2011adaptive`"): (
            "constant",
            path_of(lambda t, g, eta: -eta * g / (np.sqrt((GRADIENTS[:t]**2).sum(0)) + 1e-10)),
            Constants(eps=1e-10),
        ),
        ("rmsprop", "{cite:t}`tieleman2012rmsprop`"): (
            "constant", path_of(lambda t, g, eta: -eta * g / np.sqrt(weighted(0.9, 2, t))),
            Constants(eps=0.0),
        ),
        ("rmsprop", "article 3"): (
            "constant", path_of(lambda t, g, eta: -eta * g / np.sqrt(weighted(0.9, 2, t) + 1e-8)),
            Constants(),
        ),
        ("adam", "{cite:t}`kingma2015adam`"): ("constant", outside, Constants()),
        ("adam", "article 1"): ("constant", outside, Constants()),
        ("adam", "article 3"): (
            "constant", path_of(lambda t, *_: adam(t, 1e-8, inside=True)), Constants()
        ),
        ("amsgrad", "{cite:t}`reddi2018convergence`"): (
            "constant", path_of(reddi), Constants(eps=0.0)
        ),
        ("adamw", "{cite:t}`loshchilov2019decoupled`"): ("constant", loshchilov(), Constants()),
    }  # fmt: skip


OTHER_RULES = "{ref}`other rules <conventions-sources>`"
WITHOUT_A_CALL = {
    ("momentum", "article 0"): "{ref}`another rule <conventions-sources>`",
    ("nesterov", "articles 0 to 4"): "none",
    ("adagrad", "articles 0 to 4"): "none",
    ("rmsprop", "articles 0, 2"): OTHER_RULES,
    ("adam", "articles 0, 2"): OTHER_RULES,
    ("amsgrad", "articles 0 to 4"): "none",
    ("adamw", "articles 0 to 4"): "none",
}
WITH_A_CALL = [row for row in IN_WORDS if row.call]


def test_every_paper_and_article_is_compared_or_has_nothing_to_compare() -> None:
    assert {row[:2] for row in WITH_A_CALL} == set(printed())
    assert {row[:2]: row.rule for row in IN_WORDS if not row.call} == WITHOUT_A_CALL


@each(WITH_A_CALL)
def test_the_call_of_a_paper_s_row_takes_the_paper_s_steps(row: Row) -> None:
    rates, path, _ = printed()[row[:2]]
    assert distance(made_by(row, rates)[1], path) < 1e-12


@each(WITH_A_CALL)
def test_a_paper_s_rule_is_the_formula_that_its_row_names(row: Row) -> None:
    _, path, numbers = printed()[row[:2]]
    label, rest = rule(row)
    cited = rest == WITHOUT_EPSILON or not rest
    assert cited
    assert (rest == WITHOUT_EPSILON) == (row.section == "rmsprop" and numbers.eps == 0)
    if label == "lookahead":
        assert looks_ahead(*sutskever())
    elif row.section == "adamw":
        assert label == "adamw-paper"
        assert decays_beside_the_rate(path)
    else:
        # without epsilon, inside and outside are the same: the first of the two is named
        assert true_rules(row, [path], numbers)[0] == label
        assert len(true_rules(row, [path], numbers)) == 1 + (rest == WITHOUT_EPSILON)


def looks_ahead(path: Any, lead: Any) -> bool:
    """Evaluate the formula with a gradient that is the recorded one at the point that leads."""
    tex = FORMULAS["eq-conventions-lookahead"]
    for t in range(2, 101):
        there, g, theta = lead.theta[t - 1], GRADIENTS[t - 1], path.theta
        known = {
            r"\nabla J": lambda point, there=there, g=g: g + 1e6 * (point - there),
            r"\eta": path.rates[t - 1], r"\beta": 0.9, "v_t": theta[t] - theta[t - 1],
            "v_{t-1}": theta[t - 1] - theta[t - 2], r"\theta_t": theta[t],
            r"\theta_{t-1}": theta[t - 1],
        }  # fmt: skip
        for said in evaluate(tex, known):
            scale = np.abs(theta[t]) + 1e-6
            if not (np.abs(said.sides[0] - said.sides[1]) < 1e-6 * scale).all():
                return False
    return True


def decays_beside_the_rate(path: Any) -> bool:
    tex = FORMULAS["eq-conventions-adamw-paper"]
    return all(
        holds(said, 1e-9)
        for t in range(1, 101)
        for said in evaluate(tex, {
            r"\theta_t": path.theta[t], r"\theta_{t-1}": path.theta[t - 1], r"\eta_t": 1.0,
            r"\alpha": 0.01, r"\lambda": LAM, r"\epsilon": 1e-8,
            r"\hat m_t": worlds.corrected("g", 0.9)[t],
            r"\hat v_t": worlds.corrected("g2", 0.999)[t],
        })
    )  # fmt: skip


def test_article_rules_printed_on_the_page_take_the_steps_of_their_rows() -> None:
    page, lr = worlds.page(), 0.01
    for (section, article), step in {
        ("momentum", "article 3"): page["article_3"]("momentum", lr),
        ("rmsprop", "article 3"): page["article_3"]("rmsprop", lr),
        ("adam", "article 1"): page["adam_of"](1, lr),
        ("adam", "article 3"): page["adam_of"](3, lr),
    }.items():
        (row,) = (row for row in ROWS if row[:2] == (section, article))
        assert distance(made_by(row, "constant")[1], worlds.taken(step)) < 1e-12


INSTEAD = {
    "SGD": (("momentum", "articles 0 to 4"), ", $g$ from a batch"),
    "Momentum": (("momentum", "{cite:t}`polyak1964some`"), ""),
    "Adam": (("adam", "{cite:t}`kingma2015adam`"), ""),
}
MISTAKES = re.findall(r"(?m)^\| (\d) \| (\w+) \| (.*?) \| (.*?) \|$", PROSE)


def test_the_table_of_mistakes_names_their_formulas() -> None:
    assert {line[:2]: line[2] for line in MISTAKES} == {
        (article, name): f"{{eq}}`eq-conventions-{number}-{name.lower()}`"
        for article, number, names in (
            ("0", "zero", ("SGD", "Momentum", "RMSprop", "Adam")),
            ("2", "two", ("Adam", "RMSprop")),
        )
        for name in names
    }
    assert len(MISTAKES) == 6


@pytest.mark.parametrize("line", MISTAKES, ids=["-".join(line[:2]) for line in MISTAKES])
def test_what_to_call_instead_of_a_mistake_is_the_method_of_that_name(
    line: tuple[str, str, str, str],
) -> None:
    _, name, _, instead = line
    found = re.fullmatch(r"`([^`]+)`(.*)", instead)
    assert found
    if name == "RMSprop":  # as the class of that name does
        rates, path, words = "constant", worlds.taken(optimizers.RMSProp(0.01).step), ""
    else:
        key, words = INSTEAD[name]
        rates, path, _ = printed()[key]
    assert found[2] == words
    made = eval(found[1], worlds.page() | {"lr": rate(rates)})
    assert distance(getattr(made, "step", made), path) < 1e-12


# The page ------------------------------------------------------------------------------------


def test_the_page_compares_every_recorded_run() -> None:
    recorded = {(run, name) for name, part in LIBRARIES.items() for run in part["runs"]}
    assert set(worlds.page()["agreement"]) == recorded
    assert len(recorded) > 50


def test_recorded_runs_that_are_said_to_differ_do() -> None:
    end = {
        (run, name): np.array(part["runs"][run]["theta"][-1])
        for name, part in LIBRARIES.items()
        for run in part["runs"]
    }
    assert not np.allclose(end["rmsprop", "torch"], end["rmsprop", "keras"], rtol=1e-3)
    assert not np.allclose(end["amsgrad", "torch"], end["amsgrad", "optax"], rtol=1e-3)
    assert not np.allclose(end["adam-decay", "torch"], end["adam-decay", "keras"], rtol=1e-3)
    falling = "momentum-falling"
    assert not np.allclose(end[falling, "torch"], end[falling, "sklearn"], rtol=1e-3)


# The recorder --------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path: Path) -> ModuleType:
    """The recording script, which needs none of the libraries, writing to a copy."""
    module = load("record_conventions", ROOT / "tools" / "record_conventions.py")
    module.FILE = tmp_path / "conventions.json"
    module.FILE.write_text(module.text(RECORD), encoding="utf-8")
    return module


def test_what_was_recorded_of_a_missing_library_is_kept_and_its_name_printed(
    recorder: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorder, "installed", lambda library: False)
    recorder.main()
    assert json.loads(recorder.FILE.read_text(encoding="utf-8")) == RECORD
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{library}: not installed, its old record is kept" for library in LIBRARIES]


def test_other_gradients_are_refused_while_a_library_is_missing(
    recorder: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "installed", lambda library: False)
    old = copy.deepcopy(RECORD)
    old["gradients"][3][2] += 1.0
    recorder.FILE.write_text(recorder.text(old), encoding="utf-8")
    with pytest.raises(SystemExit, match="torch, optax, keras, sklearn must be installed"):
        recorder.main()


def test_the_committed_file_is_as_the_recorder_writes_it(recorder: ModuleType) -> None:
    committed = (ROOT / "book" / "_data" / "conventions.json").read_text(encoding="utf-8")
    assert committed == recorder.text(RECORD)
    assert {key: RECORD[key] for key in ("gradients", "steps", "rates")} == recorder.conditions()
