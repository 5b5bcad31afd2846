"""Studies by name: the reference study of this project, and a small one to try the machinery."""

from __future__ import annotations

from drl_latent.registry import Registry
from drl_latent.study.config import Budgets, EncoderRecipe, Study, Task

STUDIES: Registry[Study] = Registry("study")
"""Name to study."""

_SALIENT = {"likelihood": "salient_gaussian"}
_VARYING = ("object_hue", "object_size", "floor_hue")
_METRICS = ("mig", "dci", "sap", "infom", "modularity", "explicitness", "probe")

STUDIES["smoke"] = Study(
    question="Does the machinery work? Nothing is learned in so few steps.",
    tasks=(
        Task(
            factors=("object_hue", "floor_hue"),
            agent={"n_envs": 2, "settings": {"n_steps": 64, "batch_size": 64}},
        ),
    ),
    encoders=(EncoderRecipe("beta_vae", latents=4), EncoderRecipe("ae", latents=4)),
    encoder_seeds=(0, 1),
    metrics=("mig", "linear_probe"),
    budgets=Budgets(
        frames=400,
        pretrain_steps=30,
        score_frames=600,
        agent_steps=512,
        episodes=10,
        set_back_episodes=4,
    ),
)

STUDIES["reach"] = Study(
    question=(
        "Do disentangled latents help a policy on combinations of factors that it, or the encoder "
        "too, never saw?"
    ),
    tasks=(Task("DrlLatent/Reach-v0", _VARYING),),
    encoders=(
        EncoderRecipe("random"),
        EncoderRecipe("ae", settings=_SALIENT),
        EncoderRecipe("beta_vae", settings={"beta": 10.0, **_SALIENT}),
        EncoderRecipe("beta_tcvae", settings={"beta": 10.0, **_SALIENT}),
        EncoderRecipe("ada_gvae", settings={"beta": 10.0, **_SALIENT}),
        EncoderRecipe("qlae", settings=_SALIENT),
        EncoderRecipe("supervised"),
    ),
    baselines=("true_state", "nature_cnn"),
    metrics=_METRICS,
)

STUDIES["push"] = Study(
    question=(
        "Do disentangled latents help a policy that has to push, on combinations of factors that "
        "it, or the encoder too, never saw?"
    ),
    tasks=(Task("DrlLatent/Push-v0", _VARYING, proprioception=True),),
    encoders=(
        EncoderRecipe("ae", settings=_SALIENT, latents=12),
        EncoderRecipe("beta_vae", settings={"beta": 10.0, **_SALIENT}, latents=12),
        EncoderRecipe("beta_tcvae", settings={"beta": 10.0, **_SALIENT}, latents=12),
        EncoderRecipe("supervised", latents=12),
    ),
    baselines=("true_state",),
    algorithms=("SAC",),
    metrics=_METRICS,
    budgets=Budgets(pretrain_steps=12_000, agent_steps=80_000),
)
