"""The expected calibration error by hand, and what it must not depend on."""

import numpy as np
import pytest

from facemask.evaluation import calibration


def rows(*tops):
    """Two-class rows whose first class has the given probability."""
    return np.array([[top, 1 - top] for top in tops])


def test_by_hand():
    # Bins (.6, .8] with three photos, two right, mean .7; (.8, 1] with two photos, one right, mean .95.
    found = calibration.reliability(rows(0.65, 0.7, 0.75, 0.9, 1.0), [0, 0, 1, 0, 1], bins=5)
    np.testing.assert_array_equal(found.photos, [0, 0, 0, 3, 2])
    np.testing.assert_allclose(found.confidence[3:], [0.7, 0.95])
    np.testing.assert_allclose(found.accuracy[3:], [2 / 3, 0.5])
    assert np.isnan(found.accuracy[:3]).all()
    assert found.error == pytest.approx(3 / 5 * (0.7 - 2 / 3) + 2 / 5 * 0.45)


def test_sure_and_right_is_calibrated_sure_and_wrong_is_not():
    assert calibration.reliability(rows(1.0, 1.0), [0, 0], bins=15).error == 0
    assert calibration.reliability(rows(1.0, 1.0), [1, 1], bins=15).error == 1


def test_a_bin_holds_its_upper_edge():
    found = calibration.reliability(rows(0.5, 0.75, 1.0), [0, 0, 0], bins=4)
    np.testing.assert_array_equal(found.photos, [0, 1, 1, 1])


def test_probabilities_that_keep_their_word_have_almost_no_error():
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(18) * 0.3, size=40_000)
    official = (table.cumsum(1) > rng.random((len(table), 1))).argmax(1)
    assert calibration.reliability(table, official, bins=15).error < 0.01
    sharper = table**3 / (table**3).sum(1, keepdims=True)
    assert calibration.reliability(sharper, official, bins=15).error > 0.1


def test_one_bin_compares_two_means():
    found = calibration.reliability(rows(0.6, 0.9), [0, 1], bins=1)
    assert found.error == pytest.approx(abs(0.75 - 0.5))


@pytest.mark.parametrize(
    ("table", "official", "bins"), [(rows(), [], 5), (rows(0.6), [0, 1], 5), (rows(0.6), [0], 0)]
)
def test_what_cannot_be_binned_is_refused(table, official, bins):
    with pytest.raises(ValueError):
        calibration.reliability(table, official, bins=bins)
