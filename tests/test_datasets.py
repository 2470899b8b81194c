"""The data are what their documents say, the splits are sound, and bad input is refused."""

import gzip
import hashlib
import math
import re
import struct
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import datasets as sklearn_datasets

from optlearn.datasets import (
    Dataset,
    blobs,
    load_digits,
    load_mnist,
    load_mnist10k,
    noisy_line,
    two_moons,
)

MNIST10K_COUNTS = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
# scikit-learn's description of the data: 178, 182, 177, ... images of 0, 1, 2, ...
DIGITS_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def mnist10k():
    return load_mnist10k()


@pytest.fixture(scope="module")
def raw_mnist10k():
    file = resources.files("optlearn") / "data" / "mnist10k.npz"
    with file.open("rb") as stream, np.load(stream) as arrays:
        return arrays["images"], arrays["labels"]


def rows(x):
    """Sort the rows of `x` as bytes: equal lists hold the same rows, whatever the order."""
    return sorted(row.tobytes() for row in x)


# --- MNIST, ten thousand -----------------------------------------------------------------------


def test_the_shipped_file_is_the_one_its_readme_describes():
    folder = resources.files("optlearn") / "data"
    digest = hashlib.sha256((folder / "mnist10k.npz").read_bytes()).hexdigest()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert digest == "f1a23f2fb1a1c97bb00a811807ddd50a888dbcdcdead94147993273c22ee3f37"
    assert digest in readme
    assert ", ".join(map(str, MNIST10K_COUNTS)) in readme.replace("\n", " ")


def test_mnist10k_has_the_counts_of_each_digit_that_its_readme_lists(mnist10k):
    labels = np.concatenate([mnist10k.y_train, mnist10k.y_test])
    assert np.bincount(labels).tolist() == MNIST10K_COUNTS


def test_mnist10k_has_the_promised_shapes_types_and_range(mnist10k):
    assert mnist10k.x_train.shape == (8000, 784)
    assert mnist10k.x_test.shape == (2000, 784)
    assert mnist10k.image_shape == (28, 28)
    assert mnist10k.n_classes == 10
    for x, y in (mnist10k.train, mnist10k.test):
        assert x.dtype == np.float64
        assert y.dtype == np.int64
        assert x.min() == 0.0
        assert x.max() == 1.0


def test_mnist10k_without_rng_keeps_the_stored_order(mnist10k, raw_mnist10k):
    images, labels = raw_mnist10k
    levels = 255 * mnist10k.x_train.reshape(-1, 28, 28)
    np.testing.assert_array_equal(np.rint(levels), images[:8000])
    np.testing.assert_array_equal(np.rint(255 * mnist10k.x_test), images[8000:].reshape(2000, -1))
    np.testing.assert_array_equal(mnist10k.y_train, labels[:8000])
    np.testing.assert_array_equal(mnist10k.y_test, labels[8000:])


def test_mnist10k_images_stand_upright(mnist10k):
    # A 1 has ink in its middle and a 0 has none; a 7 has its bar above, a 6 its loop below.
    mean = [mnist10k.x_train[mnist10k.y_train == k].mean(0).reshape(28, 28) for k in range(10)]
    assert mean[1][12:16, 12:16].mean() > 0.6
    assert mean[0][12:16, 12:16].mean() < 0.1
    assert mean[7][:14].sum() > mean[7][14:].sum()
    assert mean[6][:14].sum() < mean[6][14:].sum()


def test_a_fresh_split_of_mnist10k_is_a_reordering_with_no_image_on_both_sides(
    mnist10k, raw_mnist10k
):
    fresh = load_mnist10k(rng=rng(7))
    assert fresh.x_train.shape == (8000, 784)
    images, labels = raw_mnist10k
    paired = np.column_stack([images.reshape(10000, -1), labels])
    train = np.column_stack([np.rint(255 * fresh.x_train), fresh.y_train]).astype(np.uint8)
    test = np.column_stack([np.rint(255 * fresh.x_test), fresh.y_test]).astype(np.uint8)
    assert rows(np.concatenate([train, test])) == rows(paired)
    assert not set(rows(train)) & set(rows(test))
    assert not np.array_equal(fresh.y_train, mnist10k.y_train)


def test_equal_generators_give_equal_splits_of_mnist10k():
    first, second, other = (load_mnist10k(rng=rng(seed)).y_test for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_float32_inputs_are_the_rounded_quotients(mnist10k):
    single = load_mnist10k(dtype=np.float32)
    assert single.x_train.dtype == np.float32
    np.testing.assert_array_equal(single.x_test, mnist10k.x_test.astype(np.float32))


# --- scikit-learn's digits ---------------------------------------------------------------------


def test_digits_are_all_there_and_stratified():
    data = load_digits()
    train, test = np.bincount(data.y_train), np.bincount(data.y_test)
    assert (train + test).tolist() == DIGITS_COUNTS
    # Stratified: a quarter of each digit, up to one image.
    np.testing.assert_allclose(test, np.array(DIGITS_COUNTS) / 4, rtol=0, atol=1)
    assert data.x_train.shape == (1347, 64)
    assert data.image_shape == (8, 8)
    assert (data.x_train.min(), data.x_train.max()) == (0.0, 1.0)


def test_digits_are_scikit_learns_divided_by_sixteen():
    data = load_digits(rng=rng(1))
    bunch = sklearn_datasets.load_digits()
    ours = np.column_stack(
        [np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])]
    )
    assert rows(ours) == rows(np.column_stack([bunch.data / 16, bunch.target]))


def test_equal_generators_give_equal_splits_of_digits_and_none_gives_the_fixed_one():
    first, second, other = (load_digits(rng=rng(seed)).x_test for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(load_digits().x_test, load_digits().x_test)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_digits_test_fraction_is_rounded_up(fraction):
    data = load_digits(test_fraction=fraction, dtype=np.float32)
    assert len(data.x_test) == math.ceil(fraction * 1797)
    assert len(data.x_train) + len(data.x_test) == 1797
    assert data.x_train.dtype == np.float32


# --- IDX files ---------------------------------------------------------------------------------


def write_idx(file, array, magic=None):
    magic = 0x800 + array.ndim if magic is None else magic
    content = struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


@pytest.fixture
def idx_folder(tmp_path):
    images = rng().integers(0, 256, size=(7, 28, 28), dtype=np.uint8)
    labels = np.array([0, 9, 1, 2, 3, 4, 5], dtype=np.uint8)
    write_idx(tmp_path / "train-images-idx3-ubyte", images[:5])
    write_idx(tmp_path / "train-labels-idx1-ubyte", labels[:5])
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", images[5:])
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", labels[5:])
    return tmp_path, images, labels


@pytest.mark.parametrize("as_text", [False, True])
def test_idx_files_plain_and_packed_are_read_as_written(idx_folder, as_text):
    folder, images, labels = idx_folder
    data = load_mnist(str(folder) if as_text else folder)
    assert (data.name, data.image_shape, data.n_classes) == ("mnist", (28, 28), 10)
    np.testing.assert_array_equal(data.x_train, images[:5].reshape(5, 784) / 255)
    np.testing.assert_array_equal(data.x_test, images[5:].reshape(2, 784) / 255)
    np.testing.assert_array_equal(data.y_train, labels[:5])
    np.testing.assert_array_equal(data.y_test, labels[5:])
    assert data.y_train.dtype == np.int64


def test_the_magic_numbers_are_those_of_the_mnist_page(idx_folder):
    # 2051 and 2049 are printed on the page that describes the format.
    folder, *_ = idx_folder
    first = {name: (folder / name).read_bytes()[:4] for name in IDX_TRAIN}
    assert [int.from_bytes(word, "big") for word in first.values()] == [2051, 2049]


IDX_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def cut_short(folder):
    file = folder / IDX_TRAIN[0]
    file.write_bytes(file.read_bytes()[:-1])


def with_a_byte_too_many(folder):
    file = folder / IDX_TRAIN[1]
    file.write_bytes(file.read_bytes() + b"\0")


def cut_inside_the_header(folder):
    (folder / IDX_TRAIN[0]).write_bytes(b"\0\0\x08\x03")


def wrong_magic(folder):
    write_idx(folder / IDX_TRAIN[0], np.zeros((5, 28, 28), np.uint8), magic=2049)


def a_label_missing(folder):
    write_idx(folder / IDX_TRAIN[1], np.zeros(4, np.uint8))


def a_label_of_ten(folder):
    write_idx(folder / IDX_TRAIN[1], np.array([0, 1, 10, 3, 4], np.uint8))


def other_sizes_in_the_test_set(folder):
    write_idx(folder / "t10k-images-idx3-ubyte", np.zeros((2, 8, 8), np.uint8))


def broken_gzip(folder):
    file = folder / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-9])


def damaged_gzip(folder):
    file = folder / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(file.read_bytes())
    content[10] ^= 0xFF  # the first byte after the header of ten
    file.write_bytes(content)


def not_gzip(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"plain")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            cut_short,
            "train-images-idx3-ubyte must have 3936 bytes for shape (5, 28, 28), got 3935",
        ),
        (cut_inside_the_header, "train-images-idx3-ubyte must have at least 16 bytes, got 4"),
        (wrong_magic, "train-images-idx3-ubyte must start with the number 2051, got 2049"),
        (a_label_missing, "must hold a label for each of 5 images, got 4"),
        (a_label_of_ten, "y_train must be integers from 0 to 9, got 10"),
        (other_sizes_in_the_test_set, "x_test must have the 784 features of x_train, got 64"),
        (
            with_a_byte_too_many,
            "train-labels-idx1-ubyte must have 13 bytes for shape (5,), got 14",
        ),
        (damaged_gzip, "t10k-labels-idx1-ubyte.gz must be a whole gzip file, got"),
        (broken_gzip, "t10k-labels-idx1-ubyte.gz must be a whole gzip file, got"),
        (not_gzip, "t10k-labels-idx1-ubyte.gz must be a whole gzip file, got"),
    ],
)
def test_a_spoilt_idx_file_is_refused_by_name(idx_folder, spoil, message):
    folder, *_ = idx_folder
    spoil(folder)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_mnist(folder)


def test_a_missing_idx_file_is_named(idx_folder):
    folder, *_ = idx_folder
    (folder / IDX_TRAIN[1]).unlink()
    message = "path must hold train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz, got"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        load_mnist(folder)


# --- the Dataset itself ------------------------------------------------------------------------


def test_train_and_test_are_pairs_of_the_arrays(mnist10k):
    assert mnist10k.train == (mnist10k.x_train, mnist10k.y_train)
    assert mnist10k.test == (mnist10k.x_test, mnist10k.y_test)


def test_the_arrays_of_a_dataset_cannot_be_written_nor_replaced(mnist10k):
    for array in (*mnist10k.train, *mnist10k.test):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
    with pytest.raises(AttributeError):
        mnist10k.x_train = np.zeros((1, 784))


def test_making_a_dataset_leaves_the_callers_arrays_writeable():
    x, y = np.zeros((2, 3)), np.array([0, 1])
    data = Dataset("two", x, y, x, y, None, 2)
    x[0] = 1.0
    assert data.x_train[0, 0] == 1.0


def test_two_datasets_are_equal_only_if_they_are_one(mnist10k):
    assert mnist10k in [load_digits(), mnist10k]
    assert mnist10k != load_digits()


X, Y = np.zeros((2, 4)), np.array([0, 1])
GOOD = {
    "name": "n",
    "x_train": X,
    "y_train": Y,
    "x_test": X,
    "y_test": Y,
    "image_shape": (2, 2),
    "n_classes": 2,
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_classes": 0}, ValueError, "n_classes must be >= 1, got 0"),
        ({"n_classes": 1}, ValueError, "y_train must be integers from 0 to 0, got 1"),
        ({"x_train": X.astype(int)}, TypeError, "x_train must be floating point, got int64"),
        ({"x_test": X + np.nan}, ValueError, "x_test must be finite, got nan"),
        ({"x_test": X[:0]}, ValueError, "x_test must not be empty, got shape (0, 4)"),
        (
            {"x_train": np.zeros((2, 2, 2))},
            ValueError,
            "x_train must have shape (samples, features), got (2, 2, 2)",
        ),
        ({"y_train": Y[:1]}, ValueError, "y_train has shape (1,), x_train has shape (2, 4)"),
        ({"y_test": Y + 0.5}, TypeError, "y_test must be integers from 0 to 1, got float64"),
        ({"x_test": X[:, :3]}, ValueError, "x_test must have the 4 features of x_train, got 3"),
        ({"image_shape": (2, 3)}, ValueError, "image_shape must hold 4 features, got (2, 3)"),
    ],
)
def test_parts_that_do_not_fit_make_no_dataset(change, error, message):
    Dataset(**GOOD)
    with pytest.raises(error, match=re.escape(message)):
        Dataset(**{**GOOD, **change})


# --- toy problems ------------------------------------------------------------------------------


def test_moons_without_noise_lie_on_the_two_half_circles():
    x, y = two_moons(101, noise=0.0, rng=rng())
    assert x.shape == (101, 2)
    assert np.bincount(y).tolist() == [50, 51]
    center = np.where(y[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    np.testing.assert_allclose(np.linalg.norm(x - center, axis=1), 1, rtol=1e-12)
    side = np.where(y == 0, 1, -1) * (x - center)[:, 1]
    assert (side >= -1e-12).all()


def test_noise_of_the_moons_has_the_given_standard_deviation():
    clean, _ = two_moons(20_000, noise=0.0, rng=rng(5))
    x, y = two_moons(20_000, noise=0.2, rng=rng(5))
    # Variances add: the noise is independent of the place on the circle. Five standard errors
    # of a variance of 20,000 values are about 5 * sqrt(2 / 20000) = 0.05 of it, at most 0.03.
    np.testing.assert_allclose(x.var(0) - clean.var(0), 0.04, rtol=0, atol=0.03)
    assert y.dtype == np.int64


def test_nearest_centre_errs_on_two_blobs_as_the_normal_distribution_says():
    n, spread = 20_000, 0.8
    x, y = blobs(n, classes=2, spread=spread, rng=rng())
    measured = np.mean((x[:, 0] < 0) != (y == 1))
    expected = norm.cdf(-1 / spread)
    # Five standard errors of a share of n.
    assert abs(measured - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_blobs_lie_around_equal_steps_of_the_unit_circle():
    x, y = blobs(40_000, classes=4, spread=0.1, rng=rng())
    means = np.array([x[y == k].mean(0) for k in range(4)])
    # Five standard errors: 5 * 0.1 / sqrt(10000) = 0.005.
    np.testing.assert_allclose(means, [[1, 0], [0, 1], [-1, 0], [0, -1]], rtol=0, atol=0.005)
    deviations = np.array([x[y == k].std(0) for k in range(4)])
    np.testing.assert_allclose(deviations, 0.1, rtol=0.04)


def test_blobs_without_spread_are_their_centres_and_default_to_three():
    x, y = blobs(7, spread=0.0, rng=rng())
    assert np.bincount(y).tolist() == [3, 2, 2]
    angle = 2 * np.pi * y / 3
    np.testing.assert_allclose(x, np.stack([np.cos(angle), np.sin(angle)], axis=1), atol=1e-15)


def test_a_line_without_noise_is_the_line():
    x, y = noisy_line(100, slope=-3.0, intercept=0.5, noise=0.0, rng=rng())
    assert x.shape == y.shape == (100, 1)
    np.testing.assert_allclose(y, 0.5 - 3 * x, rtol=1e-14)
    assert np.abs(x).max() <= 1
    assert np.ptp(x) > 1.8


def test_least_squares_finds_the_line_within_its_standard_errors():
    n, noise = 10_000, 0.5
    x, y = noisy_line(n, slope=2.0, intercept=-1.0, noise=noise, rng=rng(2))
    slope, intercept = np.polyfit(x[:, 0], y[:, 0], 1)
    # Variance of U[-1, 1] is 1/3: standard errors noise / sqrt(n / 3) and noise / sqrt(n).
    assert abs(slope - 2) < 5 * noise * math.sqrt(3 / n)
    assert abs(intercept + 1) < 5 * noise / math.sqrt(n)
    residual = y - 2 * x + 1
    np.testing.assert_allclose(residual.std(), noise, rtol=5 / math.sqrt(2 * n))


@pytest.mark.parametrize(("outliers", "shift"), [(0, 10.0), (5, 10.0), (50, -4.0)])
def test_outliers_are_that_many_targets_moved_by_the_shift(outliers, shift):
    settings = {"slope": 2.0, "intercept": 1.0, "noise": 0.3}
    x, clean = noisy_line(50, **settings, rng=rng(1))
    same, y = noisy_line(50, **settings, rng=rng(1), outliers=outliers, shift=shift)
    np.testing.assert_array_equal(same, x)
    moved = y != clean
    assert moved.sum() == outliers
    np.testing.assert_allclose(y[moved] - clean[moved], shift, rtol=1e-14)


TOYS = [
    lambda r: two_moons(30, noise=0.1, rng=r),
    lambda r: blobs(30, spread=0.1, rng=r),
    lambda r: noisy_line(30, slope=1, intercept=0, noise=0.1, rng=r, outliers=3),
]


@pytest.mark.parametrize("draw", TOYS)
def test_equal_generators_draw_equal_samples_and_one_generator_draws_on(draw):
    one = rng(9)
    for left, right in zip(draw(one), draw(rng(9)), strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(draw(one)[0], draw(rng(9))[0])


# --- bad input ---------------------------------------------------------------------------------

LINE = {"slope": 1.0, "intercept": 0.0, "noise": 0.1}
NO_RNG = "rng must be a numpy.random.Generator"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: load_mnist10k(rng=0), TypeError, NO_RNG + " such as"),
        (lambda: load_mnist10k(rng=np.random.RandomState(0)), TypeError, NO_RNG),
        (
            lambda: load_mnist10k(dtype=int),
            TypeError,
            "dtype must be float32 or float64, got <class 'int'>",
        ),
        (
            lambda: load_mnist10k(dtype="f2"),
            TypeError,
            "dtype must be float32 or float64, got 'f2'",
        ),
        (
            lambda: load_mnist10k(dtype=None),
            TypeError,
            "dtype must be float32 or float64, got None",
        ),
        (
            lambda: load_mnist10k(dtype="floaty"),
            TypeError,
            "dtype must be float32 or float64, got 'floaty'",
        ),
        (lambda: load_digits(rng=0), TypeError, NO_RNG),
        (
            lambda: load_digits(dtype=bool),
            TypeError,
            "dtype must be float32 or float64, got <class 'bool'>",
        ),
        (
            lambda: load_digits(test_fraction=0.0),
            ValueError,
            "test_fraction must be in (0, 1), got 0.0",
        ),
        (
            lambda: load_digits(test_fraction=1),
            ValueError,
            "test_fraction must be in (0, 1), got 1",
        ),
        (
            lambda: load_digits(test_fraction=math.nan),
            ValueError,
            "test_fraction must be in (0, 1), got nan",
        ),
        (
            lambda: load_digits(test_fraction="0.25"),
            TypeError,
            "test_fraction must be a real number in (0, 1), got '0.25'",
        ),
        (
            lambda: load_digits(test_fraction=0.005),
            ValueError,
            "test_fraction must leave at least 10 of the 1797 images on each side, got 0.005",
        ),
        (
            lambda: load_digits(test_fraction=0.995),
            ValueError,
            "test_fraction must leave at least 10 of the 1797 images on each side, got 0.995",
        ),
        (
            lambda: load_mnist(".", dtype=complex),
            TypeError,
            "dtype must be float32 or float64, got <class 'complex'>",
        ),
        (
            lambda: load_mnist(3),
            TypeError,
            "path must be a folder's name or path, got 3",
        ),
        (lambda: two_moons(0, noise=0.1, rng=rng()), ValueError, "n must be >= 1, got 0"),
        (
            lambda: two_moons(1.5, noise=0.1, rng=rng()),
            TypeError,
            "n must be an integer >= 1, got 1.5",
        ),
        (lambda: two_moons(9, noise=-0.1, rng=rng()), ValueError, "noise must be >= 0, got -0.1"),
        (
            lambda: two_moons(9, noise=math.nan, rng=rng()),
            ValueError,
            "noise must be >= 0, got nan",
        ),
        (lambda: two_moons(9, noise=0.1, rng=0), TypeError, NO_RNG),
        (lambda: blobs(2, spread=0.1, rng=rng()), ValueError, "n must be >= 3, got 2"),
        (
            lambda: blobs(9, classes=0, spread=0.1, rng=rng()),
            ValueError,
            "classes must be >= 1, got 0",
        ),
        (lambda: blobs(9, spread=-1, rng=rng()), ValueError, "spread must be >= 0, got -1"),
        (lambda: blobs(9, spread=0.1, rng=None), TypeError, NO_RNG),
        (lambda: noisy_line(0, **LINE, rng=rng()), ValueError, "n must be >= 1, got 0"),
        (lambda: noisy_line(True, **LINE, rng=rng()), TypeError, "n must be an integer >= 1"),
        (
            lambda: noisy_line(9, **{**LINE, "slope": math.inf}, rng=rng()),
            ValueError,
            "slope must be in (-inf, inf), got inf",
        ),
        (
            lambda: noisy_line(9, **{**LINE, "intercept": "0"}, rng=rng()),
            TypeError,
            "intercept must be a real number in (-inf, inf), got '0'",
        ),
        (
            lambda: noisy_line(9, **{**LINE, "noise": -1}, rng=rng()),
            ValueError,
            "noise must be >= 0, got -1",
        ),
        (
            lambda: noisy_line(9, **LINE, rng=rng(), outliers=10),
            ValueError,
            "outliers must be <= n = 9, got 10",
        ),
        (
            lambda: noisy_line(9, **LINE, rng=rng(), outliers=-1),
            ValueError,
            "outliers must be >= 0, got -1",
        ),
        (
            lambda: noisy_line(9, **LINE, rng=rng(), shift=math.nan),
            ValueError,
            "shift must be in (-inf, inf), got nan",
        ),
        (lambda: noisy_line(9, **LINE, rng=7), TypeError, NO_RNG),
    ],
)
def test_bad_input_is_refused_with_name_rule_and_value(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_importing_the_module_does_not_import_scikit_learn():
    code = "import sys, optlearn.datasets; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
