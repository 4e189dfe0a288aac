"""The examples for clusters are well formed, and name what there is."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from neuron_atlas.executors import executor, ray_environment

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
SLURM = EXAMPLES / "ray-slurm.sh"
KUBERNETES, SKYPILOT = EXAMPLES / "ray-kubernetes.yaml", EXAMPLES / "ray-skypilot.yaml"
IMAGE = EXAMPLES / "ray.Dockerfile"
CODE = "".join(file.read_text() for file in Path(executor.__file__).parent.glob("*.py"))
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line
)
SRUN = """\
#!/bin/bash
# Runs the command here, whatever nodes it is for.
echo "srun $*" >> calls
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """\
#!/bin/bash
echo "scontrol $*" >> calls
printf "a\\nb\\nc\\n"
"""
RAY = """\
#!/bin/bash
echo "ray $*" >> calls
[ "$1" = get-auth-token ] && exit
[ -n "$RAY_FAILS" ] && exit 1
echo "in $RAY_TMPDIR as $RAY_AUTH_MODE $RAY_AUTH_TOKEN" >> calls
[ "$1" = status ] && { grep -q "ray start --head" calls; exit; }
exec sleep 300
"""
DVC = """\
#!/bin/bash
given="$RAY_AUTH_MODE $NEURON_ATLAS_EXECUTOR $RAY_ADDRESS $NEURON_ATLAS_RAY_WORKERS"
echo "dvc $* $given $OMP_NUM_THREADS" >> calls
[ "$1" != pull ] # there is nothing to pull yet
"""


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def read_all(path: Path) -> list[Any]:
    return list(YAML(typ="safe").load_all(path))


@pytest.mark.parametrize("path", [SLURM, KUBERNETES, SKYPILOT], ids=lambda path: path.name)
def test_the_variables_are_those_that_the_code_reads(path: Path) -> None:
    text = path.read_text()
    ours = set(re.findall(r"NEURON_ATLAS_[A-Z_]+", text))
    assert executor.VARIABLE in ours
    assert all(f'"{name}"' in CODE for name in ours)
    assert f"{executor.VARIABLE}={executor.RAY}" in text or "value: ray}" in text
    assert set(ray_environment.DEFAULTS) <= set(re.findall(r"RAY_[A-Z_]+", text))


def test_the_slurm_script_is_well_formed() -> None:
    subprocess.run(["bash", "-n", SLURM], check=True)


@contextmanager
def running(folder: Path, *words: str | Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script among stand-ins for the programs that it calls, which write `calls`."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, content in {"srun": SRUN, "scontrol": SCONTROL, "ray": RAY, "dvc": DVC}.items():
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    (folder / "calls").touch()
    with (folder / "errors").open("w") as errors, subprocess.Popen(
        words, env={"PATH": f"{programs}:/usr/bin:/bin", **variables}, cwd=folder,
        stderr=errors, start_new_session=True, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:  # as SLURM does, end what runs in the background with the job
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def called(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def slurm(folder: Path) -> dict[str, str]:
    """Return the variables of a job of three nodes."""
    variables = {"SUBMIT_DIR": folder, "CPUS_PER_TASK": 4, "JOB_NODELIST": "[a-c]"}
    variables |= {"JOB_ID": 20007, "JOB_NUM_NODES": 3}
    return {f"SLURM_{name}": str(value) for name, value in variables.items()}


def test_the_slurm_script_starts_ray_on_all_nodes_and_runs_the_pipeline(tmp_path: Path) -> None:
    with running(tmp_path, SLURM, **slurm(tmp_path)) as process:
        assert process.wait(60) == 0
    calls = called(tmp_path)
    head = next(i for i, call in enumerate(calls) if call.startswith("ray start --head"))
    assert "--node-ip-address=a --port=20007 --num-cpus=4" in calls[head]
    assert "scontrol show hostnames [a-c]" in calls[:head]
    one, others = "srun --nodes=1 --ntasks=1", "srun --nodes=2 --ntasks=2"
    assert f"{one} --cpus-per-task=4 --overlap --nodelist=a" in " ".join(calls[:head])
    assert any(f"{others} --cpus-per-task=4 --overlap --exclude=a" in call for call in calls)
    assert "ray start --address=a:20007 --num-cpus=4 --block" in calls
    assert {call for call in calls if call.startswith("in ")} == {"in /tmp/ray-20007 as token "}
    ran = [call for call in calls if call.startswith("dvc")]
    assert "ray get-auth-token --generate" in calls[:head]
    said = "token ray a:20007 3 4"
    assert ran == [f"dvc {w} {said}" for w in ("pull --run-cache", "repro", "push --run-cache")]


def test_the_slurm_script_ends_if_ray_does_not_start(tmp_path: Path) -> None:
    with running(tmp_path, SLURM, **slurm(tmp_path), RAY_FAILS="1") as process:
        assert process.wait(60) == 1
    assert (tmp_path / "errors").read_text() == "error: Ray has not started on a\n"
    assert not [call for call in called(tmp_path) if call.startswith("dvc")]


def skypilot(rank: int) -> tuple[str, dict[str, str]]:
    """Return the last step of the task, and the variables of a machine of two."""
    task = read(SKYPILOT)
    nodes = {"IPS": "a\nb", "RANK": str(rank)}
    variables = {f"SKYPILOT_NODE_{name}": value for name, value in nodes.items()}
    secrets = dict.fromkeys(task["secrets"], "x")
    return task["run"], task["envs"] | secrets | variables | {"SKYPILOT_NUM_NODES": "2"}


def test_the_skypilot_task_starts_ray_and_runs_the_pipeline(tmp_path: Path) -> None:
    script, variables = skypilot(0)
    with running(tmp_path, "bash", "-c", script, **variables) as process:
        assert process.wait(60) == 0
    calls = called(tmp_path)
    start = "ray start --head --node-ip-address=a --port=6385 --num-cpus=16"
    assert any(call.startswith(start) for call in calls)
    assert {call for call in calls if call.startswith("in ")} == {"in  as token x"}
    ran = [call.split(" token")[0] for call in calls if call.startswith("dvc") and "ray" in call]
    assert ran == ["dvc pull --run-cache", "dvc repro", "dvc push --run-cache"]
    assert "dvc repro token ray a:6385 2 16" in calls


def test_the_skypilot_task_ends_if_ray_does_not_start(tmp_path: Path) -> None:
    script, variables = skypilot(0)
    with running(tmp_path, "bash", "-c", script, **variables, RAY_FAILS="1") as process:
        assert process.wait(60) == 1
    assert (tmp_path / "errors").read_text() == "error: Ray has not started on a\n"
    assert not [call for call in called(tmp_path) if "--run-cache" in call]


def test_another_machine_of_skypilot_does_not_wait_for_ever(tmp_path: Path) -> None:
    script, variables = skypilot(1)
    assert script.count(" -gt 600 ") == 2
    soon = script.replace(" -gt 600 ", " -gt 1 ")
    with running(tmp_path, "bash", "-c", soon, **variables, RAY_FAILS="1") as process:
        assert process.wait(60) == 0
    assert not [call for call in called(tmp_path) if call.startswith("ray start")]


def test_the_kubernetes_manifest_is_of_one_version_and_one_number_of_cpus() -> None:
    _, manifest = read_all(KUBERNETES)
    spec, (group,) = manifest["spec"], manifest["spec"]["workerGroupSpecs"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayCluster")
    assert spec["rayVersion"] == PINS["ray"]
    (head,) = spec["headGroupSpec"]["template"]["spec"]["containers"]
    pod = group["template"]["spec"]
    (worker,) = pod["containers"]
    own = {entry["name"]: entry["value"] for entry in head["env"]}
    theirs = {entry["name"]: entry["value"] for entry in worker["env"]}
    cpus = {own["OMP_NUM_THREADS"], theirs["OMP_NUM_THREADS"], group["rayStartParams"]["num-cpus"]}
    cpus |= {one["resources"][kind]["cpu"] for one in (head, worker) for kind in one["resources"]}
    assert len(cpus) == 1
    assert own["NEURON_ATLAS_RAY_WORKERS"] == str(group["replicas"]) == str(group["maxReplicas"])
    images = {one["image"] for one in (head, worker, *pod["initContainers"])}
    folders = {one["workingDir"] for one in (head, worker, *pod["initContainers"])}
    assert len(images) == len(folders) == 1
    (folder,) = folders
    assert [v["mountPath"] for v in worker["volumeMounts"]] == [f"{folder}/data/model"]
    assert {v["name"] for v in pod["volumes"]} == {v["name"] for v in worker["volumeMounts"]}
    assert f"WORKDIR {folder}" in IMAGE.read_text()


def test_the_kubernetes_cluster_is_closed_to_others() -> None:
    policy, manifest = read_all(KUBERNETES)
    own = {"matchLabels": {"ray.io/cluster": manifest["metadata"]["name"]}}
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    assert policy["spec"] == {
        "podSelector": own,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": own}]}],
    }
    assert manifest["spec"]["authOptions"] == {"mode": "token"}


def stays_out(path: str) -> bool:
    """Return whether Docker leaves a file out of the image: the last pattern that fits decides."""
    out = False
    folders = [path, *map(str, Path(path).parents)]
    for line in IMAGE.with_name("ray.Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        anywhere = pattern.startswith("**/")
        given = [Path(one).name for one in folders] if anywhere else folders
        depth = pattern.count("/")  # fnmatch's stars pass over slashes, Docker's do not
        if any(
            fnmatch(one, pattern.removeprefix("**/")) and (anywhere or one.count("/") == depth)
            for one in given
        ):
            out = not line.startswith("!")
    return out


def test_the_image_has_what_git_has_and_no_credentials() -> None:
    secret = [
        ".dvc/config.local",
        "aws.env",
        "docs/.env",
        ".dvc/cache/files/md5/00/1",
        ".dvc/tmp/x",
    ]
    made = [".venv/bin/python", ".work/x/1", "data/model/config.json", "plots/1.json", "report/x"]
    assert [
        path for path in (*secret, *made, "src/a/__pycache__/b.pyc") if not stays_out(path)
    ] == []
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    needed = [*names.splitlines(), ".git/HEAD", ".dvc/config", "data/raw/mine.jsonl"]
    assert [path for path in needed if stays_out(path)] == []


def test_the_image_is_refused_if_docker_did_not_read_what_stays_out(tmp_path: Path) -> None:
    (guard,) = re.findall(r"(?s)^RUN (found=.*?)\n(?=RUN)", IMAGE.read_text(), re.MULTILINE)
    assert subprocess.run(["sh", "-c", guard], cwd=tmp_path, check=False).returncode == 0
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config.local").touch()
    assert subprocess.run(["sh", "-c", guard], cwd=tmp_path, check=False).returncode == 1


def test_the_skypilot_task_is_well_formed() -> None:
    task = read(SKYPILOT)
    for step in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[step], text=True, check=True)
    assert task["resources"]["cpus"] == f"{task['envs']['OMP_NUM_THREADS']}+"


def test_the_page_names_every_variable_and_every_example() -> None:
    page = (ROOT / "docs" / "howto" / "cluster.md").read_text()
    named = set(re.findall(r"NEURON_ATLAS_[A-Z_]+", page))
    assert set(re.findall(r"NEURON_ATLAS_[A-Z_]+", CODE)) <= named
    source = "".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
    assert all(f'"{name}"' in source for name in named)
    assert all(f"docs/examples/{file.name}" in page for file in EXAMPLES.glob("ray*"))
