"""The twelve errors of article 1, each with the smallest run that shows it."""

from __future__ import annotations

from collections.abc import Sequence

from optlearn._misprint import Misprint
from optlearn.networks import MLP

__all__ = ["MISPRINTS"]


def _one_a_node(sizes: Sequence[int]) -> int:
    """Count one weight and one bias for every node, as the article's sentence does."""
    return 2 * sum(sizes)


def _one_an_edge(sizes: Sequence[int]) -> int:
    """Count a weight for every incoming edge and a bias for every node that is no input."""
    return sum((before + 1) * after for before, after in zip(sizes, sizes[1:], strict=False))


MISPRINTS = (
    Misprint(
        id="E1-01",
        severity="B",
        place="section 2.1",
        says="Every node has a weight and a bias.",
        right="One weight per incoming edge, one bias per node that is no input.",
        sources=(),
        chapter="01_networks#networks-counting",
        demand="the count is the length of theta for 784-64-64-10",
        printed=_one_a_node,
        corrected=_one_an_edge,
        meets=lambda count: count((784, 64, 64, 10)) == MLP((784, 64, 64, 10)).n_parameters,
    ),
)
