import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.envs import SPLITS, Factor, FactorSpace, Split, make_split, make_transfer_split
from drl_latent.envs.splits import resolve_split
from drl_latent.registry import UnknownNameError


def space_of(*sizes: int) -> FactorSpace:
    return FactorSpace(
        (
            *(Factor(f"f{i}", "appearance", values=tuple(range(n))) for i, n in enumerate(sizes)),
            Factor("x", "state", low=0.0, high=1.0, bins=3),
        )
    )


SIZES = st.lists(st.integers(2, 5), min_size=2, max_size=4).filter(lambda s: np.prod(s) > 4)


@pytest.mark.parametrize("kind", list(SPLITS))
@given(sizes=SIZES, seed=st.integers(0, 1000))
@settings(max_examples=40)
def test_two_way_splits(kind: str, sizes: list[int], seed: int):
    space = space_of(*sizes)
    split = make_split(kind, space, seed=seed)
    train, test = split.ids("train"), split.ids("test")
    assert len(test)
    assert not np.intersect1d(train, test).size
    assert len(train) + len(test) == space.reset.size
    assert split.support("train")["values"] == 1.0
    assert (make_split(kind, space, seed=seed).ids("test") == test).all()
    assert split.indices("test").shape == (len(test), len(sizes))


@given(sizes=st.lists(st.integers(3, 6), min_size=2, max_size=4), seed=st.integers(0, 1000))
@settings(max_examples=40)
def test_transfer_split(sizes: list[int], seed: int):
    space = space_of(*sizes)
    split = make_transfer_split("composition", space, seed=seed)
    parts = {name: set(split.ids(name).tolist()) for name in split.parts}
    assert parts["encoder"] == parts["policy"] | parts["ood1"]
    assert not parts["policy"] & parts["ood1"]
    assert not parts["encoder"] & parts["ood2"]
    assert len(parts["encoder"] | parts["ood2"]) == space.reset.size
    for part in ("policy", "encoder"):
        assert split.support(part) == {
            "values": 1.0,
            "pairs": split.support(part)["pairs"],
            "missing": {},
        }
    assert all(parts.values())


def test_json_goes_round(tmp_path):
    split = make_transfer_split("composition", space_of(3, 4, 2), seed=3)
    again = Split.from_dict(json.loads(json.dumps(split.to_dict())))
    split.save(tmp_path / "split.json")
    for copy in (again, Split.load(tmp_path / "split.json")):
        assert copy.parts == split.parts
        assert copy.factor_space == split.factor_space
        for part in split.parts:
            assert (copy.ids(part) == split.ids(part)).all()


def test_support_names_what_is_missing():
    space = space_of(2, 2).reset
    split = Split("mine", space, {"train": np.array([0, 1]), "test": np.array([2, 3])})
    assert split.support("train") == {"values": 0.75, "pairs": 0.5, "missing": {"f0": [1]}}


def test_impossible_requests_give_the_reason():
    with pytest.raises(ValueError, match="Hold out a smaller share"):
        make_split("composition", space_of(2, 2), test_share=0.9)
    with pytest.raises(ValueError, match="at least two combinations"):
        make_split("composition", FactorSpace(space_of().factors))
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\)"):
        make_split("composition", space_of(3, 3), test_share=0.0)
    with pytest.raises(ValueError, match="let fewer factors vary"):
        make_split("composition", space_of(*[10] * 7))
    with pytest.raises(UnknownNameError, match="Did you mean 'composition'"):
        make_split("compositon", space_of(3, 3))
    with pytest.raises(UnknownNameError, match="Did you mean 'composition'"):
        make_transfer_split("compositions", space_of(3, 3))


def test_unknown_part_and_foreign_split_are_refused():
    space = space_of(3, 3)
    split = make_split("composition", space)
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        split.ids("trian")
    with pytest.raises(ValueError, match="The split is over"):
        resolve_split(split, "train", space_of(3, 4))
    empty = Split("mine", space.reset, {"train": np.array([], np.int64), "test": np.arange(9)})
    with pytest.raises(ValueError, match="has no combinations"):
        resolve_split(empty, "train", space)
