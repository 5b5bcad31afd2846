"""Readings as a function of a factor's value, where that function is known."""

from __future__ import annotations

import numpy as np
import pytest

from drl_latent.interventions.responses import Response


def test_a_response_follows_what_rises_and_falls():
    values = np.random.default_rng(0).random(5000)
    response = Response.fit("x", values, np.abs(values - 0.5)[:, None], discrete=False)
    np.testing.assert_allclose(response([0.2, 0.5, 0.9])[:, 0], [0.3, 0.0, 0.4], atol=0.03)


def test_a_response_is_not_moved_by_a_few_outliers():
    values = np.repeat([0.0, 1.0], 50)
    readings = values.copy()
    readings[::10] = 1e6
    response = Response.fit("x", values, readings[:, None], discrete=True)
    np.testing.assert_array_equal(response([0, 1])[:, 0], [0, 1])


def test_a_response_reaches_the_ends_of_what_was_seen():
    values = np.random.default_rng(0).random(5000)
    response = Response.fit("x", values, np.stack([values, -3 * values], 1), discrete=False)
    ends = np.array([values.min(), values.max()])
    np.testing.assert_allclose(response(ends), np.stack([ends, -3 * ends], 1), atol=1e-3)


def test_values_given_in_double_precision_find_those_stored_in_single():
    values = np.repeat(np.array([0.1, 0.2, 0.7], np.float32).astype(float), 20)
    for discrete in (True, False):
        response = Response.fit("x", values, values[:, None], discrete)
        np.testing.assert_allclose(response([0.1, 0.2, 0.7])[:, 0], [0.1, 0.2, 0.7], atol=1e-6)
    with pytest.raises(ValueError, match=r"x cannot be set to 0.3: .* the values 0.1, 0.2, 0.7"):
        Response.fit("x", values, values[:, None], discrete=True)([0.3])


def test_a_continuous_factor_that_is_nearly_always_the_same_has_a_response():
    values = np.concatenate([np.zeros(990), np.linspace(0.1, 1, 30)])
    response = Response.fit("x", values, 2 * values[:, None], discrete=False)
    np.testing.assert_allclose(response([0.0, 0.5, 1.0])[:, 0], [0, 1, 2], atol=0.05)
