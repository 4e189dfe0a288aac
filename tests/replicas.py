"""A repository with two stages that end at once, in which `make replicate` has what it reads."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

LANGUAGES = ("en", "fr")
PROGRAM = """\
import json, pathlib, sys
import pandas as pd
from ruamel.yaml import YAML
params = YAML(typ="safe").load(pathlib.Path("params.yaml"))
source, seed = params["model"]["source"], params["seed"]
def recall():
    pathlib.Path("data/recall").mkdir(parents=True)
    for code in params["languages"]:
        known = source != "pypi:second" or code == "en"
        facts = [(r, f, x) for r in ("a", "b", "c") for f, x in enumerate("xyz")]
        table = pd.DataFrame(facts, columns=["relation", "fact", "object"])
        right = [known and relation != "c" for relation in table["relation"]]
        table = table.assign(objects=[[x] for x in table.pop("object")], known=right, correct=right)
        table = table.assign(rank=1, n_beginnings=0, log_probability=-1.0)
        table.to_parquet(f"data/recall/{code}.parquet")
def report():
    if source == "pypi:second" and seed == 1 and not pathlib.Path(sys.argv[2]).exists():
        sys.exit("error: made to fail; do something")
    codes = sorted(path.stem for path in pathlib.Path("data/recall").iterdir())
    found = {"verdict": "supported", "effect": -0.1 - seed, "low": -2.0, "high": -0.05, "mde": 0.04}
    pathlib.Path("metrics").mkdir(exist_ok=True)
    content = {"languages": codes, "verdicts": {"relation_neurons_exist": found}}
    pathlib.Path("metrics/summary.json").write_text(json.dumps(content))
{"recall": recall, "report": report}[sys.argv[1]]()
"""


def made(folder: Path) -> Path:
    """Make the repository; the second model's run at seed 1 fails until the file `mended` is."""
    run = f'"{sys.executable}" program.py'
    recall: dict[str, Any] = {
        "cmd": f"{run} recall",
        "deps": ["program.py"],
        "params": ["languages", "seed", "model"],
        "outs": ["data/recall"],
    }
    report = {
        "cmd": f'{run} report "{folder / "mended"}"',
        "deps": ["program.py", "data/recall"],
        "params": ["seed", "model"],
        "outs": [{"metrics/summary.json": {"cache": False}}],
    }
    model = {"source": "pypi:first", "revision": None, "sha256": "1" * 64, "dtype": "float32"}
    settings = {"languages": {code: {} for code in LANGUAGES}, "seed": 0, "model": model}
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(settings, stream)
    with (folder / "dvc.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump({"stages": {"recall": recall, "report": report}}, stream)
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    (folder / ".gitignore").write_text("/data\n/mended\n/.site\n", encoding="utf-8")
    (folder / "docs").mkdir()
    for words in ("git init -q", f"{sys.executable} -m dvc init -q", "git add -A"):
        subprocess.run(words.split(), cwd=folder, check=True)
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *who, "commit", "-q", "-m", "Start"], cwd=folder, check=True)
    return folder
