import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.envs import (
    SPLITS,
    Factor,
    FactorSpace,
    Split,
    make_split,
    make_transfer_split,
    register_split,
)
from drl_latent.envs.splits import resolve_split
from drl_latent.registry import UnknownNameError


def space_of(*sizes: int) -> FactorSpace:
    return FactorSpace(
        (
            *(Factor(f"f{i}", "appearance", values=tuple(range(n))) for i, n in enumerate(sizes)),
            Factor("x", "state", low=0.0, high=1.0, bins=3),
        )
    )


@st.composite
def spaces(draw: st.DrawFn, smallest: int = 1) -> FactorSpace:
    """Spaces of all sorts of factors; the first two are numeric and have an end."""
    factors = []
    for i in range(draw(st.integers(2, 4))):
        size = draw(st.integers(smallest, 5))
        sort = draw(st.sampled_from(["list", "range", "strings", "circle"])) if i > 1 else "list"
        numbers = tuple(float(v) for v in draw(st.permutations(range(size))))
        factors.append(
            Factor(f"f{i}", "dynamics", low=-1.0, high=2.0, bins=size)
            if sort == "range"
            else Factor(f"f{i}", "geometry", values=tuple("abcde"[:size]))
            if sort == "strings"
            else Factor(f"f{i}", "appearance", values=numbers, circular=sort == "circle")
        )
    return FactorSpace((*factors, Factor("x", "state", low=0.0, high=1.0, bins=3)))


# The kinds that cannot be made without being told what to hold out.
NEEDED = {"predicate": {"test": {"f0": [0], "f1": 1}}}
NEEDED_TRANSFER = {"predicate": {"ood1": {"f0": 1}, "ood2": {"f1": 1}}}
WITH_TRANSFER = [kind for kind, entry in SPLITS.items() if not isinstance(entry.transfer, str)]
SEEDS = st.integers(0, 1000)


def check_split(split: Split, space: FactorSpace) -> None:
    """Check what holds for every split, and what its kind promises."""
    entry, train, test = SPLITS[split.kind], split.ids("train"), split.ids("test")
    elements = np.concatenate(list(split.members.values()))
    assert len(np.unique(elements)) == len(elements)
    assert elements.min() >= 0
    assert elements.max() < space.reset.size
    assert all(len(split.ids(part)) for part in split.parts)
    if entry.disjoint:
        assert not np.intersect1d(train, test).size
    assert split.indices("test").shape == (len(test), len(space.reset))
    if entry.complete:
        assert len(np.union1d(train, test)) == space.reset.size
    if entry.covers_values:
        assert split.support("train")["missing"] == {}


def same(one: Split, other: Split) -> bool:
    return one.to_dict() == other.to_dict() and one.factor_space == other.factor_space


@pytest.mark.parametrize("kind", list(SPLITS))
@given(space=spaces(smallest=4), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_every_kind_keeps_its_promises(kind: str, space: FactorSpace, seed: int):
    needed = NEEDED.get(kind, {})
    split = make_split(kind, space, seed=seed, **needed)
    check_split(split, space)
    assert same(make_split(kind, space, seed=seed, **needed), split)
    again = Split.from_dict(json.loads(json.dumps(split.to_dict())))
    assert same(again, split)
    for part in split.parts:
        assert (again.ids(part) == split.ids(part)).all()


@pytest.mark.parametrize("kind", list(SPLITS))
@given(space=spaces(), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_on_a_small_space_a_kind_works_or_says_why_not(kind: str, space: FactorSpace, seed: int):
    split, reason = None, ""
    try:
        split = make_split(kind, space, seed=seed, **NEEDED.get(kind, {}))
    except ValueError as error:
        reason = str(error)
    if split is None:
        assert len(reason) > 40
        assert "promises" not in reason
    else:
        check_split(split, space)


@pytest.mark.parametrize("kind", list(SPLITS))
@given(space=spaces(smallest=4), seed=SEEDS, data=st.data())
@settings(max_examples=30, deadline=None)
def test_sampling_stays_inside(kind: str, space: FactorSpace, seed: int, data: st.DataObject):
    split, rng = make_split(kind, space, **NEEDED.get(kind, {})), np.random.default_rng(seed)
    for part in split.parts:
        ids, chances = split.ids(part), split.probabilities(part)
        assert chances.sum() == pytest.approx(1)
        assert (chances > 0).all()
        drawn = split.sample(part, 40, rng)
        assert np.isin(split.factor_space.to_flat(drawn), ids).all()
        combination = split.factor_space.from_flat(data.draw(st.sampled_from(ids.tolist())))[0]
        some = data.draw(st.sets(st.sampled_from(split.factor_space.names)))
        fixed = {name: int(combination[split.factor_space.column(name)]) for name in some}
        drawn = split.sample(part, 40, rng, fixed)
        assert np.isin(split.factor_space.to_flat(drawn), ids).all()
        for name, level in fixed.items():
            assert (drawn[:, split.factor_space.column(name)] == level).all()


@pytest.mark.parametrize("kind", WITH_TRANSFER)
@given(space=spaces(smallest=4), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_every_transfer_split_keeps_its_promises(kind: str, space: FactorSpace, seed: int):
    needed = NEEDED_TRANSFER.get(kind, {})
    split = make_transfer_split(kind, space, seed=seed, **needed)
    policy, ood1, ood2, encoder = (set(split.ids(p).tolist()) for p in ("policy", *SEEN))
    assert policy
    assert ood1
    assert ood2
    assert encoder == policy | ood1
    assert not policy & ood1
    assert not encoder & ood2
    if SPLITS[kind].complete:
        assert len(encoder | ood2) == space.reset.size
    if SPLITS[kind].covers_values:
        assert split.support("policy")["missing"] == {}
    assert same(make_transfer_split(kind, space, seed=seed, **needed), split)
    assert same(Split.from_dict(json.loads(json.dumps(split.to_dict()))), split)


@pytest.mark.parametrize("kind", [k for k in SPLITS if k not in WITH_TRANSFER])
def test_a_kind_without_transfer_split_says_why(kind: str):
    with pytest.raises(ValueError, match=r"has no encoder, policy, ood1 and ood2: .* Kinds that"):
        make_transfer_split(kind, space_of(4, 4))


SEEN = ("ood1", "ood2", "encoder")


@given(space=spaces(smallest=4), seed=SEEDS, levels=st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_interpolation_leaves_gaps_inside(space: FactorSpace, seed: int, levels: int):
    split = make_split("interpolation", space, seed=seed, levels=levels)
    missing = split.support("train")["missing"]
    for factor in space.reset:
        assert len(missing.get(factor.name, [])) == (0 if factor.is_categorical else levels)
        gone = np.isin(factor.numbers[factor.order], np.float32(missing.get(factor.name, [])))
        if not factor.is_categorical and not factor.circular:
            assert not gone[0]
            assert not gone[-1]
            assert np.diff(np.flatnonzero(gone)).max(initial=1) == 1


@given(space=spaces(smallest=4), end=st.sampled_from(["high", "low"]))
@settings(max_examples=40, deadline=None)
def test_extrapolation_holds_out_the_end(space: FactorSpace, end: str):
    def held(factor: Factor, end: str) -> list:
        if factor.is_categorical or factor.circular:
            return []
        return [factor.levels[factor.order[-1 if end == "high" else 0]]]

    missing = make_split("extrapolation", space, end=end).support("train")["missing"]
    assert all(missing.get(f.name, []) == held(f, end) for f in space.reset)
    transfer = make_transfer_split("extrapolation", space, end=end)
    missing = transfer.support("encoder")["missing"]
    assert all(missing.get(f.name, []) == held(f, end) for f in space.reset)
    seen = transfer.indices("policy")
    for k, factor in enumerate(space.reset):
        opposite = held(factor, "low" if end == "high" else "high")
        assert not np.isin([factor.levels[i] for i in seen[:, k]], opposite).any()


@given(space=spaces(smallest=4), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_recombinations_hold_out_what_they_say(space: FactorSpace, seed: int):
    grid = space.reset
    assert len(make_split("recombination_to_element", space, seed=seed).ids("test")) == 1
    cell = make_split("recombination_to_element", space, seed=seed, factors=["f0", "f1"], levels=2)
    assert len(cell.ids("test")) == 4 * grid.size // (grid["f0"].size * grid["f1"].size)
    strip = make_split("recombination_to_range", space, seed=seed, factors=["f0", "f1"])
    [row] = [row for row in strip.pairs("train") if row["factors"] == ["f0", "f1"]]
    [[value, others]] = row["unseen"]
    assert value in grid["f0"].levels
    ranked = sorted(grid["f1"].levels)
    assert sorted(others) in (ranked[: len(others)], ranked[-len(others) :])
    assert len(others) == len(ranked) // 2 == row["of"] - row["seen"]


@given(space=spaces(smallest=4), seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_axis_moves_one_factor_at_a_time(space: FactorSpace, seed: int):
    split = make_split("axis", space, seed=seed, factors=["f0", "f1"])
    train = split.indices("train")
    for k, name in enumerate(("f0", "f1")):
        off = ~np.stack([np.isin(c, s) for c, s in zip(split.indices(f"test/{name}").T, train.T,
                                                       strict=True)])  # fmt: skip
        assert off[k].all()
        assert off.sum() == off.shape[1]
    parts = np.concatenate([split.ids("test/f0"), split.ids("test/f1")])
    assert (np.sort(parts) == split.ids("test")).all()
    assert resolve_split(split, "test/f0", space) is split


def test_correlated_factors_agree_as_often_as_asked():
    space, rng = space_of(4, 3, 4), np.random.default_rng(0)
    split = make_split("correlated", space, factors=["f0", "f2"])
    assert (split.ids("train") == split.ids("test")).all()
    for part, rho in (("train", 0.95), ("test", 0.05)):
        drawn = split.sample(part, 20_000, rng)
        assert (drawn[:, 0] == drawn[:, 2]).mean() == pytest.approx(rho, abs=0.01)
        # All values stay equally probable: only how they go together shifts.
        for k, factor in enumerate(space.reset):
            shares = np.bincount(drawn[:, k], minlength=factor.size) / len(drawn)
            assert shares == pytest.approx(1 / factor.size, abs=0.02)
        given_one = split.sample(part, 20_000, rng, {"f0": 2})
        assert (given_one[:, 2] == 2).mean() == pytest.approx(rho, abs=0.01)
    apart = make_split("correlated", space, train_rho=1.0, test_rho=0.0)
    assert not np.intersect1d(apart.ids("train"), apart.ids("test")).size
    assert apart.support("train")["missing"] == {}


@given(sizes=st.tuples(st.integers(2, 7), st.integers(2, 7)))
def test_each_level_of_correlated_factors_has_a_partner(sizes: tuple[int, int]):
    agree = make_split("correlated", space_of(*sizes)).indices("agree")
    assert len(agree) == max(sizes)
    assert [len(np.unique(column)) for column in agree.T] == list(sizes)


def test_predicates_by_function_mapping_and_complement():
    space = space_of(3, 4)
    by_function = make_split("predicate", space, test=lambda v: v["f0"] == 2 and v["f1"] > 1)
    by_mapping = make_split("predicate", space, test={"f0": 2, "f1": [2, 3]})
    by_training = make_split("predicate", space, train=lambda v: v["f0"] < 2 or v["f1"] < 2)
    assert by_mapping.indices("test").tolist() == [[2, 2], [2, 3]]
    for split in (by_function, by_training, Split.from_dict(by_function.to_dict())):
        assert (split.ids("test") == by_mapping.ids("test")).all()
    assert "lambda" in json.dumps(by_function.to_dict())


def test_pairs_lists_what_is_missing():
    split = make_split("predicate", space_of(2, 3), test={"f0": 1, "f1": [0, 2]})
    assert split.pairs("train") == [
        {"factors": ["f0", "f1"], "seen": 4, "of": 6, "unseen": [[1, [0, 2]]]}
    ]
    assert split.support("train")["pairs"] == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("interpolation", {"factors": ["shape"]}, "'shape' is categorical"),
        ("interpolation", {"levels": 9}, "has 5 levels where 11 are needed"),
        ("interpolation", {"factors": ["sise"]}, "Did you mean 'size'"),
        ("interpolation", {"factors": []}, "none was named"),
        ("interpolation", {"factors": ["size", "size"]}, "named twice"),
        ("interpolation", {"levels": 0}, "must be 1 or more, got 0"),
        ("extrapolation", {"factors": "hue"}, "'hue' is circular"),
        ("extrapolation", {"end": "hihg"}, "Did you mean 'high'"),
        ("extrapolation", {"level": 1}, "Did you mean 'levels'"),
        ("recombination_to_element", {"factors": ["hue"]}, "needs two factors"),
        ("recombination_to_element", {"factors": ["hue", "shape"], "levels": 3}, "where 4 are"),
        ("recombination_to_range", {"factors": ["hue", "shape"]}, "'shape' is categorical"),
        ("recombination_to_range", {"factors": ["hue"]}, "two different factors"),
        ("recombination_to_range", {"factors": ["hue", "size"], "levels": 3}, "must be 2 or less"),
        ("correlated", {"train_rho": 1.5}, r"probability in \[0, 1\], got 1.5"),
        ("correlated", {"train_rho": 0.5, "test_rho": 0.5}, "nothing would shift"),
        ("correlated", {"factors": ["hue", "hue"]}, "two different factors"),
        ("axis", {"levels": 5}, "has 5 levels where 6 are needed"),
        ("predicate", {}, "Give one rule"),
        ("predicate", {"test": 3}, "is a function of a combination"),
        ("predicate", {"test": {"hue": [7]}}, "index from 0 to 4"),
        ("predicate", {"test": {"shape": "bok"}}, "Did you mean 'box'"),
        ("predicate", {"test": lambda values: False}, "'test' without any combination"),
        ("random", {"test_share": 0.99}, "none would be left for 'train'"),
    ],
)
def test_impossible_settings_give_the_reason(kind: str, given: dict, says: str):
    space = FactorSpace(
        (
            Factor("hue", "appearance", values=(0.0, 0.2, 0.4, 0.6, 0.8), circular=True),
            Factor("shape", "geometry", values=("box", "cylinder", "cross")),
            Factor("size", "geometry", values=(0.8, 1.0, 1.2)),
        )
    )
    with pytest.raises(ValueError, match=says):
        make_split(kind, space, **given)


def test_transfer_split_needs_room_for_two():
    with pytest.raises(ValueError, match="where 4 are needed"):
        make_transfer_split("interpolation", space_of(3, 3))
    with pytest.raises(ValueError, match="where 3 are needed"):
        make_transfer_split("extrapolation", space_of(2, 2))
    with pytest.raises(ValueError, match="has 3 levels or more"):
        make_transfer_split("recombination_to_range", space_of(2, 2))
    with pytest.raises(ValueError, match="needs the settings"):
        make_transfer_split("predicate", space_of(3, 3))


def test_a_kind_of_ones_own_is_held_to_its_promises():
    def first_rows(factor_space: FactorSpace, rng: np.random.Generator, *, n: int = 1) -> dict:
        return {"train": np.arange(n), "test": np.arange(n, factor_space.size)}

    try:
        register_split("mine", covers_values=True)(first_rows)
        with pytest.raises(ValueError, match=r"promises \['covers_values'\]"):
            make_split("mine", space_of(3, 3))
        assert len(make_split("mine", space_of(3, 3), n=7).ids("test")) == 2
        with pytest.raises(ValueError, match="no rule for a second held-out part"):
            make_transfer_split("mine", space_of(3, 3))
    finally:
        del SPLITS["mine"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"members": {"a": [0, 9]}}, "ids from 0 to 9"),
        ({"members": {"a": [0, 1], "b": [1]}}, "in two of its elementary parts"),
        ({"members": {"a": [0]}, "unions": {"b": ("c",)}}, "'b' is no union"),
        ({"members": {"a": [0]}, "unions": {"b": ("a",)}, "weights": {"b": {"a": 0.5}}}, "sum 1"),
    ],
)
def test_parts_that_do_not_fit_are_refused(given: dict, says: str):
    with pytest.raises(ValueError, match=says):
        Split("mine", space_of(2, 2).reset, **given)


def test_what_was_saved_before_weights_still_loads():
    saved = make_split("composition", space_of(3, 3)).to_dict()
    assert "weights" not in saved
    assert "circular" not in json.dumps(saved)
    assert same(Split.from_dict(saved), make_split("composition", space_of(3, 3)))


def test_a_fixed_level_that_no_combination_has_is_refused():
    split = make_split("predicate", space_of(3, 3), test={"f0": 2})
    with pytest.raises(ValueError, match=r"'train' of the split has no combination with {'f0': 2}"):
        split.sample("train", 1, np.random.default_rng(0), {"f0": 2})
    with pytest.raises(ValueError, match="has no level 5"):
        split.sample("train", 1, np.random.default_rng(0), {"f0": 5})


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
