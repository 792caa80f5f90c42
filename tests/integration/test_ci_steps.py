"""`.ci/run` runs the steps it is given, and no failure inside a step is lost."""

import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

RUN = ROOT / ".ci" / "run"
pytestmark = pytest.mark.skipif(
    not RUN.exists() or shutil.which("flock") is None,
    reason=".ci/run is not part of an sdist, and needs flock",
)


def run(*arguments, script=RUN, **environment):
    return subprocess.run(
        ("bash", str(script), *arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,  # far more than any step here needs on a busy machine
    )


@pytest.fixture
def script_with(tmp_path):
    """A copy of the script in which these functions have other bodies and nothing is installed."""

    def copy(**bodies):
        bodies["install_packages"] = ":"
        functions = "".join(f"{name}() {{\n{body}\n}}\n" for name, body in bodies.items())
        script = tmp_path / ".ci" / "run"
        script.parent.mkdir()
        script.write_text(RUN.read_text().replace("\nmain() {", f"\n{functions}\nmain() {{"))
        script.chmod(0o755)
        return script

    return copy


def test_every_step_is_listed_with_a_line_and_is_in_one_lane():
    listed = [line.split(maxsplit=1) for line in run("--list").stdout.splitlines()]
    lanes = re.search(r"^stages=\(\n(.*?)^\)$", RUN.read_text(), re.M | re.S)[1]
    planned = " ".join(re.findall(r'"(.*)"', lanes)).replace("|", " ").split()
    assert planned == [name for name, _ in listed]
    assert {"lint", "proofs", "readme", "coverage", "guests"} <= set(planned)


def test_an_unknown_step_is_an_error_before_anything_runs():
    result = run("lint", "profs")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("unknown step: profs; the steps are: lint forge ")


def test_only_the_steps_that_are_named_run_and_their_tests_are_counted(script_with):
    script = script_with(
        step_lint="echo formatted",
        step_readme="echo '===== 7 passed, 1 skipped in 0.10s ====='",
        step_guests="echo '35 passed in 61.00s (0:01:01)'",
        step_coverage="false",
    )
    result = run("guests", "lint", "readme", script=script)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\n== lint\nformatted\n-- lint passed in " in result.stdout
    assert result.stdout.endswith(
        "\nsteps: 3 passed, 0 failed\ntests: 42 passed, 0 failed\n== all passed\n"
    )


@pytest.mark.parametrize(
    "failing",
    ["false", "broken() { false; }\nbroken", "false | cat", "x=$(false; echo x)", "echo $unset"],
)
def test_a_failure_inside_a_step_ends_the_run_and_the_other_lane(script_with, failing):
    script = script_with(
        step_lint=f"echo before\n{failing}\necho after",
        step_readme="sleep 100000",
        step_guests="echo not reached",
    )
    result = run("lint", "readme", "guests", script=script)
    assert result.returncode == 1
    assert "\n== lint\nbefore\n" in result.stdout
    assert "\nsteps: 0 passed, 1 failed\n" in result.stdout
    assert not re.search("after|not reached|all passed", result.stdout)


@pytest.mark.parametrize(
    ("name", "content", "result"), [("x", "1", 0), ("x", "2", 1), ("y", "1", 1)]
)
def test_distributions_with_other_names_or_bytes_fail(script_with, name, content, result):
    script = script_with(
        step_lint=f"""mkdir "$CI_WORK/one" "$CI_WORK/two"
        echo 1 >"$CI_WORK/one/x"
        echo {content} >"$CI_WORK/two/{name}"
        same_files "$CI_WORK/one" "$CI_WORK/two" """
    )
    assert run("lint", script=script).returncode == result


def test_a_preparation_runs_once_for_all_steps(script_with):
    script = script_with(
        distributions="echo built",
        step_lint="prepare distributions",
        step_readme="prepare distributions",
    )
    assert run("lint", "readme", script=script).stdout.count("\nbuilt\n") == 1


@pytest.mark.parametrize(
    ("steps", "recorded", "calls"),
    [
        ("all", True, ["--recorded"]),
        ("all", False, ["--recorded", "", "--broken"]),
        ("proofs", True, ["", "--broken"]),
        ("lint proofs", True, ["", "--broken"]),
    ],
)
def test_recorded_proofs_are_left_out_of_a_run_of_all_steps_only(tmp_path, steps, recorded, calls):
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\necho "$@"\n[ "$2" != --recorded ] || {str(recorded).lower()}\n')
    python.chmod(0o755)
    result = run("--step", "proofs", CI_STEPS=steps, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [f"proofs/prove.py {call}".strip() for call in calls]
