from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium import spaces

from drl_latent.agents.observation_spaces import space_from_json, space_to_json


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (64, 64, 3), np.uint8),
        spaces.Box(-np.inf, np.inf, (4,), np.float32),
        spaces.Box(*np.array([[-0.1, -np.inf], [0.3, 2.0]], np.float32), dtype=np.float32),
        spaces.Discrete(9),
        spaces.Dict({"image": spaces.Box(0, 255, (8, 8, 1), np.uint8), "x": spaces.Discrete(2)}),
    ],
)
def test_spaces_go_to_json_and_come_back(space: spaces.Space):
    # Not what Python alone calls JSON: infinities have to be written otherwise.
    written = json.dumps(space_to_json(space), allow_nan=False)
    assert space_from_json(json.loads(written)) == space


def test_other_spaces_are_refused():
    with pytest.raises(TypeError, match="Only Box, Discrete and Dict"):
        space_to_json(spaces.MultiBinary(3))
