from typing import Any

import pytest

from drl_latent.envs import Factor, FactorSpace, Split, make_split, make_transfer_split
from drl_latent.evaluation import LeakageError, check_leakage

SPACE = FactorSpace(
    tuple(Factor(name, "appearance", values=(0.0, 1.0, 2.0, 3.0)) for name in ("hue", "size"))
)


def data(split: Split | None, partition: str | None) -> dict[str, Any]:
    """What the manifest of a data set says."""
    return {
        "factor_space": SPACE.to_dict(),
        "split": None if split is None else split.to_dict(),
        "partition": partition,
    }


def test_parts_of_an_axis_split():
    split = make_split("axis", SPACE)
    found = check_leakage(split, "test/hue", encoder_data=data(split, "train"), policy_part="train")
    assert found == {
        "combinations": len(split.ids("test/hue")),
        "seen_by_encoder": 0,
        "seen_by_policy": 0,
    }
    with pytest.raises(LeakageError, match=r"in the encoder's training set.*one of them: {'hue'"):
        check_leakage(split, "test/hue", encoder_data=data(split, "test"), policy_part="train")
    with pytest.raises(LeakageError, match="in the policy's training set"):
        check_leakage(split, "test/hue", encoder_data=None, policy_part="test/hue")
    transfer = make_transfer_split("axis", SPACE)
    clean = data(transfer, "encoder")
    assert check_leakage(transfer, "ood1/hue", encoder_data=clean, policy_part="policy")[
        "seen_by_encoder"
    ]
    with pytest.raises(LeakageError, match="in the encoder's training set"):
        check_leakage(
            transfer, "ood2/hue", encoder_data=data(transfer, "ood2/hue"), policy_part="policy"
        )


@pytest.mark.parametrize("kind", ["random", "extrapolation", "recombination_to_range"])
def test_a_data_set_of_another_split_is_compared_by_combination(kind: str):
    split = make_split(kind, SPACE)
    clean = data(split, "train")
    assert not check_leakage(split, "test", encoder_data=clean, policy_part="train")[
        "seen_by_encoder"
    ]
    other = make_split(
        "predicate",
        SPACE,
        train=lambda values: values["hue"] >= 0.5,
    )
    with pytest.raises(LeakageError, match="in the encoder's training set"):
        check_leakage(split, "test", encoder_data=data(other, "train"), policy_part="train")
    with pytest.raises(LeakageError, match="in the encoder's training set"):
        check_leakage(split, "test", encoder_data=data(None, None), policy_part="train")


def test_a_shift_of_frequencies_is_named_as_one():
    split = make_split("correlated", SPACE)
    found = check_leakage(split, "test", encoder_data=data(split, "train"), policy_part="train")
    assert found["only_frequencies_shift"]
    assert found["seen_by_policy"] == found["combinations"] == SPACE.size
    with pytest.raises(LeakageError, match="The encoder was trained on 'test' itself"):
        check_leakage(split, "test", encoder_data=data(split, "test"), policy_part="train")
    with pytest.raises(LeakageError, match="The policy was trained on 'test' itself"):
        check_leakage(split, "test", encoder_data=None, policy_part="test")
    assert check_leakage(split, "train", encoder_data=None, policy_part="train")


def test_a_manifest_that_does_not_tell_is_refused():
    split = make_split("composition", SPACE)
    with pytest.raises(LeakageError, match="does not say which factors varied"):
        check_leakage(split, "test", encoder_data={}, policy_part="train")
    with pytest.raises(LeakageError, match="names part None"):
        check_leakage(split, "test", encoder_data=data(split, None), policy_part="train")
