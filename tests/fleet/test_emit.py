"""What is written for Kubernetes and for Ansible is what those two take."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml
from boards import MakeNamed, Place

from edgekit.cli import main
from edgekit.core.errors import InputError
from edgekit.core.profiles import find
from edgekit.deploy.board.condition import status
from edgekit.deploy.nouns import Proposal
from edgekit.fleet.emit.kubernetes import label, node_labels

NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
PROBE = {
    "type": "object",
    "required": ["httpGet"],
    "properties": {
        "httpGet": {"type": "object", "required": ["path", "port"], "additionalProperties": False,
                    "properties": {"path": {"pattern": "^/"}, "port": {"type": ["string", "integer"]}}},
        "periodSeconds": {"type": "integer"}, "failureThreshold": {"type": "integer"},
    },
    "additionalProperties": False,
}  # fmt: skip
CONTAINER = {
    "type": "object",
    "required": ["name", "image"],
    "additionalProperties": False,
    "properties": {
        "name": {"pattern": NAME}, "image": {"type": "string", "minLength": 1},
        "command": {"type": "array", "items": {"type": "string"}}, "args": {"type": "array", "items": {"type": "string"}},
        "env": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"value": {"type": "string"}}}},
        "ports": {"type": "array", "items": {"required": ["containerPort"],
                  "properties": {"name": {"pattern": "^[a-z0-9-]{1,15}$"}, "containerPort": {"minimum": 1, "maximum": 65535}}}},
        "startupProbe": PROBE, "livenessProbe": PROBE, "readinessProbe": PROBE,
        "securityContext": {"type": "object"},
        "volumeMounts": {"type": "array", "items": {"required": ["name", "mountPath"]}},
    },
}  # fmt: skip
DAEMON_SET = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "apps/v1"},
        "kind": {"const": "DaemonSet"},
        "metadata": {"type": "object", "required": ["name"], "properties": {"name": {"pattern": NAME}}},
        "spec": {
            "required": ["selector", "template"],
            "additionalProperties": False,
            "properties": {
                "selector": {"required": ["matchLabels"]},
                "updateStrategy": {"properties": {"type": {"enum": ["RollingUpdate", "OnDelete"]}}},
                "template": {
                    "required": ["metadata", "spec"],
                    "properties": {
                        "spec": {
                            "required": ["containers"],
                            "additionalProperties": False,
                            "properties": {
                                "containers": {"type": "array", "minItems": 1, "items": CONTAINER},
                                "nodeSelector": {"type": "object", "additionalProperties": {"type": "string", "pattern": NAME}},
                                "volumes": {"type": "array"},
                                "securityContext": {"type": "object"},
                                "automountServiceAccountToken": {"type": "boolean"},
                            },
                        }
                    },
                },
            },
        },
    },
}
"""What kubectl's server-side validation wants of a DaemonSet (apps/v1), as far as this one uses it."""


def emitted(kind: str, tmp_path: Path, make_artifact: MakeNamed, *more: str, app: str = "digits") -> Path:
    folder = tmp_path / kind
    artifact = make_artifact("one").path
    assert main(["fleet", "emit", kind, "--app", app, "--artifact", str(artifact), "-o", str(folder), *more, "--json"]) == 0
    return folder


def test_a_daemon_set_is_valid_and_runs_on_the_boards_own_nodes(tmp_path: Path, make_artifact: MakeNamed) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    folder = emitted("kubernetes", tmp_path, make_artifact, "--image", "registry.example/edge:1", "--app-argument=--mirror")
    documents = {path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    assert {document["kind"] for document in documents.values()} == {"Namespace", "DaemonSet", "Service"}
    made = documents["daemonset.yaml"]
    jsonschema.validate(made, DAEMON_SET)
    pod, labels = made["spec"]["template"]["spec"], made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["selector"]["matchLabels"].items() <= labels.items(), "the selector finds its own pods"
    assert documents["service.yaml"]["spec"]["selector"].items() <= labels.items()
    assert pod["nodeSelector"] == {**node_labels(find("rpi5")), "kubernetes.io/arch": "arm64"}
    for key, value in node_labels(find("rpi5")).items():
        assert f"kubectl label node NODE {key}={value}" in (folder / "label-nodes.txt").read_text()
    container = pod["containers"][0]
    assert container["args"][:4] == ["run", "digits", "--artifact", "/artifact"] and container["args"][-1] == "--mirror"
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_names_become_what_kubernetes_takes() -> None:
    assert label("Jetson Orin_NX (16GB)") == "jetson-orin-nx-16gb" and len(label("x" * 200)) == 63
    with pytest.raises(InputError, match="can be a name in Kubernetes"):
        label("…")


def test_kubernetes_needs_an_image(tmp_path: Path, make_artifact: MakeNamed, capsys: pytest.CaptureFixture[str]) -> None:
    artifact = make_artifact("one").path
    assert main(["fleet", "emit", "kubernetes", "--app", "digits", "--artifact", str(artifact), "-o", str(tmp_path / "k")]) == 2
    assert "--image" in capsys.readouterr().err and not (tmp_path / "k").exists()


def test_a_playbook_copies_files_by_their_hash_and_lets_the_board_deploy(tmp_path: Path, make_artifact: MakeNamed) -> None:
    folder = emitted("ansible", tmp_path, make_artifact, "--host", "pi@kitchen", "--host", "garden")
    inventory = yaml.safe_load((folder / "inventory.yaml").read_text())["edgekit_boards"]
    assert inventory["hosts"] == {"kitchen": {"ansible_user": "pi"}, "garden": {}}
    (play,) = yaml.safe_load((folder / "deploy.yaml").read_text())
    copied = {each["sha256"] for each in play["tasks"][1]["loop"]}
    order = msgspec.json.decode((folder / "order.json").read_bytes(), type=Proposal)
    assert copied == {part.sha256 for part in order.parts} and order.release.app == "digits"
    assert all(Path(each["path"]).is_file() for each in play["tasks"][1]["loop"])
    assert "deploy --root" in play["tasks"][2]["ansible.builtin.command"]["cmd"]
    assert json.loads((folder / "order.json").read_text())["release"]["health"]["url"] == "http://127.0.0.1:8080/health"


@pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="ansible-playbook is not on this machine")
def test_ansible_finds_nothing_wrong_with_the_playbook(tmp_path: Path, make_artifact: MakeNamed) -> None:
    folder = emitted("ansible", tmp_path, make_artifact)
    command = ["ansible-playbook", "--syntax-check", "-i", "inventory.yaml", "deploy.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("ansible-playbook") is None, reason="ansible-playbook is not on this machine")
def test_ansible_deploys_it_and_changes_nothing_the_second_time(board: Place, tmp_path: Path, make_artifact: MakeNamed) -> None:
    """The playbook is carried out on this machine, for a board that is a folder."""
    more = ("--port", str(board.port), "--host", "kitchen")
    folder = emitted("ansible", tmp_path, make_artifact, *more, app="sentinel")
    told = {"edgekit_root": str(board.layout.root), "ansible_become": False, "ansible_connection": "local"}
    command = ["ansible-playbook", "-i", "inventory.yaml", "deploy.yaml", "-e", json.dumps(told)]
    first, second = (subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False) for _ in range(2))
    assert first.returncode == 0 and "failed=0" in first.stdout, first.stdout
    assert status(board.layout).artifact_name == "one" and status(board.layout).active
    assert second.returncode == 0 and "changed=0" in second.stdout, second.stdout
