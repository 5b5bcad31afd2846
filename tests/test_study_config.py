"""What a study compares, as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drl_latent.registry import UnknownNameError
from drl_latent.study import (
    Budgets,
    EncoderRecipe,
    SplitRecipe,
    Study,
    Task,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": (SplitRecipe("compositon"),)}, "Did you mean 'composition'"),
        ({"encoders": (EncoderRecipe("beta_vea"),)}, "Did you mean 'beta_vae'"),
        ({"baselines": ("true_sate",)}, "Did you mean 'true_state'"),
        ({"algorithms": ("PP",)}, "Did you mean 'PPO'"),
        ({"metrics": ("migg",)}, "Did you mean 'mig'"),
        ({"modes": ("frosen",)}, "Did you mean 'frozen'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(change: dict, message: str):
    with pytest.raises(UnknownNameError, match=message):
        Study(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": (Task(), Task(factors=("object_hue",)))}, "Two tasks .* DrlLatent/Reach-v0"),
        ({"splits": (SplitRecipe(), SplitRecipe())}, "Two splits .* composition"),
        ({"encoders": (EncoderRecipe("vae"), EncoderRecipe("vae"))}, "Two methods .* vae"),
        ({"encoders": (EncoderRecipe("vae", "true_state"),)}, "Two methods .* true_state"),
        ({"encoders": (EncoderRecipe("vae", "random"),)}, "Two methods .* random"),
        ({"baselines": ("ted", "ted")}, "Two methods .* ted"),
        ({"modes": ("frozen", "frozen")}, "Two modes .* frozen"),
        ({"algorithms": ("PPO", "PPO")}, "Two algorithms .* PPO"),
        ({"metrics": ("mig", "mig")}, "Two metrics .* mig"),
        ({"encoder_seeds": (1, 0, 1)}, "Two seeds .* 1"),
    ],
)
def test_two_things_of_one_name_are_refused(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Study(**change)


@pytest.mark.parametrize("needed", ["tasks", "splits", "modes", "algorithms", "encoder_seeds"])
def test_a_study_of_nothing_is_refused(needed: str):
    with pytest.raises(ValueError, match=f"needs {needed}"):
        Study(**{needed: ()})


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="encoders or baselines"):
        Study(encoders=(), baselines=())
    with pytest.raises(ValueError, match="agents_per_encoder and threads"):
        Study(agents_per_encoder=0)
    with pytest.raises(ValueError, match="budget episodes must be 1 or more, got 0"):
        Budgets(episodes=0)
    assert Budgets(films=0, set_back_episodes=0).films == 0


def test_the_random_encoder_is_not_called_as_random_actions_are():
    assert EncoderRecipe("random").name == "random_encoder"
    assert Study(encoders=(EncoderRecipe("random"),)).encoders[0].name == "random_encoder"


SETTINGS = st.dictionaries(
    st.text("abc_", min_size=1, max_size=5),
    st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.text(max_size=3)),
    max_size=2,
)
STUDIES = st.builds(
    Study,
    question=st.text(max_size=20),
    tasks=st.lists(
        st.builds(
            Task,
            env=st.sampled_from(["DrlLatent/Reach-v0", "DrlLatent/Push-v0", "factorize:Pusher-v5"]),
            factors=st.lists(st.sampled_from(["object_hue", "floor_hue"])).map(tuple),
            env_kwargs=SETTINGS,
            agent=SETTINGS,
            other_agent=SETTINGS,
            proprioception=st.booleans(),
        ),
        min_size=1,
        max_size=2,
        unique_by=lambda task: task.env,
    ).map(tuple),
    splits=st.lists(
        st.builds(
            SplitRecipe,
            kind=st.sampled_from(["composition", "random"]),
            settings=SETTINGS,
            seed=st.none() | st.integers(0, 9),
        ),
        min_size=1,
        max_size=2,
        unique_by=lambda split: split.label,
    ).map(tuple),
    encoders=st.lists(
        st.builds(
            EncoderRecipe,
            objective=st.sampled_from(["vae", "beta_vae", "ae"]),
            settings=SETTINGS,
            latents=st.integers(1, 20),
            model=SETTINGS,
        ),
        max_size=2,
        unique_by=lambda encoder: encoder.name,
    ).map(tuple),
    modes=st.sampled_from([("frozen",), ("frozen", "finetune"), ("auxiliary",)]),
    encoder_seeds=st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True).map(tuple),
    budgets=st.builds(Budgets, frames=st.integers(1, 100), films=st.integers(0, 3)),
    threads=st.integers(1, 4),
)


def test_what_trains_nothing_cannot_be_trained_beside_an_agent():
    still = (EncoderRecipe("vae"), EncoderRecipe("random"))
    Study(encoders=still)
    with pytest.raises(ValueError, match="'random' trains nothing"):
        Study(encoders=still, modes=("frozen", "auxiliary"))


@settings(max_examples=30)
@given(STUDIES)
def test_a_study_comes_back_from_json(study: Study):
    assert Study.from_dict(json.loads(json.dumps(study.to_dict()))) == study


def test_a_file_may_leave_out_what_has_a_default(tmp_path: Path):
    path = tmp_path / "study.json"
    path.write_text('{"encoders": [{"objective": "vae"}], "budgets": {"episodes": 7}}')
    expected = Study(encoders=(EncoderRecipe("vae"),), budgets=Budgets(episodes=7))
    assert Study.load(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no study at"),
        ("{", "is not JSON"),
        ("[]", "holds list, expected an object"),
        ('{"encoder": []}', "setting of Study 'encoder'. Did you mean 'encoders'"),
        ('{"budgets": {"frame": 1}}', "setting of Budgets 'frame'. Did you mean 'frames'"),
        ('{"tasks": [{"factor": []}]}', "setting of Task 'factor'. Did you mean 'factors'"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, text: str | None, message: str):
    path = tmp_path / "study.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Study.load(path)
