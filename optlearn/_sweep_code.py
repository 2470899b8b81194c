"""What a training function does, as a digest: results are kept only for the same function.

Looked at are its bytecode, its defaults, the values it has closed over, the arguments of a partial
and the state of an object, each down to its last number. Not looked at are global variables and
the code of functions and classes that it calls. `optlearn.sweeps` is what a reader calls.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

__all__ = ["digest_of", "name_of"]

_SCALARS = (type(None), type(Ellipsis), bool, int, float, complex, str, bytes)


def name_of(train: Any) -> str:
    """Return the full name of a function, or of an object's class."""
    while isinstance(train, functools.partial):
        train = train.func
    named = train if hasattr(train, "__qualname__") else type(train)
    return f"{named.__module__}.{named.__qualname__}"


def digest_of(train: Any) -> str:
    """Return 64 hexadecimal digits that differ for functions that do something else.

    They are the same in another process, as long as the version of Python is.

    Raises
    ------
    TypeError
        If the function holds something that has no description, such as an open file.

    Examples
    --------
    >>> def make(factor):
    ...     return lambda lr, seed: factor * lr
    >>> digest_of(make(2)) == digest_of(make(2)), digest_of(make(2)) == digest_of(make(3))
    (True, False)
    """
    return hashlib.sha256(_describe(train, (), called=True).encode()).hexdigest()


def _describe(value: Any, around: tuple[int, ...], *, called: bool = False) -> str:
    """Return a text that is the same for the same value only.

    `around` has the ids of the values that this one is a part of; `called` is whether it is the
    training function itself.
    """
    kind = type(value)
    if kind in _SCALARS or isinstance(value, np.generic):
        return f"{kind.__name__}:{value!r}"
    if id(value) in around:  # a function that calls itself, say
        return f"part:{len(around) - around.index(id(value))}"

    def text(*parts: Any) -> str:
        inside = (*around, id(value))
        return "(" + ",".join(_describe(part, inside) for part in parts) + ")"

    if kind in (list, tuple):
        return kind.__name__ + text(*value)
    if kind in (set, frozenset):
        return kind.__name__ + str(sorted(text(item) for item in value))
    if kind is dict:
        return "dict" + str(sorted(text(*item) for item in value.items()))
    if kind is np.ndarray and not value.dtype.hasobject:
        data = hashlib.sha256(value.tobytes()).hexdigest()
        return f"array:{value.dtype.descr}:{value.shape}:{data}"
    if kind is FunctionType:
        return "function" + text(
            value.__code__, value.__defaults__, value.__kwdefaults__, value.__closure__
        )
    if kind is CodeType:
        return "code" + text(*_instructions(value))
    if kind is CellType:
        try:
            return text(value.cell_contents)
        except ValueError:  # a variable that has no value yet
            return "empty"
    if kind is MethodType:
        return "method" + text(value.__func__, value.__self__)
    if isinstance(value, type | ModuleType):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"
    name = f"{kind.__module__}.{kind.__qualname__}"
    if hasattr(value, "__wrapped__"):  # a function behind a cache or a compiler
        return name + text(value.__wrapped__)
    if called and not isinstance(value, functools.partial):
        return name + text(_methods(kind), _reduced(value))
    if isinstance(value, functools.partial):
        inner = _describe(value.func, (*around, id(value)), called=called)
        return "partial" + inner + text(value.args, value.keywords)
    return name + text(_reduced(value))


def _instructions(code: CodeType) -> list[Any]:
    """Return what a function does, without names of files, numbers of lines and docstrings."""
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    takes_any = code.co_flags & 0b1100  # *args and **kwargs
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    return [arguments, takes_any, code.co_varnames, code.co_exceptiontable, steps]


def _methods(kind: type) -> list[Any]:
    """Return what the classes of an object that is called have written in them."""
    found = []
    for each in kind.__mro__[:-1]:
        for name, member in vars(each).items():
            if isinstance(member, staticmethod | classmethod):
                member = member.__func__
            if isinstance(member, property):
                member = member.fget
            told = isinstance(member, FunctionType) or type(member) in _SCALARS
            if told and name not in ("__doc__", "__module__", "__firstlineno__"):
                found.append((name, member))
    return found


def _reduced(value: Any) -> Any:
    """Return what pickle would make an object from: a class, arguments, its state."""
    try:
        if type(value) in copyreg.dispatch_table:
            reduced = copyreg.dispatch_table[type(value)](value)
        else:
            reduced = value.__reduce_ex__(4)
    except Exception as error:
        raise TypeError(f"{type(value).__name__} {value!r}: {error}") from error
    if isinstance(reduced, str):  # something that has a name in a module
        return getattr(value, "__module__", ""), reduced
    make, arguments, *rest = reduced
    state = rest[0] if rest else None
    items = [list(part) for part in rest[1:3] if part is not None]
    return name_of(make), arguments, state, items
