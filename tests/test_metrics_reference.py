"""Our scores against the field's reference implementation, on codes drawn by reference_codes.py.

The reference fits on the first 2,000 rows and tests on the other 1,000; its mutual information and
correlations are over the 2,000 as well, its IRS over all 3,000.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from drl_latent import metrics

HERE = Path(__file__).parent
# Loaded by path: tests are no package, and importlib mode puts this folder on no import path.
CODES = runpy.run_path(str(HERE / "reference_codes.py"))
CASES, FIT_ROWS = CODES["CASES"], CODES["FIT_ROWS"]
BARE = {"resamples": 0, "floor": False}
REFERENCE = json.loads((HERE / "data" / "reference_scores.json").read_text())


def parts(case):
    """All rows, the rows to fit on and the held-out rows of a case."""
    z, y = CODES["reference_case"](case)
    return (z, y), (z[:FIT_ROWS], y[:FIT_ROWS]), (z[FIT_ROWS:], y[FIT_ROWS:])


@pytest.mark.parametrize("case", CASES)
def test_scores_without_random_fits_are_the_reference_to_a_ten_thousandth(case):
    whole, fit, test = parts(case)
    scores = {
        "mig": metrics.mig(*fit, **BARE).score,
        "sap_continuous": metrics.sap(*fit, test=test, continuous=True, **BARE).score,
        "modularity": metrics.modularity(*fit, **BARE).score,
        "irs": metrics.irs(*whole, **BARE).score,
    }
    assert scores == pytest.approx({key: REFERENCE[case][key] for key in scores}, abs=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_scores_of_linear_classifiers_are_the_reference_to_half_a_hundredth(case):
    _, fit, test = parts(case)
    scores = {
        "sap_discrete": metrics.sap(*fit, test=test, **BARE).score,
        "explicitness_test": metrics.explicitness(*fit, test=test, **BARE).score,
    }
    assert scores == pytest.approx({key: REFERENCE[case][key] for key in scores}, abs=0.005)


@pytest.mark.parametrize(
    "case", ["identity", *(pytest.param(case, marks=pytest.mark.slow) for case in CASES[1:])]
)
def test_dci_is_the_reference_to_a_hundredth(case):
    _, fit, test = parts(case)
    result = metrics.dci(*fit, test=test, estimator="gradient_boosting", n_jobs=2, **BARE)
    expected = {
        "disentanglement": REFERENCE[case]["dci_disentanglement"],
        "completeness": REFERENCE[case]["dci_completeness"],
        "informativeness": REFERENCE[case]["dci_informativeness_test"],
        "informativeness_train": REFERENCE[case]["dci_informativeness_train"],
    }
    assert result.parts == pytest.approx(expected, abs=0.01)
    assert result.score == result.parts["disentanglement"]
