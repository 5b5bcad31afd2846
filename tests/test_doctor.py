from __future__ import annotations

import io
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from rich.console import Console

from drl_latent.cli import doctor
from drl_latent.cli.doctor import Check


def test_python_too_old_is_said():
    assert doctor.check_python().ok
    old = doctor.check_python((3, 9, 1))
    assert not old.ok
    assert "3.11" in old.advice


def test_rendering_says_backend_and_speed():
    check = doctor.check_rendering(frames=5)
    assert check.ok, check
    assert "steps/s" in check.found
    assert "64x64x3" in check.found


def test_rendering_an_unknown_environment_gives_the_error():
    check = doctor.check_rendering("DrlLatent/Raech-v0", frames=1)
    assert not check.ok
    assert "Raech" in check.found


@pytest.mark.parametrize(
    ("code", "found", "advice"),
    [
        ("import os; os.abort()", "SIGABRT", "libegl1"),
        ("import time; time.sleep(60)", "no answer in 0.5 s", "libegl1"),
        ("raise RuntimeError('No OpenGL context')", "No OpenGL context", "libegl1"),
        ("import sys; sys.exit(3)", "exit code 3", "message"),
        ("import no_such_module", "no_such_module", "make setup"),
        (
            'print(\'{"backend": "egl", "driver": "", "shape": [8, 8, 3], '
            '"blank": true, "fps": 1}\')',
            "same colour",
            "libegl1",
        ),
    ],
)
def test_a_renderer_that_fails_is_survived(monkeypatch, code, found, advice):
    monkeypatch.setattr(doctor, "RENDER", code)
    timeout = 0.5 if "sleep" in code else 60
    check = doctor.check_rendering(timeout=timeout)
    assert not check.ok
    assert found in check.found
    assert advice in check.advice


def test_torch_names_its_device():
    check = doctor.check_torch()
    assert check.ok
    assert any(word in check.found for word in ("CPU threads", "CUDA", "MPS"))


def test_package_versions():
    check = doctor.check_package
    assert check(Requirement("numpy>=2")).ok
    too_old = check(Requirement("numpy>=99"))
    assert not too_old.ok
    assert ">=99" in too_old.advice
    assert check(Requirement("no-such-package-here>=1")).found == "not installed"
    untested = check(Requirement("numpy>=1"), tested="1.0")
    assert untested.ok
    assert "Tested with 1.0" in untested.advice


def test_only_what_matters_is_listed():
    checks = doctor.check_packages(
        ["numpy>=2", "rich>=1", "scipy>=99", "no-such-package-here; extra == 'all'"], {}
    )
    assert [c.name for c in checks] == ["numpy", "scipy", "Other packages"]
    assert [c.ok for c in checks] == [True, False, True]


def test_pinned_versions_are_read_from_the_constraints(tmp_path):
    file = tmp_path / "constraints.txt"
    file.write_text("# why\nHuggingFace_Hub==1.0  # note\n\ntorch==2.13.0\n")
    assert doctor.pinned_versions(file) == {"huggingface-hub": "1.0", "torch": "2.13.0"}
    assert doctor.pinned_versions(tmp_path / "none.txt") == {}
    assert "mujoco" in doctor.pinned_versions()


def test_memory_and_disk():
    assert doctor.check_memory(64.0).ok
    assert not doctor.check_memory(0.1).ok
    assert doctor.check_memory().found
    assert doctor.check_disk(Path.cwd(), free=50.0).ok
    assert not doctor.check_disk(Path.cwd(), free=0.1).ok


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_exit_code_and_table(monkeypatch, capsys, ok, code):
    found = Check("Rendering", ok, "no [device] found", "" if ok else "Install it.")
    monkeypatch.setattr(doctor, "check_rendering", lambda *_: found)
    monkeypatch.setattr(doctor, "check_installed", list)
    monkeypatch.setattr(doctor, "check_memory", lambda: Check("Memory", True, "8 GiB"))
    monkeypatch.setattr(doctor, "check_disk", lambda _: Check("Disk", True, "8 GiB"))
    assert doctor.Doctor().run() == code
    assert ("Something needed is missing: Rendering" in capsys.readouterr().out) is not ok


def test_brackets_are_not_read_as_markup():
    out = io.StringIO()
    doctor.print_checks([Check("a", False, "[/red] odd", "b")], Console(file=out, width=120))
    assert "[/red] odd" in out.getvalue()
