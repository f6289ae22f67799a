"""The same deployment for those who run Ansible: an inventory, and a playbook that copies the artifact and calls the board's own deploy."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import yaml

from edgekit.core.schema import Artifact
from edgekit.deploy.board.layout import ROOT
from edgekit.deploy.nouns import Health, Release
from edgekit.deploy.push import proposal_of

GROUP = "edgekit_boards"


def playbook(
    artifact: Artifact, *, app: str, hosts: tuple[str, ...] = (), arguments: tuple[str, ...] = (), port: int = 8080
) -> dict[str, str]:
    """File names and their text. The playbook is run where the artifact is; boards need what `edgekit deploy` needs of them."""
    health = Health(url=f"http://127.0.0.1:{port}/health")
    options = ("--port", str(port), *arguments)
    proposal = proposal_of(artifact, Release(app=app, artifact=artifact.sha256, arguments=options, health=health))
    order = json.dumps(msgspec.to_builtins(proposal), ensure_ascii=False, sort_keys=True, indent=2)
    files = [{"sha256": part.sha256, "path": str((artifact.path / part.name).resolve())} for part in proposal.parts]
    return {
        "inventory.yaml": _yaml(_inventory(hosts)),
        "deploy.yaml": _yaml(_play(files)),
        "order.json": f"{order}\n",
    }


def _inventory(hosts: tuple[str, ...]) -> dict[str, Any]:
    """`USER@HOST` is a host and its user."""
    found: dict[str, Any] = {}
    for each in hosts or ("board.example",):
        user, _, host = each.rpartition("@")
        found[host] = {"ansible_user": user} if user else {}
    return {GROUP: {"hosts": found, "vars": {"edgekit_root": str(ROOT)}}}


def _play(files: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Copied by hash into the board's blobs, which is where `deploy` looks; it proves, switches, and goes back by itself."""
    python = "{{ edgekit_root }}/venv/bin/python -m edgekit.deploy.board"
    copied = "{{ edgekit_root }}/blobs/{{ item.sha256 }}"
    copy = {"src": "{{ item.path }}", "dest": copied, "mode": "0644"}
    # The space before it keeps Ansible from reading the order as a dictionary, and handing on what Python prints of one.
    deploy = {"cmd": f"{python} deploy --root {{{{ edgekit_root }}}}", "stdin": " {{ lookup('file', 'order.json') }}"}
    answered = "(edgekit_answer.stdout | from_json)"
    return [
        {
            "name": "edgekit: a release on every board, a tenth at a time",
            "hosts": GROUP,
            "become": True,
            "gather_facts": False,
            "serial": ["1", "10%", "100%"],
            "max_fail_percentage": 2,
            "tasks": [
                {
                    "name": "There is a place for files",
                    "ansible.builtin.file": {"path": "{{ edgekit_root }}/blobs", "state": "directory", "mode": "0755"},
                },
                {"name": "Files that are not there are copied", "ansible.builtin.copy": copy, "loop": files},
                {
                    "name": "The board proves the release, switches, and goes back where it does not work",
                    "ansible.builtin.command": deploy,
                    "register": "edgekit_answer",
                    "changed_when": f"'already' not in {answered}.message | default('')",
                    "failed_when": f"edgekit_answer.rc != 0 or not {answered}.ok | default(false)",
                },
            ],
        }
    ]


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
