"""Turn one knob, and see what changes.

- `traverse`, `traversal_grid`, `save_gif`: each latent through its range, to look at.
- `knob_purity`, `FactorReader`: which factors of the decoded image a latent moves, measured.
- `code_responses`, `responses_from_pairs`: which latents a factor of the scene moves.
- `Editor`: set a factor of a given image by its knob, or swap it between two images.
- `action_influence`: which action moves which latent.
- `compress`, `decompress`, `rate_distortion`: a trajectory stored as changes of its latents.
- `SimulatorSampler`: interventions on the simulator, for the metrics that are defined by them.
"""

from drl_latent.interventions.action_influence import ActionInfluence, action_influence
from drl_latent.interventions.code_responses import (
    CodeResponses,
    code_responses,
    responses_from_pairs,
)
from drl_latent.interventions.compression import compress, decompress
from drl_latent.interventions.editing import Editor
from drl_latent.interventions.knobs import KNOBS, Knob
from drl_latent.interventions.purity import KnobPurity, knob_purity
from drl_latent.interventions.rate_distortion import rate_distortion
from drl_latent.interventions.readers import FactorReader
from drl_latent.interventions.sheets import save_gif, traversal_grid
from drl_latent.interventions.simulator_sampler import SimulatorSampler
from drl_latent.interventions.traversal import Traversal, traverse

__all__ = [
    "KNOBS",
    "ActionInfluence",
    "CodeResponses",
    "Editor",
    "FactorReader",
    "Knob",
    "KnobPurity",
    "SimulatorSampler",
    "Traversal",
    "action_influence",
    "code_responses",
    "compress",
    "decompress",
    "knob_purity",
    "rate_distortion",
    "responses_from_pairs",
    "save_gif",
    "traversal_grid",
    "traverse",
]
