"""The data of the book's experiments: handwritten digits, and toy problems of known truth.

Every chapter with an "experiment on real data" starts here. Ten thousand MNIST digits are shipped
with the package and scikit-learn brings its own small digits, so no experiment needs a network.
The toy problems come from formulas that are printed below: the best possible error is known, and
what an optimiser reaches can be held against it.

A generator ``rng`` decides all that is random: two equal generators give equal data. Where `rng`
may be left out, the split is a fixed one.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from optlearn._checks import (
    Array,
    check_array,
    check_fraction,
    check_integer,
    check_labels,
    check_rng,
)
from optlearn._idx import Pair, read_pair
from optlearn._toy import blobs, noisy_line, sklearn_seed, two_moons

__all__ = [
    "Dataset",
    "blobs",
    "load_digits",
    "load_mnist",
    "load_mnist10k",
    "noisy_line",
    "two_moons",
]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A classification problem, split into a training and a test part.

    The arrays are read-only views: a step that scales or shuffles in place fails at once, and
    cannot change the test set behind a later cell's back. Work on ``x_train.copy()`` to change
    one. The views share memory with the arrays passed in, which stay writeable themselves.

    Parameters
    ----------
    name : str
        What the data are called in tables and titles.
    x_train, x_test : array, shape (samples, features)
        Inputs, float, a row a sample.
    y_train, y_test : array of int, shape (samples,)
        Class numbers 0, 1, …, ``n_classes - 1``.
    image_shape : tuple of int or None
        Shape that turns a row back into an image; None where the rows are not images.
    n_classes : int
        Number of classes.

    Raises
    ------
    TypeError, ValueError
        If shapes, dtypes or labels do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = np.eye(4), np.array([0, 1, 0, 1])
    >>> data = Dataset("corners", x[:3], y[:3], x[3:], y[3:], image_shape=(2, 2), n_classes=2)
    >>> data
    Dataset('corners', train (3, 4), test (1, 4), 2 classes)
    >>> x_train, y_train = data.train
    >>> y_train
    array([0, 1, 0])
    """

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    image_shape: tuple[int, ...] | None
    n_classes: int

    def __post_init__(self) -> None:
        """Check that the parts fit together, then keep read-only views of the arrays."""
        check_integer("n_classes", self.n_classes)
        for part in ("train", "test"):
            x = check_array(f"x_{part}", getattr(self, f"x_{part}"))
            y = check_labels(f"y_{part}", getattr(self, f"y_{part}"), self.n_classes)
            if x.ndim != 2:
                raise ValueError(f"x_{part} must have shape (samples, features), got {x.shape}")
            if y.shape != x.shape[:1]:
                raise ValueError(f"y_{part} has shape {y.shape}, x_{part} has shape {x.shape}")
            object.__setattr__(self, f"x_{part}", _read_only(x))
            object.__setattr__(self, f"y_{part}", _read_only(y))
        features = self.x_train.shape[1]
        if self.x_test.shape[1] != features:
            raise ValueError(
                f"x_test must have the {features} features of x_train, got {self.x_test.shape[1]}"
            )
        if self.image_shape is not None and math.prod(self.image_shape) != features:
            raise ValueError(
                f"image_shape must hold {features} features, got {tuple(self.image_shape)}"
            )

    def __repr__(self) -> str:
        """Show shapes; the arrays themselves would fill the screen."""
        return (
            f"Dataset({self.name!r}, train {self.x_train.shape}, test {self.x_test.shape}, "
            f"{self.n_classes} classes)"
        )

    @property
    def train(self) -> tuple[Array, Array]:
        """The pair ``(x_train, y_train)``, as `optlearn.training.fit` takes it."""
        return self.x_train, self.y_train

    @property
    def test(self) -> tuple[Array, Array]:
        """The pair ``(x_test, y_test)``."""
        return self.x_test, self.y_test


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if it is float32 or float64."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if dtype is None or kind not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
    return np.dtype(dtype)


def load_mnist10k(
    *, rng: np.random.Generator | None = None, dtype: DTypeLike = np.float64
) -> Dataset:
    r"""Load the ten thousand MNIST digits shipped with the package.

    The images are the first 10,000 of the MNIST training set, in a fixed random order; grey
    levels 0 to 255 become :math:`x = \text{level} / 255`, with 0 for paper and 1 for ink.
    There are 8,000 training and 2,000 test images. The latter are no part of MNIST's own test
    set: accuracies are not to be compared with published ones.

    Parameters
    ----------
    rng : numpy.random.Generator, optional
        Draws a fresh 8,000/2,000 split. Without it the stored order is cut after 8,000.
    dtype : float32 or float64
        Element type of the inputs; float64 takes 63 MB.

    Returns
    -------
    Dataset
        ``x_train`` (8000, 784), ``x_test`` (2000, 784), labels int64, ``image_shape`` (28, 28).

    Raises
    ------
    TypeError
        If `rng` is no generator or `dtype` neither float32 nor float64.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 2278-2324, 1998. Licence of the images: CC BY-SA 3.0.

    Examples
    --------
    >>> data = load_mnist10k()
    >>> data
    Dataset('mnist10k', train (8000, 784), test (2000, 784), 10 classes)
    >>> data.y_train[:5]
    array([3, 8, 1, 0, 4])
    """
    kind = _float_dtype(dtype)
    file = resources.files("optlearn").joinpath("data", "mnist10k.npz")
    with file.open("rb") as stream, np.load(stream) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if rng is not None:
        order = check_rng("rng", rng).permutation(len(images))
        images, labels = images[order], labels[order]
    cut = 8000
    train, test = (images[:cut], labels[:cut]), (images[cut:], labels[cut:])
    return _images("mnist10k", train, test, 255, kind)


def _images(name: str, train: Pair, test: Pair, white: int, dtype: np.dtype[Any]) -> Dataset:
    """Build the data set of images whose levels run from 0 to `white`, labels 0 to 9."""
    (x_train, y_train), (x_test, y_test) = (
        (np.divide(levels.reshape(len(levels), -1), white, dtype=dtype), labels.astype(np.int64))
        for levels, labels in (train, test)
    )
    return Dataset(name, x_train, y_train, x_test, y_test, train[0].shape[1:], n_classes=10)


def load_digits(
    *,
    rng: np.random.Generator | None = None,
    test_fraction: float = 0.25,
    dtype: DTypeLike = np.float64,
) -> Dataset:
    r"""Load scikit-learn's 1,797 handwritten digits of 8 x 8 pixels.

    Small enough for full-batch training in a second. Levels 0 to 16 become
    :math:`x = \text{level} / 16`. The split is stratified: each digit has the same share of both
    parts, up to rounding.

    Parameters
    ----------
    rng : numpy.random.Generator, optional
        Draws the split. Without it the split is always that of ``random_state=0`` in
        scikit-learn's ``train_test_split``.
    test_fraction : float in (0, 1)
        Share of the images that become the test set, rounded up to a whole image. Either part
        has at least ten.
    dtype : float32 or float64
        Element type of the inputs.

    Returns
    -------
    Dataset
        1,347 training and 450 test images by default, 64 features, labels int64.

    Raises
    ------
    TypeError
        If `rng` is no generator or `dtype` neither float32 nor float64.
    ValueError
        If `test_fraction` is outside (0, 1) or leaves fewer than ten images on a side.

    References
    ----------
    Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998 (its test part).

    Examples
    --------
    >>> load_digits()
    Dataset('digits', train (1347, 64), test (450, 64), 10 classes)
    """
    kind = _float_dtype(dtype)
    fraction = check_fraction("test_fraction", test_fraction, zero=False)
    seed = 0 if rng is None else sklearn_seed(check_rng("rng", rng))
    from sklearn import datasets, model_selection

    bunch = datasets.load_digits()
    n = len(bunch.target)
    n_test = math.ceil(fraction * n)
    if min(n_test, n - n_test) < 10:
        raise ValueError(
            f"test_fraction must leave at least 10 of the {n} images on each side, "
            f"got {test_fraction}"
        )
    train, test = model_selection.train_test_split(
        np.arange(n), test_size=n_test, stratify=bunch.target, random_state=seed
    )
    images, labels = bunch.images, bunch.target
    return _images(
        "digits", (images[train], labels[train]), (images[test], labels[test]), 16, kind
    )


def load_mnist(path: str | os.PathLike[str], *, dtype: DTypeLike = np.float64) -> Dataset:
    r"""Load the full MNIST set from a folder that holds its four IDX files.

    The files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
    ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, plain or with ``.gz`` at the end
    (a plain file is preferred). Nothing is downloaded. Sets in the same format and with ten
    classes, such as Fashion-MNIST, load as well.

    Parameters
    ----------
    path : path
        The folder.
    dtype : float32 or float64
        Element type of the inputs. All 70,000 images take 439 MB in float64, half in float32.

    Returns
    -------
    Dataset
        For MNIST ``x_train`` (60000, 784) and ``x_test`` (10000, 784) in [0, 1], labels int64.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file's magic number or length is wrong, or images and labels do not pair up.
    TypeError
        If `dtype` is neither float32 nor float64.

    References
    ----------
    LeCun, Cortes and Burges, "The MNIST database of handwritten digits", with the IDX format.

    Examples
    --------
    A folder without the files is refused:

    >>> load_mnist("no-such-folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    FileNotFoundError: path must hold train-images-idx3-ubyte or ....gz, got no-such-folder
    """
    kind = _float_dtype(dtype)
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a folder's name or path, got {path!r}")
    folder = Path(path)
    train, test = (read_pair(folder, part) for part in ("train", "t10k"))
    return _images("mnist", train, test, 255, kind)
