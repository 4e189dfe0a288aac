"""The examples for clusters are well formed, and name what there is."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from neuron_atlas.executors import executor, ray_environment

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
SLURM = EXAMPLES / "ray-slurm.sh"
KUBERNETES, SKYPILOT = EXAMPLES / "ray-kubernetes.yaml", EXAMPLES / "ray-skypilot.yaml"
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
RAY = """\
#!/bin/bash
echo "ray $*" >> calls
[ "$1" = status ] && { grep -q "ray start --head" calls; exit; }
exec sleep 300
"""
DVC = """\
#!/bin/bash
given="$NEURON_ATLAS_EXECUTOR $RAY_ADDRESS $NEURON_ATLAS_RAY_WORKERS $OMP_NUM_THREADS"
echo "dvc $* $given" >> calls
[ "$1" != pull ] # there is nothing to pull yet
"""


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path)


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


def test_the_slurm_script_starts_ray_on_all_nodes_and_runs_the_pipeline(tmp_path: Path) -> None:
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    scontrol = '#!/bin/bash\necho "scontrol $*" >> calls\nprintf "a\\nb\\nc\\n"\n'
    given = {"srun": SRUN, "scontrol": scontrol, "ray": RAY, "dvc": DVC}
    for name, content in given.items():
        (programs / name).write_text(content)
        (programs / name).chmod(0o755)
    variables = {"SUBMIT_DIR": tmp_path, "CPUS_PER_TASK": 4, "JOB_NODELIST": "[a-c]"}
    variables |= {"JOB_ID": 20007, "JOB_NUM_NODES": 3}
    environment = {f"SLURM_{name}": str(value) for name, value in variables.items()}
    environment["PATH"] = f"{programs}:/usr/bin:/bin"
    with subprocess.Popen(
        [SLURM], env=environment, cwd=tmp_path, start_new_session=True
    ) as process:
        try:
            assert process.wait(60) == 0
        finally:  # as SLURM does, end what runs in the background with the job
            os.killpg(process.pid, signal.SIGKILL)
    calls = (tmp_path / "calls").read_text().splitlines()
    head = next(i for i, call in enumerate(calls) if call.startswith("ray start --head"))
    assert "--node-ip-address=a --port=20007 --num-cpus=4" in calls[head]
    assert "scontrol show hostnames [a-c]" in calls[:head]
    assert "srun --nodes=1 --ntasks=1 --overlap --nodelist=a" in " ".join(calls[:head])
    assert any("--nodes=2 --ntasks=2 --overlap --exclude=a" in call for call in calls)
    assert "ray start --address=a:20007 --num-cpus=4 --block" in calls
    ran = [call for call in calls if call.startswith("dvc")]
    said = "ray a:20007 3 4"
    assert ran == [f"dvc {w} {said}" for w in ("pull --run-cache", "repro", "push --run-cache")]


def test_the_kubernetes_manifest_is_of_one_version_and_one_number_of_cpus() -> None:
    manifest = read(KUBERNETES)
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
    assert f"WORKDIR {folder}" in (EXAMPLES / "ray.Dockerfile").read_text()


def test_the_skypilot_task_is_well_formed() -> None:
    task = read(SKYPILOT)
    for step in ("setup", "run"):
        subprocess.run(["bash", "-n"], input=task[step], text=True, check=True)
    assert task["resources"]["cpus"] == f"{task['envs']['OMP_NUM_THREADS']}+"


def test_the_page_names_every_variable_and_every_example() -> None:
    page = (ROOT / "docs" / "howto" / "cluster.md").read_text()
    assert set(re.findall(r"NEURON_ATLAS_[A-Z_]+", page)) == set(
        re.findall(r"NEURON_ATLAS_[A-Z_]+", CODE)
    )
    assert all(f"docs/examples/{file.name}" in page for file in EXAMPLES.glob("ray*"))
