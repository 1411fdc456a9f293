"""Confusion matrices: every class has its row and column, every photo its cell."""

import numpy as np

from facemask.evaluation import pictures, results
from facemask.records import classes
from facemask.scoring.predictions import Predictions
from facemask.settings import params

CFG = params.Evaluate(bootstrap=20, confidence=0.9, calibration_bins=5)
# Nobody is 60 or older and takes the mask wrongly, and the network says no more than these classes.
TRUE = np.array([0, 0, 0, 1, 4, 4, 9, 13, 17, 17])
CALLED = np.array([0, 0, 1, 1, 4, 9, 9, 13, 13, 17])


def result(true=TRUE, called=CALLED):
    split = Predictions(
        photos=[f"{k}.jpg" for k in range(len(true))],
        person=np.arange(len(true)) // 2,
        official=true,
        probabilities=0.5 * np.eye(classes.COUNT)[called] + 0.5 / classes.COUNT,
    )
    return results.assess(split, None, CFG, seed=0)


def cells(axes, size):
    """The numbers that are written into a matrix, (size, size); nothing is 0."""
    found = np.zeros((size, size), int)
    for text in axes.texts:
        if text.get_text() != "no such photo":
            column, row = text.get_position()
            found[row, column] = int(text.get_text().rpartition("\n")[2].replace(",", ""))
    return found


def labels(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


def test_classes_never_predicted_keep_their_empty_column_and_classes_never_true_their_row():
    axes = pictures.confusion(result()).axes[0]
    assert axes.get_title() == "out-of-fold, 5 people, 10 photos"
    assert labels(axes.xaxis) == labels(axes.yaxis) == list(classes.NAMES)
    found = cells(axes, classes.COUNT)
    expected = np.zeros((classes.COUNT, classes.COUNT), int)
    np.add.at(expected, (TRUE, CALLED), 1)
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == len(TRUE)
    empty = [text.get_position()[1] for text in axes.texts if text.get_text() == "no such photo"]
    assert empty == sorted(set(range(classes.COUNT)) - set(TRUE))
    (image,) = axes.images
    shares = np.asarray(image.get_array())
    assert shares.shape == expected.shape
    np.testing.assert_allclose(shares.sum(1), (expected.sum(1) > 0).astype(float))
    assert not shares[:, sorted(set(range(classes.COUNT)) - set(CALLED))].any()


def test_attributes_keep_their_axes_and_counts_in_each_split():
    other = result(true=np.array([0, 0]), called=np.array([0, 3]))
    figure = pictures.attributes({"oof": result(), "holdout": other})
    assert len(figure.axes) == 6
    for row, (whole, photos) in enumerate(((result(), len(TRUE)), (other, 2))):
        for axes, (name, values) in zip(
            figure.axes[3 * row : 3 * row + 3], classes.ATTRIBUTES.items(), strict=True
        ):
            assert labels(axes.xaxis) == labels(axes.yaxis) == list(values)
            found = cells(axes, len(values))
            np.testing.assert_array_equal(found, whole.tables[name])
            assert found.sum() == photos
