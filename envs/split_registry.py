"""The registry of kinds of split, and what each kind promises."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drl_latent.registry import Registry, UnknownNameError

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """What a maker of splits returns where a plain dict of parts does not say enough.

    Args:
        members: Flat ids of each elementary part; no id is in two of them.
        unions: Names for unions of elementary parts, e.g. ``{"encoder": ("policy", "ood1")}``.
        weights: For a union that is not drawn from uniformly, the probability that a draw comes
            from each of its elementary parts; they sum to 1.
    """

    members: Mapping[str, Ids]
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


SplitMaker = Callable[..., Cut | Mapping[str, Ids]]
"""A function of (factor_space, rng, **settings): a `Cut`, or a dict of part to flat ids."""


@dataclass(frozen=True)
class SplitKind:
    """A registered kind of split.

    Args:
        name: Its name.
        make: Cuts into ``"train"`` and ``"test"``.
        transfer: Cuts into ``"policy"``, ``"ood1"``, ``"ood2"`` and their union ``"encoder"``; or
            the reason why this kind has no such cut.
        covers_values: Promise: each single value of each factor is in ``"train"`` (of a transfer
            split, in ``"policy"``).
        disjoint: Promise: no combination is in both ``"train"`` and ``"test"``. Without it, the
            two differ in how often combinations occur, not in which can.
        complete: Promise: each combination is in ``"train"`` or ``"test"``.
    """

    name: str
    make: SplitMaker
    transfer: SplitMaker | str
    covers_values: bool
    disjoint: bool
    complete: bool

    def maker(self, transfer: bool) -> SplitMaker:
        """Return the function that makes the two-way or the transfer split.

        Raises:
            ValueError: This kind has no transfer split; the reason is given.
        """
        if not transfer:
            return self.make
        if isinstance(self.transfer, str):
            raise ValueError(
                f"A {self.name!r} split has no encoder, policy, ood1 and ood2: {self.transfer} "
                "Kinds that have: "
                f"{', '.join(k for k, v in SPLITS.items() if not isinstance(v.transfer, str))}."
            )
        return self.transfer


SPLITS: Registry[SplitKind] = Registry("split")
"""Name to kind of split; `register_split` adds one."""


def register_split(
    name: str,
    *,
    covers_values: bool = False,
    disjoint: bool = True,
    complete: bool = True,
    transfer: SplitMaker | str = "no rule for a second held-out part was registered.",
) -> Callable[[SplitMaker], SplitMaker]:
    """Return a decorator that registers a maker of two-way splits as a kind.

    The maker is a function of ``(factor_space, rng, **settings)`` that returns the flat ids of
    ``"train"`` and ``"test"``, or a `Cut`. What it promises is checked on each split that is made.

    Args:
        name: Name of the kind.
        covers_values: Promise: each single value is in training.
        disjoint: Promise: no combination is in both parts.
        complete: Promise: each combination is in one of the parts.
        transfer: The maker of the transfer split; or the reason, a sentence, why there is none.
    """

    def add(make: SplitMaker) -> SplitMaker:
        SPLITS.register(name)(SplitKind(name, make, transfer, covers_values, disjoint, complete))
        return make

    return add


def check_settings(kind: str, make: SplitMaker, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keyword settings of a maker, those not given at their defaults.

    Raises:
        UnknownNameError: A setting is unknown; the nearest is suggested.
        ValueError: One that has no default was not given.
    """
    parameters = list(inspect.signature(make).parameters.values())[2:]
    named = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}
    for name in given:
        if name not in named and len(named) == len(parameters):
            raise UnknownNameError(f"setting of split {kind!r}", name, named)
    settings = {**named, **given}
    missing = [name for name, value in settings.items() if value is inspect.Parameter.empty]
    if missing:
        raise ValueError(f"Split {kind!r} needs the settings {missing}.")
    return settings
