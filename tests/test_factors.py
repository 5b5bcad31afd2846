import numpy as np
import pytest

from drl_latent.envs import Factor
from drl_latent.registry import UnknownNameError

HUE = Factor("hue", "appearance", values=(0.0, 0.25, 0.5))
SHAPE = Factor("shape", "geometry", values=("box", "cylinder"))
X = Factor("x", "state", low=-1.0, high=1.0, bins=4)


def test_levels():
    assert X.levels == (-0.75, -0.25, 0.25, 0.75)
    assert X.default == 2
    assert SHAPE.numbers.tolist() == [0.0, 1.0]


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


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'geometry'"):
        Factor("f", "geometri", values=(1.0,))


def test_circular_factors():
    angle = Factor("angle", "viewpoint", low=0.0, high=360.0, bins=4, circular=True)
    assert angle.index_of([10.0, 370.0, -10.0, 350.0]).tolist() == [0, 0, 3, 3]
    assert angle.to_dict()["circular"] is True
    assert "circular" not in X.to_dict()
    assert Factor.from_dict(X.to_dict()) == X
    assert not angle.restrict([0, 1]).circular
    assert angle.restrict([0, 1, 2, 3]) == angle
    assert Factor("hue", "appearance", values=(0.0, 0.5), circular=True).restrict([1]).circular
    with pytest.raises(ValueError, match="no circle"):
        Factor("shape", "geometry", values=("a", "b"), circular=True)


def test_the_repr_makes_the_factor_again():
    assert repr(X) == "Factor('x', 'state', low=-1.0, high=1.0, bins=4)"
    for factor in (HUE, SHAPE, X, Factor("a", "state", low=0, high=1, bins=3, default=0)):
        assert eval(repr(factor)) == factor


def test_lowest_to_highest():
    assert Factor("f", "dynamics", values=(2.0, 1.0, 3.0)).order.tolist() == [1, 0, 2]
