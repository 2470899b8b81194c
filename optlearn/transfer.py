r"""Transfer: what a trained network is good for besides the task it was trained on (chapter 14).

Because all parameters are one vector, each way to use them again is a few lines: `reuse_body`
copies the layers below a new head, `freeze` and `layer_rates` say how fast each layer may move
(an optimizer takes an array in place of one learning rate), `ensemble` averages predictions,
`average_weights` and `greedy_soup` average parameters, and `align_hidden_units` renames the
hidden units of one network after those of another, which changes its parameters and not its
function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from optlearn._checks import Array, check_array, check_integer, check_nonnegative, check_rng
from optlearn.activations import sigmoid, softmax
from optlearn.networks import MLP, Layers
from optlearn.training import accuracy

__all__ = [
    "align_hidden_units",
    "average_weights",
    "ensemble",
    "freeze",
    "greedy_soup",
    "interpolate",
    "layer_rates",
    "permute_hidden_units",
    "reuse_body",
]

Orders = list[Array]  # for each hidden layer, its units in another order

# A better assignment must gain more than the rounding of the sums that say so.
_ROUNDING = 1e-12


def freeze(network: MLP, layers: Any) -> Array:
    """Mark the parameters of some layers, so that training can leave them alone.

    Give the optimizer the rate 0 there, ``lr=np.where(mask, 0.0, 0.01)``: its step then returns
    the frozen parameters unchanged, whatever their gradient, momentum or weight decay.

    Parameters
    ----------
    network : MLP
    layers : int or sequence of int
        Layers of weights and biases, 0 to D - 1 from the input; -1 is the last one (the head),
        as in a list. An empty sequence freezes nothing.

    Returns
    -------
    mask : ndarray of bool, shape (n,)
        True where frozen.

    Raises
    ------
    TypeError, ValueError
        If a layer is not a whole number or the network has no such layer.

    Examples
    --------
    >>> network = MLP((2, 3, 1))
    >>> freeze(network, 0).astype(int).tolist()  # six weights and three biases; the head is free
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    >>> int(freeze(network, [-1]).sum())
    4
    """
    depth = len(_check_network("network", network).sizes) - 1
    chosen = [layers] if np.ndim(layers) == 0 else list(layers)
    frozen = [0.0] * depth
    for layer in chosen:
        index = check_integer("layers", layer, minimum=-depth)
        if index >= depth:
            raise ValueError(f"layers must be from {-depth} to {depth - 1}, got {index}")
        frozen[index] = 1.0
    return _fill(network, frozen).astype(bool)


def layer_rates(network: MLP, rates: Any) -> Array:
    r"""Give every layer a learning rate of its own (discriminative rates).

    Parameters
    ----------
    network : MLP
    rates : sequence of D floats, >= 0
        One learning rate for the weights and biases of each layer, from the input to the head;
        0 freezes a layer.

    Returns
    -------
    ndarray, shape (n,)
        To be given to an optimizer as its ``lr``: one step of gradient descent then moves
        parameter j of layer l by :math:`-\eta_l\,\partial J/\partial\theta_j`.

    Raises
    ------
    TypeError, ValueError
        If there is not one number >= 0 for each layer.

    References
    ----------
    J. Howard and S. Ruder, Universal language model fine-tuning for text classification,
    ACL 2018, arXiv:1801.06146, section 3.2.

    Examples
    --------
    >>> layer_rates(MLP((2, 1, 1)), [0.01, 0.1]).tolist()
    [0.01, 0.01, 0.01, 0.1, 0.1]
    """
    depth = len(_check_network("network", network).sizes) - 1
    if not _is_sequence(rates):
        raise TypeError(f"rates must be a sequence of {depth} numbers, got {rates!r}")
    if len(rates) != depth:
        raise ValueError(f"rates must have one number for each of {depth} layers, got {rates}")
    return _fill(network, [check_nonnegative("rates", rate) for rate in rates])


def reuse_body(
    source: MLP, theta: Any, target: MLP, rng: np.random.Generator, *, scheme: str = "he"
) -> Array:
    """Start a network for a new task from a trained one: its body, below a fresh head.

    The body is every layer but the last, the head is the last one. What is drawn from `rng` is
    exactly what ``target.init(rng, scheme=scheme)`` draws, so that a start from scratch with the
    same seed has the same head.

    Parameters
    ----------
    source : MLP
        The network that was trained.
    theta : ndarray, shape (n,) or (runs, n)
        Its parameters; not changed.
    target : MLP
        The network to start: of the same inputs, hidden layers and activation; outputs may
        differ.
    rng : numpy.random.Generator
        Draws the head; with a runs axis, one head after the other.
    scheme : {"he", "glorot"}
        As in `MLP.init`.

    Returns
    -------
    ndarray, shape (n_target,) or (runs, n_target)
        In the precision of `theta`.

    Raises
    ------
    TypeError, ValueError
        If the bodies differ, there is no hidden layer to copy, or `theta` does not fit `source`.

    Examples
    --------
    >>> source, target = MLP((2, 3, 10)), MLP((2, 3, 5))
    >>> theta = source.init(np.random.default_rng(0))
    >>> start = reuse_body(source, theta, target, np.random.default_rng(1))
    >>> bool((target.unpack(start)[0][0] == source.unpack(theta)[0][0]).all())
    True
    """
    _check_network("source", source)
    theta = _check_theta("theta", theta, source)
    _check_network("target", target)
    body = (target.sizes[:-1], target.activation)
    if body != (source.sizes[:-1], source.activation):
        raise ValueError(
            f"target must have the body of source, {source.sizes[:-1]} {source.activation}, "
            f"got {body[0]} {body[1]}"
        )
    if len(source.sizes) < 3:
        raise ValueError(f"source must have a hidden layer to copy, got sizes {source.sizes}")
    check_rng("rng", rng)
    runs = theta.shape[:-1]
    heads = [target.init(rng, scheme=scheme, dtype=theta.dtype) for _ in range(*runs or (1,))]
    start = np.stack(heads).reshape(*runs, target.n_parameters)
    body_end = target.n_parameters - (target.sizes[-2] + 1) * target.sizes[-1]
    start[..., :body_end] = theta[..., :body_end]  # layers lie in theta one after the other
    return start


def ensemble(network: MLP, thetas: Any, x: Any) -> Array:
    r"""Average the predicted probabilities of several networks.

    :math:`\hat y = \frac1K\sum_k \operatorname{softmax}(z_k)`, or the mean of the sigmoids where
    the network has a single output. Every network must be kept and run: K times the memory and
    the time of one.

    Parameters
    ----------
    network : MLP
    thetas : ndarray, shape (K, n)
        The parameters of K networks, in any order.
    x : ndarray, shape (batch, d_0)

    Returns
    -------
    probabilities : ndarray, shape (batch, d_D)
        The predicted class of a sample is where its row is largest (a single output: where it is
        above 1/2).

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or an argument is not floating or not finite.

    Examples
    --------
    >>> network = MLP((1, 2))
    >>> sure, unsure = np.array([-9.0, 9.0, 0.0, 0.0]), np.zeros(4)
    >>> ensemble(network, np.stack([sure, unsure]), np.array([[1.0]])).round(2).tolist()
    [[0.25, 0.75]]
    """
    _check_network("network", network)
    thetas = _check_many(thetas, network)
    x = _check_batch(x, network)
    squash = sigmoid if network.sizes[-1] == 1 else softmax
    return np.asarray(squash(network.forward(thetas, x)).mean(axis=0))


def average_weights(thetas: Any, weights: Any = None) -> Array:
    r"""Average parameters: :math:`\sum_k w_k\theta_k / \sum_k w_k`, one network out of K.

    It costs what one network costs. It works where the networks lie in one basin, such as
    those fine-tuned from one start (a uniform soup); for networks trained independently it
    mixes hidden units that have nothing in common: see `align_hidden_units`.

    Parameters
    ----------
    thetas : ndarray, shape (K, n) or (K, runs, n)
        K parameter vectors; of each run where there is a runs axis.
    weights : sequence of K floats >= 0, optional
        How much each counts, up to a common factor; equal by default.

    Returns
    -------
    theta : ndarray, shape (n,) or (runs, n)

    Raises
    ------
    TypeError, ValueError
        If `thetas` has no axis of networks, or there is not one weight >= 0 for each of them.

    Examples
    --------
    >>> average_weights(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist()
    [2.0, 4.0]
    >>> average_weights(np.array([[1.0, 2.0], [3.0, 6.0]]), [3, 1]).tolist()
    [1.5, 3.0]
    """
    thetas = _check_real("thetas", thetas)
    if thetas.ndim not in (2, 3):
        raise ValueError(f"thetas must have shape (K, n) or (K, runs, n), got {thetas.shape}")
    if weights is None:
        return np.asarray(thetas.mean(axis=0))
    share = check_array("weights", weights, targets=True)
    if share.dtype.kind in "cb":
        raise TypeError(f"weights must be real numbers, got {share.dtype}")
    if share.shape != (len(thetas),):
        raise ValueError(f"weights must have shape ({len(thetas)},), got {share.shape}")
    if share.min() < 0:
        raise ValueError(f"weights must be >= 0, got {share.min()}")
    if share.max() == 0:
        raise ValueError("weights must be > 0 somewhere, got only zeros")
    share = share / share.max()  # so that the sum of huge ones stays finite
    share = (share / share.sum()).astype(thetas.dtype)
    return np.asarray(np.tensordot(share, thetas, axes=1))


def permute_hidden_units(network: MLP, theta: Any, permutations: Any) -> Array:
    r"""Rename hidden units: other parameters, the same function.

    Unit k of a hidden layer becomes what unit ``permutation[k]`` was: the columns of its
    weights and its biases move, and so do the rows of the next layer's weights. A layer of d
    different units can be renamed in d! ways, each another theta; with several layers the numbers
    of ways multiply.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,) or (runs, n)
        Not changed.
    permutations : sequence of D - 1 sequences of int
        For each hidden layer the numbers 0 to d_l - 1 in their new order.

    Returns
    -------
    ndarray, shape of `theta`

    Raises
    ------
    TypeError, ValueError
        If there is not one permutation for each hidden layer.

    Examples
    --------
    >>> network = MLP((1, 2, 1))
    >>> theta = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])  # W1 1 2, b1 3 4, W2 5 6, b2 7
    >>> permute_hidden_units(network, theta, [[1, 0]]).tolist()
    [2.0, 1.0, 4.0, 3.0, 6.0, 5.0, 7.0]
    """
    _check_network("network", network)
    permuted = _check_theta("theta", theta, network).copy()
    hidden = network.sizes[1:-1]
    if not _is_sequence(permutations):
        raise TypeError(f"permutations must be a sequence of sequences, got {permutations!r}")
    if len(permutations) != len(hidden):
        raise ValueError(
            f"permutations must be one for each of {len(hidden)} hidden layers, "
            f"got {len(permutations)}"
        )
    orders = [_check_permutation(*pair) for pair in zip(permutations, hidden, strict=True)]
    layers = network.unpack(permuted)
    for layer, order in enumerate(orders):
        _rename(layers, layer, order)
    return permuted


def align_hidden_units(network: MLP, theta: Any, reference: Any, x: Any = None) -> Array:
    r"""Rename the hidden units of a network so that they match those of another.

    Among all renamings, which leave the function of `theta` as it is, look for the one with the
    smallest squared distance to `reference`:

    - with inputs `x`, between hidden activations, :math:`\sum_i\|a_i - a_i^{ref}\|^2`, for every
      layer on its own;
    - without, between parameters, :math:`\|\theta - \theta^{ref}\|^2`: the units of a layer are
      matched by their incoming weights, biases and outgoing weights, layer after layer from
      the input, again and again until no layer gains any more. With one hidden layer that is
      the best renaming; with more it is one that no single layer can improve.

    Both are linear assignment problems. An order that is no worse than any other stays. Only
    renamings are searched: units that differ in sign (tanh) or scale (ReLU) stay different.

    Where the second search ends depends on where it starts. We start twice, and keep the nearer
    end: from the units as they are, so that `theta` never comes to lie farther away, and after a
    first sweep that looks at incoming weights and biases alone, so that a renamed copy of
    `reference` finds its old names if no two units of a layer have the same of both.

    Parameters
    ----------
    network : MLP
    theta : ndarray, shape (n,) or (runs, n)
        The network whose units are renamed; not changed.
    reference : ndarray, shape (n,) or (runs, n)
        The network to match; one for all runs, or one for each.
    x : ndarray, shape (batch, d_0), optional
        Inputs on which activations are compared.

    Returns
    -------
    ndarray, shape of `theta`

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or an argument is not floating or not finite.

    References
    ----------
    S. K. Ainsworth, J. Hayase and S. Srinivasa, Git Re-Basin: merging models modulo permutation
    symmetries, ICLR 2023, arXiv:2209.04836, sections 3.1 (activations) and 3.2 (weights,
    Algorithm 1, which starts from the units as they are and takes layers in a random order).

    Examples
    --------
    >>> network = MLP((2, 5, 5, 3))
    >>> reference = network.init(np.random.default_rng(0))
    >>> theta = permute_hidden_units(network, reference, [[4, 2, 0, 1, 3], [1, 0, 3, 2, 4]])
    >>> bool((align_hidden_units(network, theta, reference) == reference).all())
    True
    """
    _check_network("network", network)
    aligned = _check_theta("theta", theta, network).copy()
    reference = _check_theta("reference", reference, network)
    if reference.shape not in (aligned.shape, aligned.shape[-1:]):
        raise ValueError(
            f"reference must have the shape of theta, {aligned.shape}, or "
            f"({network.n_parameters},), got {reference.shape}"
        )
    if x is not None:
        x = _check_batch(x, network)
    runs = np.atleast_2d(aligned)  # a view: what is renamed in it is renamed in `aligned`
    references = np.broadcast_to(reference, runs.shape)
    for one, target in zip(runs, references, strict=True):
        if x is None:
            orders = _match_weights(network, one, target)
        else:
            orders = _match_activations(network, one, target, x)
        one[:] = permute_hidden_units(network, one, orders)
    return aligned


def interpolate(theta_a: Any, theta_b: Any, alphas: Any) -> Array:
    r"""Return points on the straight line between two networks.

    :math:`\theta(\alpha) = (1-\alpha)\,\theta_a + \alpha\,\theta_b`, for every alpha; a network
    takes them all at once, as its runs axis.

    Parameters
    ----------
    theta_a, theta_b : ndarray, shape (n,) or (runs, n)
        Both of one shape; alpha = 0 is the first, alpha = 1 the second.
    alphas : array_like of float, shape (A,)
        Numbers below 0 or above 1 are points beyond the two.

    Returns
    -------
    ndarray, shape (A, n) or (A, runs, n)

    Raises
    ------
    TypeError, ValueError
        If the shapes differ, or an argument is not floating or not finite.

    Examples
    --------
    >>> interpolate(np.array([0.0, 4.0]), np.array([2.0, 0.0]), [0.0, 0.25, 1.0]).tolist()
    [[0.0, 4.0], [0.5, 3.0], [2.0, 0.0]]
    """
    theta_a, theta_b = _check_real("theta_a", theta_a), _check_real("theta_b", theta_b)
    if theta_a.ndim not in (1, 2):
        raise ValueError(f"theta_a must have shape (n,) or (runs, n), got {theta_a.shape}")
    if theta_b.shape != theta_a.shape:
        raise ValueError(
            f"theta_b must have the shape of theta_a, {theta_a.shape}, got {theta_b.shape}"
        )
    steps = check_array("alphas", alphas, targets=True)
    if steps.dtype.kind in "cb":
        raise TypeError(f"alphas must be real numbers, got {steps.dtype}")
    if steps.ndim != 1:
        raise ValueError(f"alphas must have shape (A,), got {steps.shape}")
    dtype = np.result_type(theta_a, theta_b)
    steps = steps.astype(dtype).reshape(-1, *[1] * theta_a.ndim)
    return np.asarray((1 - steps) * theta_a + steps * theta_b)


def greedy_soup(network: MLP, thetas: Any, x: Any, y: Any) -> tuple[Array, list[int]]:
    """Average those fine-tuned networks that help, judged on held-out data.

    Start from the most accurate network. Take the others from the most to the least accurate
    (among equals the one given first), and keep each one whose joining the average does not
    lower its accuracy. So on the held-out data the soup is at least as accurate as its best
    ingredient; on a test set it need not be.

    Parameters
    ----------
    network : MLP
    thetas : ndarray, shape (K, n)
        Networks fine-tuned from one start.
    x : ndarray, shape (batch, d_0)
        Held-out inputs, seen in no training and no test.
    y : array_like of int, shape (batch,)

    Returns
    -------
    theta : ndarray, shape (n,)
        The average of the members.
    members : list of int
        Which networks are in it, in the order in which they joined.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or labels are not integers.

    References
    ----------
    M. Wortsman et al., Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time, ICML 2022, arXiv:2203.05482, section 2, the
    recipe GreedySoup.

    Examples
    --------
    >>> network = MLP((1, 2))  # logits -w x and w x: right for labels "x is positive" if w > 0
    >>> thetas = np.array([[5.0, -5.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0], [-3.0, 3.0, 0.0, 0.0]])
    >>> theta, members = greedy_soup(network, thetas, np.array([[-1.0], [2.0]]), [0, 1])
    >>> theta.tolist(), members
    ([-2.0, 2.0, 0.0, 0.0], [1, 2])
    """
    _check_network("network", network)
    thetas = _check_many(thetas, network)
    scores = [accuracy(network, theta, x, y) for theta in thetas]
    ranking = sorted(range(len(thetas)), key=lambda k: -scores[k])  # stable: equals keep order
    members, best = [ranking[0]], scores[ranking[0]]
    for candidate in ranking[1:]:
        score = accuracy(network, average_weights(thetas[[*members, candidate]]), x, y)
        if score >= best:
            members, best = [*members, candidate], score
    return average_weights(thetas[members]), members


def _match_weights(network: MLP, theta: Array, reference: Array) -> Orders:
    """Return orders of the hidden units that bring `theta` close to `reference`."""
    theta, reference = _unit(theta), _unit(reference)
    fixed = network.unpack(reference)
    found = []
    for incoming_first in (True, False):
        renamed = theta.copy()
        layers, orders = network.unpack(renamed), [np.arange(d) for d in network.sizes[1:-1]]
        if incoming_first:
            # The layer above still has its old names, so that outgoing weights say nothing yet.
            _sweep(layers, fixed, orders, outgoing=False)
        while _sweep(layers, fixed, orders, outgoing=True):
            pass
        found.append((float(np.sum((renamed - reference) ** 2)), orders))
    return min(found, key=lambda distance_and_orders: distance_and_orders[0])[1]


def _sweep(layers: Layers, fixed: Layers, orders: Orders, *, outgoing: bool) -> bool:
    """Rename each hidden layer once, from the input up, and tell whether one has changed."""
    moved = False
    for layer in range(len(orders)):
        (w, b), (w_next, _) = layers[layer : layer + 2]
        (w_ref, b_ref), (w_next_ref, _) = fixed[layer : layer + 2]
        similarity = _similarity(np.vstack([w_ref, b_ref]), np.vstack([w, b]))
        if outgoing:
            similarity += _similarity(w_next_ref.T, w_next.T)
        order = _assign(similarity)
        if (order != np.arange(order.size)).any():
            _rename(layers, layer, order)
            orders[layer] = orders[layer][order]
            moved = True
    return moved


def _match_activations(network: MLP, theta: Array, reference: Array, x: Any) -> Orders:
    """Return orders of the hidden units that bring activations on `x` closest."""
    # What a layer below is called changes nothing above it: one forward pass serves all layers.
    hidden = network.activations(theta.astype(np.float64), x)[1:-1]
    fixed = network.activations(reference.astype(np.float64), x)[1:-1]
    pairs = zip(fixed, hidden, strict=True)
    return [_assign(_similarity(_unit(a_ref), _unit(a))) for a_ref, a in pairs]


def _similarity(reference: Array, ours: Array) -> Array:
    """Return inner products of units, which are columns.

    What all units have in common is taken away: it adds the same to every order, and the rounding
    of a large sum would hide what tells them apart.
    """
    centred = [units - units.mean(axis=1, keepdims=True) for units in (reference, ours)]
    return np.asarray(centred[0].T @ centred[1])


def _assign(similarity: Array) -> Array:
    """Return which of our units (columns) fits each unit of the reference (rows) best."""
    from scipy.optimize import linear_sum_assignment

    rows, order = linear_sum_assignment(similarity, maximize=True)
    gain = similarity[rows, order].sum() - np.trace(similarity)
    return np.asarray(order) if gain > _ROUNDING * np.abs(similarity).sum() else rows


def _unit(array: Array) -> Array:
    """Scale to largest magnitude 1, in float64: no product overflows, and the best stays best."""
    exact = array.astype(np.float64)
    largest = np.abs(exact).max()
    return np.asarray(exact / largest if largest > 0 else exact)


def _rename(layers: Layers, layer: int, order: Array) -> None:
    """Reorder the units of a hidden layer in place: what leads to them, and what leads away."""
    (w, b), (w_next, _) = layers[layer], layers[layer + 1]
    w[...], b[...], w_next[...] = w[..., order], b[..., order], w_next[..., order, :]


def _fill(network: MLP, values: list[float]) -> Array:
    """Return a vector shaped as theta that holds one value for all of a layer."""
    vector = np.empty(network.n_parameters)
    for (w, b), value in zip(network.unpack(vector), values, strict=True):
        w[...], b[...] = value, value
    return vector


def _check_network(name: str, value: Any) -> MLP:
    """Return `value` if it is an MLP."""
    if not isinstance(value, MLP):
        raise TypeError(f"{name} must be an optlearn MLP, got {value!r}")
    return value


def _check_real(name: str, value: Any) -> Array:
    """Return `value` as a finite array in one of the two precisions that networks have."""
    array = check_array(name, value)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    return array


def _check_theta(name: str, value: Any, network: MLP) -> Array:
    """Return `value` as parameters of one network, or of one a run."""
    array, n = _check_real(name, value), network.n_parameters
    if array.ndim not in (1, 2) or array.shape[-1] != n:
        raise ValueError(f"{name} must have shape ({n},) or (runs, {n}), got {array.shape}")
    return array


def _check_many(value: Any, network: MLP) -> Array:
    """Return `value` as the parameters of K networks."""
    array, n = _check_real("thetas", value), network.n_parameters
    if array.ndim != 2 or array.shape[-1] != n:
        raise ValueError(f"thetas must have shape (K, {n}), got {array.shape}")
    return array


def _check_batch(value: Any, network: MLP) -> Array:
    """Return `value` as inputs that all networks share."""
    array = check_array("x", value)
    if array.ndim != 2 or array.shape[-1] != network.sizes[0]:
        raise ValueError(f"x must have shape (batch, {network.sizes[0]}), got {array.shape}")
    return array


def _is_sequence(value: Any) -> bool:
    """Tell whether `value` is a list or the like, and not a string or a number."""
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str)


def _check_permutation(value: Any, size: int) -> Array:
    """Return `value` as an index array that holds 0 to ``size - 1`` once each."""
    order = np.asarray(value)
    if order.dtype.kind not in "iu":
        raise TypeError(f"permutations must hold integers, got {order.dtype}")
    if order.shape != (size,) or (np.sort(order) != np.arange(size)).any():
        raise ValueError(
            f"permutations must hold each of 0 to {size - 1} once, got {order.tolist()}"
        )
    return order
