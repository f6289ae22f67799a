"""The same artifact for k3s or Kubernetes: a DaemonSet that runs on nodes of the board's profile. The image is built elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from edgekit.core.errors import InputError
from edgekit.core.profiles import find
from edgekit.core.schema import Artifact, Device

DOMAIN = "edgekit.dev"
NAMESPACE = "edgekit"
_ARCHITECTURES = {"armv8": "arm64", "armv9": "arm64", "x86": "amd64"}


def manifests(artifact: Artifact, *, app: str, image: str, arguments: tuple[str, ...] = (), port: int = 8080) -> dict[str, str]:
    """File names and their YAML. The image has edgekit as its `edgekit` command, and the artifact in /artifact."""
    device = find(artifact.manifest.target.device)
    name = label(f"edgekit-{app}")
    documents = {
        "namespace.yaml": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        "daemonset.yaml": _daemon_set(artifact, device, name, app, image, arguments, port),
        "service.yaml": _service(name, port),
    }
    files = {file: yaml.safe_dump(document, sort_keys=False) for file, document in documents.items()}
    lines = "".join(f"kubectl label node NODE {key}={value}\n" for key, value in node_labels(device).items())
    return {**files, "label-nodes.txt": f"# once for every node that is a {device.title}:\n{lines}"}


def node_labels(device: Device) -> dict[str, str]:
    """What a node of this profile is labelled with."""
    return {f"{DOMAIN}/profile": label(device.name), f"{DOMAIN}/family": label(device.family)}


def label(text: str) -> str:
    """`text` as Kubernetes takes it in names and labels: lower case letters, digits and dashes, at most 63. Raises `InputError`."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    if not made:
        raise InputError(f"nothing of {text!r} can be a name in Kubernetes")
    return made


def _daemon_set(
    artifact: Artifact, device: Device, name: str, app: str, image: str, arguments: tuple[str, ...], port: int
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "edgekit"}
    selector = {**node_labels(device), **_architecture(device)}
    pod = {
        "nodeSelector": selector,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(name, app, image, arguments, port)],
        "volumes": [{"name": "state", "emptyDir": {}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels,
            "annotations": {f"{DOMAIN}/artifact": artifact.manifest.name, f"{DOMAIN}/artifact-sha256": artifact.sha256},
        },
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _container(name: str, app: str, image: str, arguments: tuple[str, ...], port: int) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/health", "port": "http"}}
    command = ["run", app, "--artifact", "/artifact", "--host", "0.0.0.0", "--port", str(port), *arguments]
    return {
        "name": name,
        "image": image,
        "command": ["edgekit"],
        "args": command,
        "env": [{"name": "HOME", "value": "/state"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],
        "ports": [{"name": "http", "containerPort": port}],
        "startupProbe": {**probe, "periodSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {**probe, "periodSeconds": 20},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "state", "mountPath": "/state"}],
    }


def _service(name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app.kubernetes.io/name": name}, "ports": [{"name": "http", "port": port, "targetPort": "http"}]},
    }


def _architecture(device: Device) -> Mapping[str, str]:
    """The node's architecture where the profile's instruction set says it; the host's own profile says none."""
    found = next((name for sign, name in _ARCHITECTURES.items() if device.isa.lower().startswith(sign)), "")
    return {"kubernetes.io/arch": found} if found else {}
