"""``drl-latent doctor``: says in plain words what is missing on this machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.table import Table
from rich.text import Text

GIB = 1024**3
PYTHON = (3, 11)
MEMORY_GIB = 2.0
DISK_GIB = 2.0
KEY_PACKAGES = ("mujoco", "gymnasium", "stable-baselines3", "numpy")
"""Packages whose version is always shown; of the others only what is wrong."""
REINSTALL = "Run `make setup`, or: pip install -c constraints.txt -e ."
INSTALL_GL = (
    "On Debian or Ubuntu: apt-get install --no-install-recommends "
    "libegl1 libgl1-mesa-dri libopengl0"
)

# Runs in a process of its own: a broken GL driver can end the process that tries it.
RENDER = """
import json, os, sys, time
import gymnasium as gym
import drl_latent.envs
env = gym.make(sys.argv[1])
image, _ = env.reset(seed=0)
env.action_space.seed(0)
start = time.perf_counter()
for _ in range(int(sys.argv[2])):
    if env.step(env.action_space.sample())[2]:
        env.reset()
seconds = time.perf_counter() - start
driver = ""
if os.environ.get("MUJOCO_GL") in ("egl", "osmesa"):
    from OpenGL import GL
    driver = (GL.glGetString(GL.GL_RENDERER) or b"").decode()
env.close()
print(json.dumps({
    "backend": os.environ.get("MUJOCO_GL", "glfw"), "driver": driver, "shape": image.shape,
    "blank": bool(image.min() == image.max()), "fps": int(sys.argv[2]) / seconds,
}))
"""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Args:
        name: What was checked.
        ok: False if something needed is missing.
        found: What there is, in a few words.
        advice: What to do, or an empty string.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Check that Python is new enough."""
    found = f"{'.'.join(map(str, version))} at {sys.executable}"
    needed = ".".join(map(str, PYTHON))
    if version[:2] < PYTHON:
        return Check("Python", False, found, f"Use Python {needed} or newer.")
    return Check("Python", True, found)


def check_rendering(
    env_id: str = "DrlLatent/Reach-v0", frames: int = 200, timeout: float = 120.0
) -> Check:
    """Check that an environment renders, in a process of its own, and how fast.

    Args:
        env_id: A registered environment with image observations.
        frames: Number of environment steps to time.
        timeout: Seconds to wait before the attempt counts as failed.
    """
    name = "Rendering"
    try:
        result = subprocess.run(
            [sys.executable, "-c", RENDER, env_id, str(frames)],
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return Check(name, False, f"no answer in {timeout:g} s", INSTALL_GL)
    lines = result.stderr.strip().splitlines()
    if result.returncode < 0:
        try:
            reason = signal.Signals(-result.returncode).name
        except ValueError:
            reason = f"signal {-result.returncode}"
        return Check(name, False, f"crashed with {reason}", INSTALL_GL)
    if result.returncode > 0:
        last = lines[-1] if lines else f"failed with exit code {result.returncode}"
        if last.startswith("ModuleNotFoundError"):
            return Check(name, False, last, REINSTALL)
        about_gl = any(word in last.lower() for word in ("opengl", "egl", "mesa", "glad", "glfw"))
        return Check(name, False, last, INSTALL_GL if about_gl else "See the message.")
    report = json.loads(result.stdout.splitlines()[-1])
    size = "x".join(map(str, report["shape"]))
    how = f"{report['backend']} on {report['driver']}" if report["driver"] else report["backend"]
    if report["blank"]:
        return Check(name, False, f"{how}: every pixel has the same colour", INSTALL_GL)
    return Check(name, True, f"{how}: {report['fps']:,.0f} steps/s with a {size} image each")


def check_torch() -> Check:
    """Check that torch can be imported, and which device it will use."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", False, str(error).splitlines()[0], REINSTALL)
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        device = f"CUDA: {', '.join(names)}"
    elif torch.backends.mps.is_available():
        device = "Apple GPU (MPS)"
    else:
        device = f"no GPU, {torch.get_num_threads()} of {os.cpu_count()} CPU threads"
    return Check("torch", True, f"{torch.__version__}; {device}")


def pinned_versions(constraints: Path | None = None) -> dict[str, str]:
    """Return name to version of the set that is tested together; empty outside a checkout."""
    path = constraints or Path(__file__).resolve().parents[2] / "constraints.txt"
    if not path.is_file():
        return {}
    pins = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return {
        name.lower().replace("_", "-"): version
        for name, _, version in (pin.partition("==") for pin in pins if "==" in pin)
    }


def check_package(requirement: Requirement, tested: str = "") -> Check:
    """Check one installed package.

    Args:
        requirement: What `drl_latent` asks for.
        tested: The version that is tested, if known; another one is allowed but mentioned.
    """
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(requirement.name, False, "not installed", REINSTALL)
    if not requirement.specifier.contains(version, prereleases=True):
        advice = f"{requirement.specifier} is needed. {REINSTALL}"
        return Check(requirement.name, False, version, advice)
    if tested and Version(version).public != tested:
        return Check(requirement.name, True, version, f"Tested with {tested}.")
    return Check(requirement.name, True, version)


def check_packages(requirements: Iterable[str], tested: dict[str, str]) -> list[Check]:
    """Check all required packages.

    Args:
        requirements: Requirement strings; those that do not apply here (extras) are skipped.
        tested: Name to version of the set that is tested together.

    Returns:
        A check for each key package and each one that is missing, too old or untested, and one
        that sums up the rest.
    """
    parsed = [Requirement(text) for text in requirements]
    applying = [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
    checks = [check_package(r, tested.get(r.name.lower().replace("_", "-"), "")) for r in applying]
    shown = [c for c in checks if not c.ok or c.advice or c.name in KEY_PACKAGES]
    rest = len(checks) - len(shown)
    if rest:
        as_tested = "as tested" if tested else "as required"
        shown.append(Check("Other packages", True, f"{rest} installed, {as_tested}"))
    return shown


def check_installed() -> list[Check]:
    """Check `drl_latent` itself and the packages that its metadata requires."""
    try:
        version = metadata.version("drl-latent")
        requirements = metadata.requires("drl-latent") or []
    except metadata.PackageNotFoundError:
        return [Check("drl-latent", False, "imported, but not installed", REINSTALL)]
    own = Check("drl-latent", True, f"{version} at {Path(__file__).resolve().parents[1]}")
    return [own, *check_packages(requirements, pinned_versions())]


def available_memory() -> float | None:
    """Return the memory that can be used now, GiB; None where the system does not say."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no limit
    return free / GIB


def check_memory(free: float | None = None) -> Check:
    """Check that there is memory enough for the quickstart.

    Args:
        free: Free memory in GiB; asks the system if not given.
    """
    free = available_memory() if free is None else free
    if free is None:
        return Check("Memory", True, "not known on this system")
    found = f"{free:.1f} GiB free"
    if free < MEMORY_GIB:
        return Check("Memory", False, found, f"Close programs: {MEMORY_GIB:g} GiB are needed.")
    return Check("Memory", True, found)


def check_disk(folder: Path, free: float | None = None) -> Check:
    """Check that there is room for data and runs.

    Args:
        folder: Where runs are written.
        free: Free space in GiB; asks the system if not given.
    """
    free = shutil.disk_usage(folder).free / GIB if free is None else free
    found = f"{free:.1f} GiB free in {folder}"
    if free < DISK_GIB:
        return Check("Disk", False, found, f"Make room: {DISK_GIB:g} GiB are needed.")
    return Check("Disk", True, found)


def print_checks(checks: Iterable[Check], console: Console) -> None:
    """Print the checks as a table: what was checked, what there is, what to do."""
    table = Table(title=f"drl-latent doctor: {platform.system()} {platform.machine()}")
    table.add_column("check", no_wrap=True)
    table.add_column("result", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for check in checks:
        mark = Text("ok ", style="green") if check.ok else Text("missing ", style="bold red")
        # Text, not str: what is found may hold square brackets, which rich reads as markup.
        table.add_row(check.name, mark + Text(check.found), Text(check.advice))
    console.print(table)


@dataclass(frozen=True)
class Doctor:
    """Check that this machine has what is needed: Python, rendering, torch, versions, room."""

    env: str = "DrlLatent/Reach-v0"
    """Id of the environment to render."""
    frames: int = 200
    """Number of frames to time."""
    timeout: float = 120.0
    """Seconds after which rendering counts as failed."""

    def run(self) -> int:
        """Print what was found; return 0 if all is well and 1 if something needed is missing."""
        console = Console()
        with console.status("Rendering some frames and looking at what is installed"):
            checks = [
                check_python(),
                check_rendering(self.env, self.frames, self.timeout),
                check_torch(),
                *check_installed(),
                check_memory(),
                check_disk(Path.cwd()),
            ]
        print_checks(checks, console)
        missing = [check.name for check in checks if not check.ok]
        if missing:
            console.print(f"Something needed is missing: {', '.join(missing)}.", style="bold red")
            return 1
        console.print("All is well.", style="green")
        return 0
