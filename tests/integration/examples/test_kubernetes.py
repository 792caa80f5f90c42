"""examples/kubernetes: the manifest, and the commands in it between a client and a fake enclave."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from support.clock import PATIENT
from support.enclave_server import MISBEHAVIOURS, document, fake_enclave
from support.paths import EXAMPLES

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed")

TEXT = (EXAMPLES / "kubernetes" / "sidecar.yaml").read_text()
CONFIG, DEPLOYMENT = yaml.safe_load_all(TEXT)
POLICY = CONFIG["data"]["policy.json"]
PCRS = {
    int(name.removeprefix("PCR")): bytes.fromhex(value)
    for name, value in json.loads(POLICY)["measurements"][0]["pcrs"].items()
}
POD = DEPLOYMENT["spec"]["template"]["spec"]
(SIDECAR,) = POD["initContainers"]
CONTAINERS = [SIDECAR, *POD["containers"]]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def sidecar(target):
    """Runs the sidecar's command with other addresses; yields the port on which it listens."""
    port = free_port()
    changed = {
        "--listen=127.0.0.1:8443": f"--listen=127.0.0.1:{port}",
        "--to=enclave.internal:443": f"--to=127.0.0.1:{target}",
    }
    program, *arguments = SIDECAR["command"]
    assert program == "nitro-attest"
    assert set(changed) <= set(arguments)
    command = [changed.get(argument, argument) for argument in arguments]
    with subprocess.Popen([sys.executable, "-m", "nitro_attest", *command]) as process:
        try:
            wait_for(port, process)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENT)


def wait_for(port, process):
    while True:
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            continue
        return


@pytest.fixture
def probe(tool, fake, tmp_path):
    """Runs the command of a probe through a sidecar on this port."""
    (tmp_path / "root.pem").write_bytes(fake.root_pem)
    (tmp_path / "policy.json").write_text(POLICY)
    changed = {
        "--policy=/etc/nitro-attest/policy.json": f"--policy={tmp_path / 'policy.json'}",
    }

    def run(port, name="readinessProbe"):
        program, *arguments = SIDECAR[name]["exec"]["command"]
        url = "https://127.0.0.1:8443"
        assert program == "nitro-attest"
        assert {url, *changed} <= set(arguments)
        changed[url] = f"https://127.0.0.1:{port}"
        command = [changed.get(argument, argument) for argument in arguments]
        return tool(*command, "--root", tmp_path / "root.pem")

    return run


def test_the_probes_succeed_for_the_expected_image(fake, probe):
    with (
        fake_enclave(fake, answer=document(pcrs=PCRS)) as enclave,
        sidecar(enclave.port) as port,
    ):
        for name in ("startupProbe", "readinessProbe"):
            code, out, err = probe(port, name)
            assert (code, err) == (0, "")
            assert out.startswith("VERIFIED (measurements match ")
        assert enclave.attestations == 2


@pytest.mark.parametrize("index", PCRS)
def test_the_probe_fails_for_another_image(fake, probe, index):
    answer = document(pcrs=PCRS | {index: b"\1" * 48})
    with fake_enclave(fake, answer=answer) as enclave, sidecar(enclave.port) as port:
        code, out, err = probe(port)
    assert (code, out) == (6, "")
    assert "policy.pcr_mismatch" in err


@pytest.mark.parametrize("name", ["relay", "debug", "other_root", "replayed", "forged"])
def test_the_probe_fails_for_what_is_not_the_enclave(fake, probe, name):
    code, arguments = MISBEHAVIOURS[name]
    if name == "relay":
        arguments = arguments | {"answer": document(pcrs=PCRS)}
    with fake_enclave(fake, **arguments) as enclave, sidecar(enclave.port) as port:
        exit_code, out, err = probe(port)
    assert exit_code not in (0, 2)
    assert out == ""
    assert code in err


def test_the_probe_fails_without_an_enclave(probe):
    with sidecar(free_port()) as port:
        assert probe(port)[0] == 7


def test_the_policy_is_what_the_command_writes(tool, tmp_path):
    assert tool("demo", tmp_path / "desk")[0] == 0
    out = tool("policy", "make", "--eif", tmp_path / "desk" / "app.eif")[1]
    assert out == POLICY
    assert PCRS.keys() >= {0, 1, 2}
    assert CONFIG["immutable"] is True


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container["name"])
def test_no_container_has_root_or_a_privilege(container):
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"].endswith("@sha256:DIGEST")
    assert "memory" in container["resources"]["limits"]
    assert "ports" not in SIDECAR


def test_the_pod_has_no_token_no_root_and_no_part_of_the_host():
    assert POD["automountServiceAccountToken"] is False
    security = POD["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"] > 0) == (True, True)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(POD)
    assert [set(volume) - {"name"} for volume in POD["volumes"]] == [{"configMap"}]


def test_the_service_depends_on_the_probes():
    assert SIDECAR["restartPolicy"] == "Always"
    assert SIDECAR["readinessProbe"]["failureThreshold"] == 1
    assert SIDECAR["startupProbe"]["exec"] == SIDECAR["readinessProbe"]["exec"]


@pytest.mark.parametrize("resource", [CONFIG, DEPLOYMENT], ids=lambda item: item["kind"])
def test_the_manifest_meets_the_schema_of_kubernetes(resource):
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    validate.validate(resource, "1.29", strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate(resource | {"unknown": 1}, "1.29", strict=True)
