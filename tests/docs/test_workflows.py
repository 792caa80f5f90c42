"""The workflows of .github run steps of .ci/run, with the least permissions and pinned actions."""

import re
import subprocess

import pytest

from support.paths import ROOT

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason=".github is not part of an sdist")

INSTALLATIONS = (
    r"python -m pip install (build|cibuildwheel)==\d+\.\d+\.\d+",
    r"python -m build --sdist",
    r"python -m cibuildwheel --output-dir dist",
)
"""Commands beside .ci/run: they make what is published on systems where .ci/run does not work."""

STEP = r'(?:sudo env "PATH=\$PATH" (?:"FUZZ_SECONDS=\$FUZZ_SECONDS" )?)?\.ci/run (\S+)'
LISTING = '.ci/run --matrix >>"$GITHUB_OUTPUT"'

MAY_WRITE = {
    ("codeql.yml", "analyze"): {"security-events"},
    ("release.yml", "publish"): {"id-token"},
    ("scorecard.yml", "analysis"): {"id-token", "security-events"},
}
"""The permissions to write, by workflow and job."""


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request):
    return request.param


def jobs(path):
    return yaml.safe_load(path.read_text())["jobs"]


def steps(path):
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def ci_run(*arguments):
    command = ("bash", ROOT / ".ci/run", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_command_is_a_step_of_ci_run_or_a_listed_installation(workflow):
    known = {line.split()[0] for line in ci_run("--list").splitlines()} | {'"$STEP"'}
    for command in filter(None, (step.get("run") for step in steps(workflow))):
        if not any(re.fullmatch(pattern, command) for pattern in INSTALLATIONS):
            named = re.fullmatch(STEP, command)
            assert command == LISTING or (named and named[1] in known), command


def test_the_tests_run_every_step():
    (step,) = [
        job for job in jobs(ROOT / ".github/workflows/tests.yml").values() if "strategy" in job
    ]
    assert step["strategy"]["matrix"] == {"step": "${{ fromJSON(needs.list.outputs.steps) }}"}
    name, value = ci_run("--matrix").strip().split("=")
    assert name == "steps"
    assert yaml.safe_load(value) == [line.split()[0] for line in ci_run("--list").splitlines()]


def test_no_permission_is_granted_that_a_job_does_not_need(workflow):
    assert yaml.safe_load(workflow.read_text())["permissions"] == {}
    for name, job in jobs(workflow).items():
        granted = {key for key, value in job["permissions"].items() if value == "write"}
        assert granted == MAY_WRITE.get((workflow.name, name), set()), name


def test_every_action_is_pinned_by_commit_with_its_version(workflow):
    for action in re.findall(r"uses: (\S.*)", workflow.read_text()):
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_no_checkout_keeps_credentials(workflow):
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_every_job_has_a_time_limit(workflow):
    for name, job in jobs(workflow).items():
        assert "timeout-minutes" in job or job["uses"].startswith("./"), name
