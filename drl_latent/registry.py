"""Registries: the one shape that every extension point has."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


class UnknownNameError(KeyError, ValueError):
    """A name that nothing is known by; the message lists the choices and the nearest one."""

    def __init__(self, kind: str, name: object, choices: Iterable[str]) -> None:
        names = sorted(choices)
        close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(names) if names else "none is registered"
        self.message = f"Unknown {kind} {name!r}.{hint} Choose from: {listed}."
        super().__init__(self.message)

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would quote and escape the message.
        return self.message


class Registry(dict[str, T]):
    """A dict from name to class or function, filled by a decorator.

    A name can be taken once; looking up a name that is not there raises `UnknownNameError`.

    Args:
        kind: What the entries are, for messages, e.g. ``"objective"``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds its target under `name`.

        Raises:
            ValueError: `name` is taken.
        """

        def add(entry: T) -> T:
            if name in self:
                raise ValueError(
                    f"The {self.kind} {name!r} is registered already, as {self[name]!r}; "
                    "choose another name."
                )
            self[name] = entry
            return entry

        return add

    def __missing__(self, name: str) -> T:
        raise UnknownNameError(self.kind, name, self)
