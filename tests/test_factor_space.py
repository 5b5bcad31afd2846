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
            circular = draw(st.booleans())
            factors.append(Factor(f"f{i}", kind, low=-1.0, high=2.5, bins=size, circular=circular))
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


def test_parts_and_sizes():
    assert SPACE.cardinalities.tolist() == [3, 2, 4]
    assert SPACE.size == 24
    assert SPACE.reset.names == ("hue", "shape")
    assert SPACE.state.names == ("x",)
    assert SPACE.select(["x", "hue"]).names == ("hue", "x")


def test_unknown_and_double_names_are_refused():
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


@given(spaces(), st.data())
def test_restricted_spaces_keep_the_named_levels(space: FactorSpace, data: st.DataObject):
    factor = data.draw(st.sampled_from(space.factors))
    kept = sorted(data.draw(st.sets(st.integers(0, factor.size - 1), min_size=1)))
    smaller = space.restrict({factor.name: kept})
    assert smaller.names == space.names
    assert smaller[factor.name].levels == pytest.approx([factor.levels[i] for i in kept])
    assert smaller.size == space.size // factor.size * len(kept)
    assert FactorSpace.from_dict(json.loads(json.dumps(smaller.to_dict()))) == smaller
    if kept == list(range(factor.size)):
        assert smaller == space
    held = space.hold({factor.name: kept[0]})
    values = held.sample_values(5, np.random.default_rng(0))[:, space.column(factor.name)]
    assert values == pytest.approx(factor.levels[kept[0]])


def test_restrict_and_hold():
    smaller = SPACE.restrict({"hue": [0, 2], "shape": "cylinder", "x": [1, 2]})
    assert smaller["hue"].levels == (0.0, 0.5)
    assert smaller["shape"].levels == ("cylinder",)
    assert (smaller["x"].low, smaller["x"].high, smaller["x"].bins) == (-0.5, 0.5, 2)
    assert SPACE.restrict({"x": [0, 3]})["x"].levels == (-0.75, 0.75)
    # The default stays the same value where it is kept.
    light = Factor("light", "appearance", values=(0.5, 0.75, 1.0), default=2)
    assert light.restrict([1, 2]).default == 1
    assert light.restrict([0, 1]).default == 0
    assert SPACE.hold({"x": 0.1, "hue": 1}).cardinalities.tolist() == [1, 2, 1]
    assert SPACE.hold({"x": 0.1})["x"].levels == (0.1,)


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ({"hoe": [0]}, "Did you mean 'hue'"),
        ({"hue": [0, 3]}, "index from 0 to 2"),
        ({"hue": []}, "one or more levels"),
        ({"hue": [0, 0.0]}, "each once"),
        ({"shape": ["box", "cilinder"]}, "Did you mean 'cylinder'"),
    ],
)
def test_impossible_restrictions_name_the_valid_levels(levels: dict, says: str):
    with pytest.raises(ValueError, match=says):
        SPACE.restrict(levels)


def test_the_repr_lists_the_factors():
    shown = repr(SPACE)
    assert "FactorSpace of 3 factors, 24 combinations" in shown
    assert "shape (geometry): box, cylinder; default box" in shown


def test_ids_are_whole_numbers_in_range():
    with pytest.raises(ValueError, match="run from 0 to 23"):
        SPACE.from_flat([24])
    with pytest.raises(ValueError, match="whole numbers"):
        SPACE.from_flat([0.5])
    huge = FactorSpace(tuple(Factor(f"f{i}", "state", low=0, high=1, bins=99) for i in range(10)))
    with pytest.raises(ValueError, match="too many to number"):
        huge.to_flat(huge.sample(1, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"values of shape \[N, 3\]"):
        SPACE.indices(np.zeros((2, 2)))
