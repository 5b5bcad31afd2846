"""Finds the packages; everything else is in pyproject.toml.

The folders envs/ and agents/ install as drl_latent.envs and drl_latent.agents. The symlinks in
drl_latent/ are not needed for that: a source distribution and some checkouts have none.
"""

from setuptools import find_packages, setup

packages = set(find_packages(include=["drl_latent", "drl_latent.*"]))
for name in ("envs", "agents"):
    packages.add(f"drl_latent.{name}")
    packages.update(f"drl_latent.{name}.{inner}" for inner in find_packages(name))

setup(packages=sorted(packages))
