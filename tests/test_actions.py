from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from drl_latent.agents.actions import action_table, discretized
from drl_latent.envs import make_env


def test_numbers_stand_for_all_combinations_of_three_values():
    table = action_table(spaces.Box(-1, 1, (2,), np.float32))
    expected = [(x, y) for x in (-2 / 3, 0, 2 / 3) for y in (-2 / 3, 0, 2 / 3)]
    np.testing.assert_allclose(table, expected, atol=1e-6)


def test_the_table_says_what_the_environment_does():
    env = discretized(make_env("DrlLatent/Reach-v0", observation="state"))
    table = action_table(env.unwrapped.action_space)
    assert env.action_space.n == len(table)
    for number, action in enumerate(table):
        np.testing.assert_array_equal(env.action(number), action)
    env.close()


def test_too_many_actions_are_refused():
    env = make_env("factorize:Pusher-v5", observation="state")
    with pytest.raises(ValueError, match=r"2,187 actions.*Use an algorithm for continuous"):
        discretized(env)
    env.close()
