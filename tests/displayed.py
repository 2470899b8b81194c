"""Evaluate a formula as it stands on the page: TeX in, numbers out.

The book's displayed formulas are compared with the code through this reader, so that a wrong
sign on the page is a failing test. It reads the TeX the book is written in and no more: what it
does not know is an error, never a guess. `a/bc` is refused, since readers would disagree on it.

A display is a list of statements, a statement a chain of sides and relations. Names take their
values from a *world*: a dictionary from names as they are written on the page, `\\theta_{t+1}`,
to numbers, arrays or functions. Vectors multiply entry by entry unless the first is transposed;
a matrix acts on the vector that follows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Value = Any  # a number, an array, a Row, or a function
World = Mapping[str, Value]

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d|[A-Za-z]|\S", re.DOTALL)
SAYS_NOTHING = re.compile(
    r"(?<!\\)%.*|\\(?:left|right|[bB]igg?[lrm]?|displaystyle)(?![A-Za-z])|(?<!\\)\\[,;!: \n]|~"
    r"|\{,\}|\{\}|\\(?:begin|end)\{aligned\}"
)
NAME = re.compile(r"[A-Za-z]|\\[A-Za-z]+")
RELATIONS = {"=": "=", "<": "<", ">": ">", r"\approx": r"\approx", r"\equiv": "=",
             r"\le": r"\le", r"\leq": r"\le", r"\ge": r"\ge", r"\geq": r"\ge"}  # fmt: skip
ARROWS = {r"\Longleftrightarrow", r"\iff", r"\Longrightarrow", r"\Rightarrow", r"\implies"}
BREAKS = {r"\quad", r"\qquad", r"\\", ",", ".", ";"} | ARROWS
ACCENTS = {r"\hat", r"\bar", r"\tilde", r"\dot", r"\ddot", r"\widehat"}
FONTS = {r"\mathbb", r"\mathrm", r"\mathcal", r"\mathbf", r"\operatorname", r"\boldsymbol"}
PREFIXES = {r"\nabla", r"\Delta", r"\delta"}
BRACKETS = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", r"\langle": r"\rangle"}
FENCES = {r"\lvert": r"\rvert", r"\lVert": r"\rVert", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    r"\ln": np.log, r"\log": np.log, r"\exp": np.exp, r"\sin": np.sin, r"\cos": np.cos,
    r"\tanh": np.tanh, r"\det": np.linalg.det, r"\operatorname{sign}": np.sign,
    r"\operatorname{diag}": np.diag, r"\operatorname{tr}": np.trace,
}  # fmt: skip
CONSTANTS: dict[str, Value] = {r"\pi": np.pi, r"\infty": np.inf}
NO_FACTOR = {*BREAKS, *RELATIONS, *BRACKETS.values(), *FENCES.values(), "+", "-", "&", "|",
             r"\pm", r"\end", r"\text", r"\to", r"\in", r"\mid"}  # fmt: skip
REDUCE = {r"\sum": np.sum, r"\prod": np.prod, r"\max": np.max, r"\min": np.min}


class TexError(ValueError):
    """The formula says something that the reader does not understand."""


@dataclass(frozen=True)
class Row:
    """A transposed vector: times a vector it is a number, times a matrix a row."""

    vector: np.ndarray


@dataclass(frozen=True)
class Statement:
    """A chain such as `a = b <= c`: its sides, one more than its relations."""

    sides: tuple[Value, ...]
    relations: tuple[str, ...]


@cache
def tokens(tex: str) -> tuple[str, ...]:
    """Cut TeX into tokens, and join the lines of an aligned display that belong together."""
    tex = re.sub(r"\\[td]frac(?![A-Za-z])", r"\\frac", SAYS_NOTHING.sub(" ", tex))
    found: list[str] = []
    table = 0  # inside a matrix or cases, where & and \\ have a meaning
    for token in TOKEN.findall(tex):
        table += {r"\begin": 1, r"\end": -1}.get(token, 0)
        if token == "&" and not table:
            continue
        if not table and (token in RELATIONS or token in "+-"):
            line = len(found)
            while line and found[line - 1] in {r"\quad", r"\qquad"}:
                line -= 1
            if line and found[line - 1] == r"\\":  # the line goes on with the one before
                del found[line - 1 :]
        if found and found[-1] in RELATIONS and token == r"\\":
            continue
        found.append(token)
    return tuple(found)


def evaluate(tex: str, world: World) -> list[Statement]:
    """Return what a display says in a world.

    Parameters
    ----------
    tex
        What stands between the dollar signs.
    world
        Values of the names; a function is called where brackets follow its name. A name with an
        index that a sum or a maximum runs through, `\\lambda_j`, is given as `{j: value}`; a sum
        whose range is not written `j=1`, say `\\sum_{t<T}`, has its range as `(\"t\", values)`.
    """
    return Reader(tex, world).statements()


class Reader:
    """Recursive descent that evaluates as it reads: a name's value tells a call from a product."""

    def __init__(self, tex: str, world: World) -> None:
        self.tex = tex
        self.tokens = tokens(tex)
        self.at = 0
        self.world = {written(name): value for name, value in world.items()}

    def statements(self) -> list[Statement]:
        found = []
        while self.skip(BREAKS):
            found.append(self.statement())
        return found

    def skip(self, marks: Iterable[str]) -> bool:
        """Pass over marks and over words; is anything left?"""
        while self.peek() in marks or self.peek() == r"\text":
            if self.take() == r"\text":
                self.group()
        return self.at < len(self.tokens)

    def statement(self) -> Statement:
        sides, relations = [self.sum()], []
        while self.peek() in RELATIONS:
            relations.append(RELATIONS[self.take()])
            sides.append(self.sum())
        if self.at < len(self.tokens) and self.peek() not in {*BREAKS, r"\text", r"\end", "&"}:
            raise self.error(f"{self.peek()!r} is not understood")
        return Statement(tuple(sides), tuple(relations))

    def sum(self) -> Value:
        total = self.signed_product()
        while self.peek() in {"+", "-", r"\pm"}:
            total = plus(total, self.signed_product())
        return total

    def signed_product(self) -> Value:
        sign = self.take() if self.peek() in {"+", "-", r"\pm"} else "+"
        value = self.product()
        if sign == r"\pm":
            return times(self.look_up(sign), value)
        return times(-1, value) if sign == "-" else value

    def product(self) -> Value:
        factors = [self.power()]
        divided = False
        while (token := self.peek()) is not None:
            if token in {r"\cdot", r"\times", r"\odot"}:
                self.take()
                factors.append(self.power())
                divided = False
            elif token == "/":
                self.take()
                factors = [divide(multiply(factors), self.power())]
                divided = True
            elif token in NO_FACTOR:
                break
            elif divided:
                raise self.error("put what is divided by in brackets")
            else:
                factors.append(self.power())
        return multiply(factors)

    def power(self) -> Value:
        value = self.atom()
        while self.peek() == "^":
            self.take()
            if self.peek() == r"\top" or self.peek(1) == r"\top":
                self.group()
                value = Row(value) if np.ndim(value) == 1 else np.transpose(value)
            else:
                value = raised(value, self.argument())
        return value

    def atom(self) -> Value:
        token = self.peek()
        if token is None:
            raise self.error("ends too early")
        if token.isdigit():
            return self.number()
        if token in BRACKETS:
            return self.bracket()
        if token in FENCES or token == "|":
            return self.fence()
        if token in REDUCE:
            return self.run_through()
        self.take()
        if token == r"\frac":
            return divide(self.argument(), self.argument())
        if token == r"\sqrt":
            degree = self.bracket() if self.peek() == "[" else 2
            return self.argument() ** (1 / degree)
        if token == r"\begin":
            return self.table(self.group())
        self.at -= 1
        return self.name_or_call()

    def number(self) -> Value:
        digits = ""
        while self.peek() and (self.peek().isdigit() or (self.peek() == "." and self.digit(1))):
            digits += self.take()
        return float(digits) if "." in digits else int(digits)

    def digit(self, ahead: int) -> bool:
        return (self.peek(ahead) or "").isdigit()

    def bracket(self) -> Value:
        close = BRACKETS[self.take()]
        value = self.sum()
        self.expect(close)
        return value

    def fence(self) -> Value:
        opened = self.take()
        value = self.sum()
        self.expect(FENCES.get(opened, "|"))
        if opened == r"\lVert":
            order: Any = 2
            if self.peek() == "_":
                self.take()
                order = {"1": 1, "2": 2, "F": "fro", r"\infty": np.inf}[self.group()]
            return np.linalg.norm(np.atleast_1d(value), order)
        return {r"\lfloor": np.floor, r"\lceil": np.ceil}.get(opened, np.abs)(value)

    def argument(self) -> Value:
        """Read what TeX takes as one argument: a group, or a single token."""
        token = self.peek()
        if token is None or token in {"+", "-"}:
            raise self.error("an argument is missing")
        if token == "{":
            return self.bracket()
        if token.isdigit():
            return int(self.take())
        if token.startswith("\\") and token not in FUNCTIONS and self.peek(1) in {"{", "["}:
            return self.atom()  # an accent or a root with what belongs to it
        return self.look_up(self.take())

    def run_through(self) -> Value:
        sign, below, above = self.take(), "", None
        while self.peek() in {"_", "^"}:
            if self.take() == "_":
                below = self.group()
            else:
                above = self.argument()
        if not below:
            values = self.arguments()
            several = np.stack(np.broadcast_arrays(*values)) if len(values) > 1 else values[0]
            return REDUCE[sign](several)
        start, values = self.at, []
        index, numbers = self.range(sign, below, above)
        for number in numbers:
            self.at = start
            with self.known(index, number):
                values.append(self.product())
        if not values:
            raise self.error(f"{sign}_{{{below}}} runs through nothing")
        return REDUCE[sign](np.stack(values), axis=0)

    def range(self, sign: str, below: str, above: Value) -> tuple[str, Iterable[Any]]:
        if "=" in below and above is not None:
            index, _, first = below.partition("=")
            start = Reader(first, self.world).sum()
            return index, range(int(start), int(above) + 1)
        index, numbers = self.look_up(f"{sign}_{{{below}}}")
        return index, numbers

    @contextmanager
    def known(self, index: str, number: Any) -> Iterator[None]:
        outside = self.world
        self.world = {**outside, index: number}
        try:
            yield
        finally:
            self.world = outside

    def arguments(self) -> list[Value]:
        close = BRACKETS[self.take()]
        values = [self.sum()]
        while self.peek() in {",", ";"}:
            self.take()
            values.append(self.sum())
        self.expect(close)
        return values

    def table(self, kind: str) -> Value:
        rows: list[list[Any]] = [[]]
        while self.peek() != r"\end":
            if self.peek() in {"&", r"\\"}:
                if self.take() == r"\\":
                    rows.append([])
            elif kind == "cases" and rows[-1]:
                rows[-1].append(self.condition())
            else:
                rows[-1].append(self.sum())
                self.skip({",", "."})
        self.take()
        self.group()
        rows = [row for row in rows if row]
        if kind not in {"cases", "pmatrix", "bmatrix"}:
            raise self.error(f"environment {kind} is not understood")
        if kind == "cases":
            for row in rows:
                if len(row) < 2 or row[1]:
                    return row[0]
            raise self.error("no case holds")
        matrix = np.array(rows, dtype=float)
        return matrix[:, 0] if matrix.shape[1] == 1 else matrix

    def condition(self) -> bool:
        self.skip({r"\quad", ","})
        if self.peek() in {r"\\", r"\end"}:
            return True
        said = self.statement()
        self.skip({",", ".", r"\quad"})
        return holds(said)

    def name_or_call(self) -> Value:
        name = self.name()
        if name in FUNCTIONS and name not in self.world:
            return self.function(FUNCTIONS[name])
        value = self.look_up(name)
        if not callable(value):
            return value
        if self.peek() not in {"(", "["}:
            raise self.error(f"{name} is a function: brackets are missing")
        return value(*self.arguments())

    def function(self, function: Callable[[Value], Value]) -> Value:
        exponent = 1
        if self.peek() == "^":
            self.take()
            exponent = self.argument()
        if self.peek() in {"+", "-"}:
            raise self.error("the argument of a function needs brackets")
        return function(self.power()) ** exponent

    def name(self) -> str:
        token = self.take()
        if token in ACCENTS or token in FONTS:
            token += "{" + self.group() + "}"
        elif token in PREFIXES and NAME.fullmatch(self.peek() or "") and self.peek() != r"\top":
            token += " " + self.name()
        elif not NAME.fullmatch(token):
            raise self.error(f"{token!r} is not understood")
        return token + self.ornaments()

    def ornaments(self) -> str:
        """Index, star and prime belong to a name; a power and a transposition do not."""
        index = star = ""
        while True:
            here = self.at
            if self.peek() == "_":
                self.take()
                index += "_{" + self.group() + "}"
            elif self.peek() == "'":
                star += self.take()
            elif self.peek() == "^":
                self.take()
                raised_name = self.group()
                if not re.fullmatch(r"\*|\\star|\\ast|\(.*\)|\\(text|mathrm)\{.*\}", raised_name):
                    self.at = here
                    return index + star
                star += "^{" + re.sub(r"\\(star|ast)", "*", raised_name) + "}"
            else:
                return index + star

    def look_up(self, name: str) -> Value:
        if name in self.world:
            value = self.world[name]
            if isinstance(value, dict):  # {index: what the name is for each of its values}
                ((index, entries),) = value.items()
                return (
                    entries(self.world[index]) if callable(entries) else entries[self.world[index]]
                )
            return value
        if name in CONSTANTS:
            return CONSTANTS[name]
        raise self.error(f"the world does not say what {name} is")

    def peek(self, ahead: int = 0) -> Any:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def take(self) -> str:
        if self.at == len(self.tokens):
            raise self.error("ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, token: str) -> None:
        if self.peek() != token:
            raise self.error(f"{token} expected, not {self.peek()!r}")
        self.take()

    def group(self) -> str:
        """Return the text of one argument: a single token, or what stands between braces."""
        token = self.take()
        if token != "{":
            return token + "{" + self.group() + "}" if token in FONTS | {r"\text"} else token
        depth, inside = 1, ""
        while True:
            token = self.take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if not depth:
                return inside
            inside += token

    def error(self, message: str) -> TexError:
        before, after = "".join(self.tokens[: self.at]), "".join(self.tokens[self.at :])
        return TexError(f"{message}: {before} >>> {after}")


@cache
def written(name: str) -> str:
    """Bring a name to one spelling: `\\hat v_t` and `\\hat{v}_{t}` are the same."""
    if re.match(r"\\(sum|prod|max|min)", name):
        reader = Reader(name, {})
        sign = reader.take()
        reader.expect("_")
        return f"{sign}_{{{reader.group()}}}"
    if name == r"\pm":
        return name
    reader = Reader(name, {})
    found = reader.name()
    if reader.peek() is not None:
        raise reader.error(f"{name} is not one name")
    return found


def plus(left: Value, right: Value) -> Value:
    if isinstance(left, Row) and isinstance(right, Row):
        return Row(left.vector + right.vector)
    return np.add(left, right)


def multiply(factors: list[Value]) -> Value:
    """Multiply from the right, so that a matrix meets a vector."""
    value = factors[-1]
    for factor in reversed(factors[:-1]):
        value = times(factor, value)
    return value


def times(left: Value, right: Value) -> Value:
    if isinstance(left, Row):
        if np.ndim(right) == 0 and not isinstance(right, Row):
            return Row(left.vector * right)
        product = left.vector @ right
        return Row(product) if np.ndim(product) else product
    if isinstance(right, Row):
        if np.ndim(left) == 0:
            return Row(left * right.vector)
        return np.outer(left, right.vector)
    if np.ndim(left) == 2 and np.ndim(right) >= 1:
        return left @ right
    return np.multiply(left, right)


def divide(above: Value, below: Value) -> Value:
    if isinstance(above, Row):
        return Row(np.divide(above.vector, below))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(above, below)


def raised(base: Value, exponent: Value) -> Value:
    if np.ndim(base) == 2:
        if float(exponent).is_integer():
            return np.linalg.matrix_power(base, int(exponent))
        values, vectors = np.linalg.eigh(base)
        return (vectors * values**exponent) @ vectors.T
    with np.errstate(all="ignore"):
        return np.power(np.asarray(base, float), exponent)


def holds(said: Statement, rtol: float = 1e-9, atol: float = 0.0, approx: float = 0.0) -> bool:
    """Is every relation of the chain true? `approx` is the relative error that "about" allows."""
    for left, relation, right in zip(said.sides[:-1], said.relations, said.sides[1:], strict=True):
        a, b = (np.asarray(v.vector if isinstance(v, Row) else v, float) for v in (left, right))
        if np.broadcast_shapes(a.shape, b.shape) not in (a.shape, b.shape):
            return False
        with np.errstate(invalid="ignore"):
            slack = atol + rtol * np.maximum(np.abs(a), np.abs(b))
            wide = atol + approx * np.maximum(np.abs(a), np.abs(b))
            true = {
                "=": (np.abs(a - b) <= slack) & np.isfinite(slack) | (a == b),
                r"\approx": (np.abs(a - b) <= wide) & np.isfinite(wide) | (a == b),
                r"\le": a <= b + slack,
                r"\ge": a >= b - slack,
                "<": a < b,
                ">": a > b,
            }[relation]
        if not np.all(true):  # a comparison with NaN is never true
            return False
    return True
