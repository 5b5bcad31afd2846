import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drl_latent.envs import Factor, FactorSpace
from drl_latent.registry import UnknownNameError

HUE = Factor("hue", "appearance", values=(0.0, 0.25, 0.5))
SHAPE = Factor("shape", "geometry", values=("box", "cylinder"))
X = Factor("x", "state", low=-1.0, high=1.0, bins=4)
SPACE = FactorSpace((HUE, SHAPE, X))


@st.composite
def spaces(draw: st.DrawFn) -> FactorSpace:
    factors = []
    for i in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["appearance", "geometry", "dynamics", "state"]))
        size = draw(st.integers(1, 6))
        if draw(st.booleans()):
            factors.append(Factor(f"f{i}", kind, values=tuple(range(size))))
        else:
            factors.append(Factor(f"f{i}", kind, low=-1.0, high=2.5, bins=size))
    return FactorSpace(tuple(factors))


@given(spaces(), st.integers(0, 2**31))
def test_indices_ids_and_values_go_round(space: FactorSpace, seed: int):
    indices = space.sample(16, np.random.default_rng(seed))
    assert (space.from_flat(space.to_flat(indices)) == indices).all()
    assert (space.indices(space.values(indices)) == indices).all()
    assert (space.to_flat(indices) < space.size).all()


@given(spaces())
def test_json_goes_round(space: FactorSpace):
    assert FactorSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@given(spaces(), st.integers(0, 2**31))
def test_sampled_values_stay_inside(space: FactorSpace, seed: int):
    values = space.sample_values(50, np.random.default_rng(seed))
    assert values.dtype == np.float32
    for k, factor in enumerate(space):
        column = values[:, k]
        if factor.is_range:
            assert (column >= factor.low - 1e-6).all()
            assert (column <= factor.high + 1e-6).all()
        else:
            assert np.isin(column, factor.numbers).all()


def test_levels():
    assert X.levels == (-0.75, -0.25, 0.25, 0.75)
    assert X.default == 2
    assert SHAPE.numbers.tolist() == [0.0, 1.0]
    assert SPACE.cardinalities.tolist() == [3, 2, 4]
    assert SPACE.size == 24
    assert SPACE.reset.names == ("hue", "shape")
    assert SPACE.state.names == ("x",)
    assert SPACE.select(["x", "hue"]).names == ("hue", "x")


def test_parse_takes_indices_values_and_names():
    assert HUE.parse(2) == 0.5
    assert HUE.parse(np.int64(1)) == 0.25
    assert HUE.parse(0.25) == 0.25
    assert SHAPE.parse("cylinder") == "cylinder"
    assert X.parse(0.1) == 0.1
    assert X.parse(0) == -0.75


@pytest.mark.parametrize(
    ("factor", "given", "says"),
    [
        (HUE, 3, "index from 0 to 2"),
        (HUE, -1, "index from 0 to 2"),
        (HUE, 0.3, "0, 0.25, 0.5"),
        (X, 1.5, "-1 to 1 in 4 bins"),
        (X, None, "cannot take None"),
        (SHAPE, "cilinder", "Did you mean 'cylinder'"),
    ],
)
def test_parse_names_the_valid_values(factor: Factor, given: object, says: str):
    with pytest.raises(ValueError, match=says):
        factor.parse(given)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"values": ()},
        {"values": (1.0, 1.0)},
        {"values": (1.0, "a")},
        {"values": (1.0,), "low": 0.0},
        {"low": 1.0, "high": 0.0, "bins": 3},
        {"low": 0.0, "high": 1.0, "bins": 0},
        {"values": (1.0, 2.0), "default": 2},
    ],
)
def test_impossible_factors_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="Factor 'f'"):
        Factor("f", "state", **arguments)


def test_unknown_kind_and_names_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'geometry'"):
        Factor("f", "geometri", values=(1.0,))
    with pytest.raises(UnknownNameError, match="Did you mean 'shape'"):
        SPACE.column("shap")
    with pytest.raises(ValueError, match="distinct"):
        FactorSpace((HUE, HUE))


@pytest.mark.parametrize(
    "wrong", [np.zeros((2, 2), int), np.zeros((2, 3)), np.zeros((1, 2, 3), int)]
)
def test_wrong_indices_are_refused(wrong: np.ndarray):
    with pytest.raises(ValueError, match=r"int level indices of shape \[N, 3\]"):
        SPACE.values(wrong)


def test_out_of_range_indices_name_the_factor():
    with pytest.raises(ValueError, match="'shape' has no level 2"):
        SPACE.values([[0, 2, 0]])
