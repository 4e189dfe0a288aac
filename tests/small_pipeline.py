"""A repository with a pipeline of four quick stages, whose files have the names of the real ones.

Its results follow from params.yaml: a larger `relation_neurons.k` gives larger sets and effects.
"""

from pathlib import Path

from repository import run

STAGES = """\
stages:
  model:
    cmd: python work.py model data/model
    deps: [work.py]
    params: [model]
    outs: [data/model]
  relation_neurons:
    cmd: python work.py sets data/model data/relation_neurons
    deps: [work.py, data/model/provenance.json]
    params: [languages, relation_neurons]
    outs: [data/relation_neurons]
  cells:
    matrix:
      language: [en, fr]
    cmd: python work.py cells data/relation_neurons/${item.language} data/cells/${item.language}
    deps:
      - data/relation_neurons/${item.language}
    params: [cells]
    outs:
      - data/cells/${item.language}
  report:
    cmd: python work.py report data/cells metrics report
    deps: [work.py, data/cells, data/relation_neurons]
    params: [languages, report.title]
    outs:
      - report/index.html
      - metrics/summary.json: {cache: false}
    metrics:
      - metrics/verdicts: {cache: false}
"""
PARAMS = """\
languages:
  en: {}
  fr: {}
model:
  source: a
relation_neurons:
  k: 3
cells:
  spread: 0.05
  fail: false
report:
  title: T
  shown: 2
"""
WORK = """\
import json
import sys
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

params = YAML(typ="safe").load(Path("params.yaml").read_text())


def write(folder, name, value):
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / name).write_text(json.dumps(value))


def read(path):
    return json.loads(Path(path).read_text())


def model(out):
    write(out, "provenance.json", params["model"])


def sets(_, out):
    k = params["relation_neurons"]["k"]
    rows = [
        {"source": source, "relation": relation, "rank": n, "neuron": shift + n}
        for source in ("pooled", *params["languages"])
        for shift, relation in enumerate(("capital", "currency"))
        for n in range(k)
    ]
    write(out, "summary.json", {"n_layers": 2, "n_neurons": 10})
    for code in params["languages"]:
        write(f"{out}/{code}", "k.json", {"k": k})
    pd.DataFrame(rows).to_parquet(f"{out}/sets.parquet")


def cells(given, out):
    if params["cells"]["fail"]:
        raise SystemExit("error: it was told to fail")
    k = read(f"{given}/k.json")["k"]
    write(out, "effect.json", {"effect": -0.1 * k, "spread": params["cells"]["spread"]})


def report(given, metrics, page):
    found = read(f"{given}/en/effect.json")
    effect, spread = found["effect"], found["spread"]
    numbers = {"effect": effect, "low": effect - spread, "high": effect + spread, "mde": spread}
    verdicts = {
        "interference": {"verdict": "supported", **numbers},
        "cumulativity": {"verdict": "untestable"},
    }
    known = {code: {"n_known": 2, "n_facts": 4} for code in params["languages"]}
    write(metrics, "summary.json", {"verdicts": verdicts, "facts": {"by_language": known}})
    for name, verdict in verdicts.items():
        write(f"{metrics}/verdicts", f"{name}.json", verdict)
    write(page, "index.html", {"effect": effect, "title": params["report"]["title"]})


globals()[sys.argv[1]](*sys.argv[2:])
"""
IGNORED = "/data/\n/report/\n/.work/\n"


def made(folder: Path) -> Path:
    """Make the repository in a folder, run its pipeline, and commit the results."""
    folder.mkdir(parents=True)
    for name, content in (("dvc.yaml", STAGES), ("params.yaml", PARAMS), ("work.py", WORK)):
        (folder / name).write_text(content)
    (folder / ".gitignore").write_text(IGNORED)
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "config", "core.analytics", "false")
    commit(folder, "Start")
    run(folder, "dvc", "repro", "-q")
    commit(folder, "Results")
    return folder


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", message)


def restored(folder: Path) -> None:
    """Bring the workspace back to the commit."""
    run(folder, "git", "checkout", "-q", "-f", ".")
    run(folder, "dvc", "checkout", "-q", "-f")
