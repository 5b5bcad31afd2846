"""Environments in several processes, several in each."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import CloudpickleWrapper, DummyVecEnv, VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs

from drl_latent.agents.shared_observations import SharedObservations

_PATIENCE = 5.0
"""Seconds that a process gets to close its environments."""


class ProcessVecEnv(VecEnv):
    """Environments in a few processes, each of which steps its share of them one after the other.

    Observations, rewards and infos are bit for bit those of Stable-Baselines3's ``DummyVecEnv``.
    Its ``SubprocVecEnv`` has a process for each environment, which costs more than it gains where
    a step takes less than a millisecond or cores are fewer than environments. To take its place::

        make_vec_env(
            "DrlLatent/Reach-v0", 8, vec_env_cls=ProcessVecEnv, vec_env_kwargs={"processes": 2}
        )

    An error in an environment is raised here with its traceback of there as a note. As with
    ``SubprocVecEnv``, a script that uses it needs ``if __name__ == "__main__":``.

    Args:
        env_fns: Functions that return an environment each; sent to the processes by cloudpickle.
        processes: Number of processes, at most one for each environment.
        start_method: How they are started, see `multiprocessing`.

    Raises:
        ValueError: `processes` is below 1 or above the number of environments, or this process
            is one of those that may start no others.
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], gym.Env[Any, Any]]],
        processes: int = 2,
        start_method: str = "forkserver",
    ) -> None:
        if not 1 <= processes <= len(env_fns):
            raise ValueError(
                f"processes must be between 1 and the number of environments, {len(env_fns)}; got "
                f"{processes}."
            )
        if multiprocessing.current_process().daemon:
            raise ValueError(
                "This process may start no others, as those of a study on this machine may not: "
                "leave its environments in it (env_processes=1). The study has all cores at work."
            )
        context: Any = multiprocessing.get_context(start_method)
        # Imported once, by what processes are forked from, not by each.
        context.set_forkserver_preload([__name__])
        self._shares = [list(map(int, s)) for s in np.array_split(range(len(env_fns)), processes)]
        self._pipes: list[Connection] = []
        self._workers: list[Any] = []
        self._is_stepping = self._is_closed = False
        try:
            for share in self._shares:
                here, there = context.Pipe()
                makes = CloudpickleWrapper([env_fns[i] for i in share])
                worker = context.Process(target=_work, args=(there, makes), daemon=True)
                self._pipes.append(here)
                worker.start()
                self._workers.append(worker)
                there.close()
            observed, acted, metadata = self._collect()[0]
            self._seen = SharedObservations(observed, len(env_fns))
            try:
                for number, share in enumerate(self._shares):
                    self._send(number, "write_to", self._seen.name, len(env_fns), share[0])
                self._collect()
            finally:
                self._seen.forget_name()
            super().__init__(len(env_fns), observed, acted)
            self.metadata = metadata
        except BaseException:
            self.close()
            raise

    def reset(self) -> VecEnvObs:
        """Reset all environments."""
        if self._is_stepping:
            self.step_wait()
        for number, share in enumerate(self._shares):
            seeds, options = [self._seeds[i] for i in share], [self._options[i] for i in share]
            self._send(number, "reset", seeds, options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [info for infos in self._collect() for info in infos]
        return self._seen.copy()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Let all environments begin a step."""
        for number, share in enumerate(self._shares):
            self._send(number, "step", actions[share[0] : share[-1] + 1])
        self._is_stepping = True

    def step_wait(self) -> tuple[VecEnvObs, NDArray[Any], NDArray[Any], list[Any]]:
        """Return observations, rewards, dones and infos of the step that was begun."""
        self._is_stepping = False
        rewards, dones, infos, resets = zip(*self._collect(), strict=True)
        self.reset_infos = [info for part in resets for info in part]
        return (
            self._seen.copy(),
            np.concatenate(rewards),
            np.concatenate(dones),
            [info for part in infos for info in part],
        )

    def close(self) -> None:
        """Close all environments and end their processes."""
        if self._is_closed:
            return
        self._is_closed = True
        for number, pipe in enumerate(self._pipes):
            self._send(number, "close")
            pipe.close()
        for worker in self._workers:
            worker.join(_PATIENCE)
            if worker.is_alive():
                worker.kill()
                worker.join()
        if hasattr(self, "_seen"):  # else no environment could be made
            self._seen.close()

    def get_images(self) -> list[NDArray[np.uint8] | None]:
        """Return an image of each environment."""
        return [image for part in self._ask("get_images") for image in part]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of environments."""
        return self._of_each(indices, "get_attr", attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of environments."""
        self._of_each(indices, "set_attr", attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of environments, and return what each returns."""
        return self._of_each(indices, "env_method", method_name, *method_args, **method_kwargs)

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return of environments whether they have a wrapper."""
        return self._of_each(indices, "env_is_wrapped", wrapper_class)

    def _of_each(
        self, indices: VecEnvIndices, method: str, /, *args: Any, **kwargs: Any
    ) -> list[Any]:
        """Call a method that takes indices, and return what it gives for each, in their order."""
        wanted = [range(self.num_envs)[i] for i in self._get_indices(indices)]
        asked = []
        for number, share in enumerate(self._shares):
            if mine := [i for i in share if i in wanted]:
                local = [i - share[0] for i in mine]
                self._send(number, method, *args, **kwargs, indices=local)
                asked.append((number, mine))
        answers = self._collect([number for number, _ in asked])
        found: dict[int, Any] = {}
        for (_, mine), answer in zip(asked, answers, strict=True):
            # `set_attr` answers with nothing.
            found |= dict(zip(mine, answer or [None] * len(mine), strict=True))
        return [found[i] for i in wanted]

    def _ask(self, method: str) -> list[Any]:
        """Call a method in each process."""
        for number in range(len(self._pipes)):
            self._send(number, method)
        return self._collect()

    def _send(self, number: int, method: str, /, *args: Any, **kwargs: Any) -> None:
        # That a process is gone is said where its answer is waited for.
        with suppress(ConnectionError):
            self._pipes[number].send((method, args, kwargs))

    def _collect(self, numbers: Sequence[int] | None = None) -> list[Any]:
        """Return the answers of processes, all unless given; raise the first error among them."""
        answers: list[Any] = []
        errors: list[Exception] = []
        for number in range(len(self._pipes)) if numbers is None else numbers:
            try:
                is_error, answer = self._pipes[number].recv()
            except (EOFError, ConnectionError):
                is_error, answer = True, self._lost(number)
            (errors if is_error else answers).append(answer)
        if errors:
            raise errors[0]
        return answers

    def _lost(self, number: int) -> RuntimeError:
        worker, share = self._workers[number], self._shares[number]
        worker.join(_PATIENCE)
        return RuntimeError(
            f"The process of environments {share[0]} to {share[-1]} ended with code "
            f"{worker.exitcode}. A code of -9 is most often a lack of memory: take fewer processes."
        )


class _Share(DummyVecEnv):
    """The environments of one process, whose observations do not go through its pipe."""

    def write_to(self, name: str, n: int, first: int) -> None:
        """Observe into the rows from `first` on of the memory of that name, which has `n`."""
        self._seen = SharedObservations(self.observation_space, n, name)
        for key, array in self._seen.arrays.items():
            self.buf_obs[key] = array[first : first + self.num_envs]

    def _obs_from_buf(self) -> Any:
        return None

    def close(self) -> None:
        super().close()
        self.buf_obs.clear()
        if hasattr(self, "_seen"):
            self._seen.close()

    def answer(self, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Return what goes back to the process that asks."""
        if method == "step":
            return *self.step(*args)[1:], self.reset_infos
        if method == "reset":
            self._seeds, self._options = args
            self.reset()
            return self.reset_infos
        return getattr(self, method)(*args, **kwargs)


def _work(pipe: Connection, makes: CloudpickleWrapper) -> None:
    """Answer until told to close, or until the other process is gone."""
    # Ctrl-C is for the process that asks, which then closes this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share: _Share | None = None
    try:
        try:
            share = _Share(makes.var)
            pipe.send((False, (share.observation_space, share.action_space, share.metadata)))
        except Exception as error:
            pipe.send((True, _portable(error)))
            return
        while (request := pipe.recv())[0] != "close":
            try:
                pipe.send((False, share.answer(*request)))
            except Exception as error:
                pipe.send((True, _portable(error)))
    except (EOFError, ConnectionError):
        pass
    finally:
        if share is not None:
            share.close()
        pipe.close()


def _portable(error: Exception) -> Exception:
    """Return an error that survives the way to another process, with its traceback as a note."""
    told = "".join(traceback.format_exception(error)).rstrip()
    try:
        # Of some the pickle is made, and cannot be read: their arguments are not their `args`.
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"In the process of the environment:\n{told}")
    return error
