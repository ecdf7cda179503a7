"""The files of ``deploy/``: what they name is there, and what they promise holds. No container engine and no cluster runs here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from search.api.metrics import Figures, Metrics
from search.settings import PREFIX, Settings
from ui.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("Dockerfile*"))
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
SETTINGS = {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)}
TOLD = {"SENSORIUM_FOLDERS"}  # of the systemd units
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands}


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_builds_from_what_is_there_and_runs_as_nobody_special(file):
    text = file.read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    stages = [rest for word, rest in lines if word == "FROM"]
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+( AS build)?", stage) for stage in stages), "every base has a version"
    for word, rest in lines:
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
    final = lines[max(at for at, (word, _) in enumerate(lines) if word == "FROM") :]
    last = dict(final)
    assert last["USER"] == "10001:10001"
    assert "/livez" in last["HEALTHCHECK"]
    assert json.loads(last["ENTRYPOINT"]) == ["sensorium"]
    assert json.loads(last["CMD"])[0] in COMMANDS
    assert not any(word == "RUN" and "curl" in rest for word, rest in lines)
    assert "SENSORIUM_HOME=/var/lib/sensorium/home" in last["ENV"]
    assert json.loads(last["VOLUME"]) == ["/var/lib/sensorium"]


def test_the_extras_of_the_image_are_known():
    import tomllib

    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (told,) = re.findall(r"^ARG EXTRAS=(\S+)$", (DEPLOY / "Dockerfile.cuda").read_text(), re.MULTILINE)
    assert set(told.split(",")) <= set(known)


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_a_compose_file_confines_what_it_runs(file):
    told = yaml.safe_load(file.read_text())
    ours = {name: one for name, one in told["services"].items() if one["image"] == "sensorium"}
    assert ours
    for name, one in ours.items():
        assert (one["read_only"], one["cap_drop"], one["tmpfs"]) == (True, ["ALL"], ["/tmp"]), name
        assert one.get("command", ["serve"])[0] in COMMANDS
        assert (DEPLOY / one["build"]["context"] / one["build"]["dockerfile"]).exists()
        assert any(volume.endswith(":/media:ro") for volume in one["volumes"]), "media are never written"
    for one in told["services"].values():
        for volume in one.get("volumes", ()):
            name = re.sub(r"\$\{[^}]*\}", "$", volume).split(":")[0]
            assert name in told["volumes"] or name == "$" or (DEPLOY / name).exists(), volume


def test_every_variable_is_a_setting():
    for file in (file for file in DEPLOY.rglob("*") if file.is_file()):
        assert set(re.findall(r"\bSENSORIUM_\w+", file.read_text())) <= SETTINGS | TOLD, file


def test_units_of_systemd_are_well_formed(tmp_path):
    if not (tool := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    for file in (DEPLOY / "systemd").glob("*.service"):
        text = file.read_text()
        (command,) = re.findall(r"^ExecStart=/opt/sensorium/bin/sensorium (\w+)", text, re.MULTILINE)
        assert command in COMMANDS
        unit = tmp_path / file.name
        unit.write_text(text.replace("/opt/sensorium/bin/sensorium", "/bin/true"))
        done = subprocess.run([tool, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
        assert (done.returncode, [line for line in done.stderr.splitlines() if file.name in line]) == (0, [])


def test_the_configuration_of_nginx_is_one(tmp_path):
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not nginx:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    own = (DEPLOY / "nginx.conf").read_text().replace("server service:8571", "server 127.0.0.1:8571")
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{own}\n}}\n"
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "proxy_set_header Host $http_host;" in own


def test_what_runs_in_kubernetes_is_confined_and_finds_what_it_names():
    objects = [one for file in (DEPLOY / "kubernetes").glob("*.yaml") for one in yaml.safe_load_all(file.read_text())]
    claims = {one["metadata"]["name"] for one in objects if one["kind"] == "PersistentVolumeClaim"} | {"sensorium-media"}
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in objects if one["kind"] == "Deployment"]
    assert len(labels) == 2
    for one in objects:
        if one["kind"] in ("Service", "PodDisruptionBudget"):
            wanted = one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
            assert wanted in labels
        if one["kind"] != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
        assert pod["securityContext"]["runAsNonRoot"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {
            volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
        } <= claims
        for container in pod["containers"]:
            confined = container["securityContext"]
            assert confined == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            assert container.get("args", ["serve"])[0] in COMMANDS
            for probe in ("readinessProbe", "livenessProbe"):
                if probe in container:
                    assert container[probe]["httpGet"]["path"] in ("/readyz", "/livez")


def test_the_dashboard_asks_for_metrics_that_there_are():
    metrics = Metrics()
    metrics.requests.labels("GET", "/x", "200").inc()
    metrics.latency.labels("GET", "/x").observe(1)
    metrics.searched({"scan": 1.0})
    told = metrics.render(Figures({name: {"x": 1} for name in metrics.counts}, 1, True, 1, 1)).decode()
    there = {re.split(r"[{ ]", line)[0] for line in told.splitlines() if line and not line.startswith("#")}
    board = json.loads((DEPLOY / "grafana.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\bsensorium_\w+", query)}
    assert asked <= there
    families = {re.sub(r"_(total|created|bucket|sum|count)$", "", name) for name in there}
    shown = {re.sub(r"_(total|bucket)$", "", name) for name in asked}
    assert families == shown, "every metric is on the board"
    labels = {label for line in told.splitlines() for label in re.findall(r'(\w+)="', line)} | {"instance"}
    grouped = {label.strip() for query in queries for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    assert grouped <= labels
    legends = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
    }
    assert legends <= labels
