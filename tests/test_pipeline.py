"""dvc.yaml tells the truth about its stages, and runs again exactly what a change concerns."""

import ast
import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

import closure
import plan
from neuron_atlas.checks.sections import SECTIONS as SCHEMAS
from neuron_atlas.pipeline import params
from neuron_atlas.report import plots
from neuron_atlas.wording import templates
from repository import run

ROOT = Path(__file__).parents[1]
DVC_YAML = params.read_yaml(ROOT / "dvc.yaml")
STAGES: dict[str, dict[str, Any]] = DVC_YAML["stages"]
CELL = "${item.language}"
CELLS = {name for name, stage in STAGES.items() if "matrix" in stage}
CHECKS = {"check", "check_model"}
GATES = {"data/check.json", "data/check_model.json"}  # awaited, not read
SOURCE = "src/neuron_atlas"
LAUNCHER = "neuron_atlas.launching.launcher"
DATA_OF = {
    f"{SOURCE}/pages/shell.py": {f"{SOURCE}/page"},
    f"{SOURCE}/wording/templates.py": {"${facts.templates}", f"{SOURCE}/relation_labels.yaml"},
    f"{SOURCE}/sources/readers.py": {"${facts.path}"},
    f"{SOURCE}/language_specific/texts.py": {"${language_specific.texts}"},
    f"{SOURCE}/model/weights.py": {"${model.path}"},
}
SECTIONS = set(params.read_yaml(ROOT / "params.yaml"))

each_stage = pytest.mark.parametrize("name", STAGES)


def words(name: str) -> list[str]:
    """The paths on a stage's command line."""
    command = STAGES[name]["cmd"].split()
    assert command[:3] == ["env", "PYTHONPATH=src", "python"]
    after = command[3:] if name in CHECKS else command[5:]  # a check begins at once, by itself
    assert name in CHECKS or command[3:5] == ["-m", LAUNCHER]
    assert after[0] == f"stages/{name}.py"
    return [w for w in after[1:] if not w.startswith("--") and w != CELL]


def outs(name: str) -> set[str]:
    """Everything a stage writes."""
    every = [*STAGES[name].get("outs", []), *STAGES[name].get("metrics", [])]
    return {next(iter(out)) if isinstance(out, dict) else out for out in every}


def package_data(name: str) -> set[str]:
    """What a stage's modules read besides their arguments."""
    if name == "check":  # asks which templates there are; `languages` says when to ask again
        return set()
    modules = closure.modules_of(ROOT / "stages" / f"{name}.py", ROOT / "src")
    places = (path.relative_to(ROOT).as_posix() for path in modules)
    return set().union(*(DATA_OF.get(place, set()) for place in places))


def script(name: str) -> ModuleType:
    """A stage's script as a module."""
    return importlib.import_module(name)


def sections_read(file: Path) -> set[str]:
    """The sections that a script's calls of `load` name; `check` reads them all."""
    found = {"languages", "seed", *SCHEMAS} if file.stem == "check" else set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func).rpartition(".")[2]
            if function == "read_yaml" and "PARAMS" in map(ast.unparse, node.args):
                found |= {"languages", "seed", *SCHEMAS}
            if function in ("load_languages", "load_seed"):
                found.add(function.removeprefix("load_"))
            if function == "load" and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
    return found


def test_scripts_and_stages_are_the_same() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == set(STAGES)


def test_deps_name_exactly_the_scripts_and_rooms_that_stages_reach() -> None:
    assert closure.problems({"stages": STAGES}) == []


def test_the_closure_follows_indirect_imports_but_not_those_of_scripts(tmp_path: Path) -> None:
    package = tmp_path / "src" / "pkg"
    package.mkdir(parents=True)
    (package / "a.py").write_text("def f():\n    import pkg.b\n")
    (package / "b.py").write_text("from pkg import c as other, VALUE\nimport json\n")
    (package / "c.py").write_text("from pkg.a import f\n")
    (package / "unused.py").write_text("")
    (tmp_path / "other.py").write_text("import pkg.unused\n")
    (tmp_path / "run.py").write_text("import other\nfrom pkg.a import f\n")
    found = closure.modules_of(tmp_path / "run.py", tmp_path / "src")
    assert found == {package / f"{name}.py" for name in "abc"} | {tmp_path / "other.py"}


def test_the_tool_puts_the_list_right_and_keeps_comments(tmp_path: Path) -> None:
    broken = (ROOT / "dvc.yaml").read_text().replace(f"      - {SOURCE}/pipeline\n", "")
    first = "- stages/model.py\n"
    broken = broken.replace(first, first + f"      - {SOURCE}/gone.py # old\n", 1)
    file = tmp_path / "dvc.yaml"
    file.write_text(broken)
    assert len(closure.problems(params.read_yaml(file))) == len(STAGES) + 1
    closure.write(file)
    assert closure.problems(params.read_yaml(file)) == []
    assert re.findall("#.*", file.read_text()) == re.findall("#.*", (ROOT / "dvc.yaml").read_text())


def test_the_closure_counts_what_is_behind_a_name_of_the_package(tmp_path: Path) -> None:
    package = tmp_path / "src" / "pkg"
    (package / "room").mkdir(parents=True)
    lazy = "if TYPE_CHECKING:\n    from pkg.api import name\n"
    (package / "__init__.py").write_text(lazy)
    (package / "api.py").write_text("from pkg.room import thing\n")
    (package / "room" / "__init__.py").write_text("")
    (package / "room" / "thing.py").write_text("")
    behind = {package / "__init__.py", package / "api.py", package / "room" / "thing.py"}
    for statement, found in (
        ("import pkg", behind),
        ("from pkg import name", behind),
        ("from pkg.room import thing", {package / "room" / "thing.py"}),
        ("import pkg.room.thing", {package / "room" / "thing.py"}),
    ):
        (tmp_path / "run.py").write_text(f"{statement}\n")
        assert closure.modules_of(tmp_path / "run.py", tmp_path / "src") == found, statement


def test_a_room_whose_settings_alone_are_reached_is_not_listed(tmp_path: Path) -> None:
    room = tmp_path / SOURCE / "room"
    room.mkdir(parents=True)
    for name in ("__init__", "settings", "other"):
        (room / f"{name}.py").write_text("")
    script = tmp_path / "stages" / "run.py"
    script.parent.mkdir()
    for imported, listed in (("settings", "room/settings.py"), ("settings, other", "room")):
        script.write_text(f"from neuron_atlas.room import {imported}\n")
        found = closure.code_of({"cmd": "python stages/run.py"}, tmp_path)
        assert found == ["stages/run.py", f"{SOURCE}/{listed}"]


def test_no_stage_reaches_the_public_names() -> None:
    front = {ROOT / SOURCE / "__init__.py", *(ROOT / SOURCE / "api").glob("*.py")}
    assert len(front) > 3
    for name in STAGES:
        assert not front & closure.modules_of(ROOT / "stages" / f"{name}.py", ROOT / "src"), name


def test_the_package_itself_runs_no_code() -> None:
    """Public names are loaded when used; tests/api/test_api.py looks at what an import loads."""
    document, typing, names, lazy = ast.parse((ROOT / SOURCE / "__init__.py").read_text()).body
    assert isinstance(document, ast.Expr)
    assert ast.unparse(typing) == "from typing import TYPE_CHECKING"
    assert isinstance(names, ast.Assign)
    assert ast.unparse(names.targets[0]) == "__all__"
    assert isinstance(lazy, ast.If)
    assert ast.unparse(lazy.test) == "TYPE_CHECKING"
    functions = [node.name for node in lazy.orelse if isinstance(node, ast.FunctionDef)]
    assert functions == ["__getattr__", "__dir__"]
    assert len(functions) == len(lazy.orelse)


def test_rooms_themselves_run_no_code() -> None:
    rooms = list((ROOT / SOURCE).glob("*/__init__.py"))
    assert rooms
    for room in rooms:
        assert [type(node) for node in ast.parse(room.read_text()).body] == [ast.Expr], room


@each_stage
def test_paths_on_the_command_line_are_deps_and_outs_and_the_other_way_round(name: str) -> None:
    deps = {d for d in STAGES[name]["deps"] if not closure.is_code(d)} - {"params.yaml"}
    assert package_data(name) <= deps
    read = deps - package_data(name) - GATES
    written = {re.sub("^(metrics)/.*", r"\1", out) for out in outs(name)}
    assert set(words(name)) == read | written


@each_stage
def test_the_signature_is_the_command_line(name: str) -> None:
    parameters = inspect.signature(script(name).main, eval_str=True).parameters.values()
    options = re.findall(r" --(\w+)", STAGES[name]["cmd"])
    paths = [p for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
    assert sum(n_words(p.annotation) for p in paths) == len(words(name))
    assert [p.name for p in parameters if p not in paths] == options


def n_words(kind: type) -> int:
    """Words on the command line that a positional parameter takes: a dataclass, one per field."""
    return len(fields(kind)) if is_dataclass(kind) else 1


def test_dvc_draws_the_plots_of_the_report() -> None:
    drawn = {path: entry for item in DVC_YAML["plots"] for path, entry in item.items()}
    assert drawn == {f"plots/{name}.json": asdict(plot) for name, plot in plots.PLOTS.items()}


@each_stage
def test_declared_params_are_what_the_script_reads(name: str) -> None:
    declared = {param.split(".")[0] for param in STAGES[name]["params"]}
    if "params.yaml" in STAGES[name]["deps"]:
        declared |= SECTIONS
    assert declared == sections_read(ROOT / "stages" / f"{name}.py")


def test_every_section_is_a_stage_and_fits_its_schema() -> None:
    sections = set(params.read_yaml(ROOT / "params.yaml")) - {"languages", "seed"}
    assert sections - {"scoring"} <= set(STAGES)  # which several stages read
    for name in sections:
        params.load(name, SCHEMAS[name], ROOT / "params.yaml")
    assert set(SCHEMAS) == sections
    assert all(script(name).Params is SCHEMAS[name] for name in sections & set(STAGES))
    assert "params.yaml" in STAGES["check"]["deps"]


def test_the_checks_come_first_and_everything_waits_for_them() -> None:
    waits = {
        name: {dep for dep in STAGES[name]["deps"] if dep.startswith("data/")} for name in STAGES
    }
    assert next(iter(STAGES)) == "check"
    assert waits["check"] == set()
    assert waits["model"] == {"data/check.json"}
    assert waits["check_model"] == {"data/model/provenance.json"}
    assert waits["facts"] == {"data/model", "data/check_model.json"}
    assert all(waits[name] for name in STAGES if name != "check")


def test_every_language_has_templates() -> None:
    assert set(params.load_languages(ROOT / "params.yaml")) <= set(templates.languages())


@each_stage
def test_matrix_stages_work_on_one_language_and_know_no_other(name: str) -> None:
    stage = STAGES[name]
    assert stage.get("matrix") in (None, {"language": "${languages}"})
    assert all((CELL in out) == (name in CELLS) for out in outs(name))
    assert name not in CELLS or "languages" not in stage["params"]


def test_stages_find_this_python_without_an_activated_environment() -> None:
    program = "import subprocess; subprocess.run(['python', '-c', 'import sys; print(sys.prefix)'])"
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == sys.prefix


def test_there_are_few_enough_stages_for_dvc() -> None:
    n = len(params.load_languages(ROOT / "params.yaml"))
    assert len(CELLS) * n + len(STAGES) - len(CELLS) <= 74  # a no-op takes two seconds


@each_stage
def test_only_the_report_has_outputs_outside_the_cache(name: str) -> None:
    declared = [*STAGES[name].get("outs", []), *STAGES[name].get("metrics", [])]
    outside = [out for out in declared if isinstance(out, dict)]
    assert not outside or name == "report"
    assert all(out == {path: {"cache": False}} for out in outside for path in out)
    assert {path.split("/")[0] for out in outside for path in out} <= {"metrics"}
    assert "metrics" not in STAGES[name] or name == "report"
    assert STAGES[name]["params"], "without params DVC keeps no stage in its run-cache"


def test_the_metrics_are_what_a_person_compares() -> None:
    declared = [*STAGES["report"]["outs"], *STAGES["report"]["metrics"]]
    assert not [out for out in declared if isinstance(out, str) and out.startswith("metrics")]
    assert STAGES["report"]["metrics"] == [{"metrics/headline.json": {"cache": False}}]
    assert {"metrics/verdicts": {"cache": False}} in STAGES["report"]["outs"]


# What runs again. The commands are replaced by one that writes a digest of all that the stage
# declares, so that every declared change travels on; deps, params and outs stay as declared. A join
# writes more digests a language, of what concerns this language.

STAND_IN = """\
import hashlib, pathlib, sys
from ruamel.yaml import YAML

outs, deps, sections = (part.split() for part in sys.argv[1:])
values = YAML(typ="safe").load(pathlib.Path("params.yaml"))
languages = set(values["languages"]) if "languages" in sections else set()
files = sorted(f for d in deps for f in [pathlib.Path(d), *pathlib.Path(d).rglob("*")])
templates = {f.stem for f in files if f.parent.name == "templates"}

def digest(others):
    used = [values[s.split(".")[0]] for s in sections if not others or s != "languages"]
    found = hashlib.sha256(repr(used).encode())
    for file in files:
        joint = file.name == "part" and (file.parent / "en.parquet").exists()
        if file.is_file() and not others & {file.stem, *file.parts} and not (others and joint):
            found.update(file.read_bytes())
    return found.hexdigest()

def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)

for out in map(pathlib.Path, outs):
    write(out if out.suffix else out / "part", f"{out} {digest(set())}")
    if out.name in ("check.json", "check_model.json"):
        write(out, "passed")
    if out.name == "model":
        write(out / "provenance.json", "a model")
    for language in languages if not out.suffix else ():
        others = (languages | templates) - {language}
        write(out / language / "part", digest(others))
        write(out / f"{language}.parquet", digest(others))
"""


def stand_in(name: str) -> dict[str, Any]:
    """A stage as declared, but for its command."""
    stage = STAGES[name]
    parts = (outs(name), stage["deps"], stage["params"])
    arguments = " ".join(f'"{" ".join(sorted(part))}"' for part in parts)
    return {**stage, "cmd": f'"{sys.executable}" stand_in.py {arguments}'}


def repro(root: Path) -> set[str]:
    """Bring a pipeline up to date; return the stages that ran."""
    done = dvc(root, "repro")
    return set(re.findall(r"Running stage '(.+?)'", done))


def runs(root: Path) -> set[str]:
    """Return the stages whose own deps or params have changed, without running anything."""
    return set(json.loads(dvc(root, "status", "--json")))


def planned(root: Path, *overrides: str) -> set[str]:
    """Return the stages that `make plan` lists for a pipeline, with some parameters set."""
    before = (root / "params.yaml").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a package that DVC uses
        *listed, last = plan.main(overrides, root)
    assert last.startswith(f"at most {len(listed)} of ")
    assert (root / "params.yaml").read_bytes() == before
    return {line.split()[0] for line in listed}


def dvc(root: Path, *arguments: str) -> str:
    alone = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".site")}
    return run(root, "dvc", *arguments, **alone)


def set_param(root: Path, section: str, key: str, value: object) -> None:
    content = params.read_yaml(root / "params.yaml")
    content[section][key] = value
    YAML().dump(content, root / "params.yaml")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline over English and French, with stand-ins for its commands, up to date."""
    root = tmp_path_factory.mktemp("built")
    generated = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", "stages"):
        shutil.copytree(ROOT / folder, root / folder, ignore=generated)
    shutil.copytree(ROOT / "data" / "raw", root / "data" / "raw")
    shutil.copy2(ROOT / ".dvcignore", root)
    (root / "stand_in.py").write_text(STAND_IN)
    content = {**params.read_yaml(ROOT / "params.yaml"), "languages": {"en": {}, "fr": {}}}
    YAML().dump(content, root / "params.yaml")
    YAML().dump({"stages": {name: stand_in(name) for name in STAGES}}, root / "dvc.yaml")
    dvc(root, "init", "--no-scm", "--quiet")
    dvc(root, "config", "core.check_update", "false")
    (root / "metrics").mkdir()
    shutil.copy2(ROOT / "metrics/calibration.json", root / "metrics")
    assert repro(root) == {c for name in STAGES for c in cells(name, "en", "fr")}
    return root


@pytest.fixture
def pipeline(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "pipeline")


def cells(name: str, *languages: str) -> set[str]:
    return {f"{name}@{language}" for language in languages} if name in CELLS else {name}


def below_sets(*languages: str) -> set[str]:
    """What runs when the relation neurons of some languages change."""
    joins = {"relation_neurons", "transfer", "effects", "report"}
    joins |= {"language_neurons", "editing", "knowledge", "cards"}
    each = ("interference", "sufficiency", "other_selectors", "selection", "degenerate_neurons")
    return joins.union(*(cells(name, *languages) for name in each))


def test_nothing_changed_nothing_runs(pipeline: Path) -> None:
    assert planned(pipeline) == set()
    assert repro(pipeline) == set()


def test_a_new_language_runs_its_cells_and_the_joins(pipeline: Path) -> None:
    new = {"answers@it", "recall@it", "activations@it", "attributions@it"}
    new |= {"attribution_methods@it"}
    expected = {"check", "facts", "consistency", "language_specific"} | new | below_sets("it")
    assert planned(pipeline, "+languages.it={}") == expected
    set_param(pipeline, "languages", "it", {})
    assert planned(pipeline) == expected
    assert repro(pipeline) == expected


def test_a_selection_parameter_starts_no_stage_that_extracts(pipeline: Path) -> None:
    expected = {"check", "check_model"} | below_sets("en", "fr")
    assert planned(pipeline, "relation_neurons.k=7") == expected
    set_param(pipeline, "relation_neurons", "k", 7)
    assert repro(pipeline) == expected


def test_a_threshold_of_knowledge_neurons_attributes_nothing_again(pipeline: Path) -> None:
    expected = {"check", "editing", "language_neurons", "knowledge", "cards", "report"}
    assert planned(pipeline, "language_neurons.k=7") == expected
    set_param(pipeline, "language_neurons", "k", 7)
    assert repro(pipeline) == expected


def test_the_code_of_the_report_runs_the_report_alone(pipeline: Path) -> None:
    for module in (pipeline / SOURCE / "report").glob("*.py"):
        if module.name != "settings.py":
            with module.open("a") as code:
                code.write("# changed\n")
    assert runs(pipeline) == {"report"}


def test_a_schema_is_checked_again_by_the_check(pipeline: Path) -> None:
    with (pipeline / SOURCE / "report/settings.py").open("a") as code:
        code.write("# changed\n")
    assert runs(pipeline) == {"check", "report"}


def test_the_code_of_a_room_runs_the_stages_that_list_it(pipeline: Path) -> None:
    with (pipeline / SOURCE / "interventions/relation_arms.py").open("a") as code:
        code.write("# changed\n")
    measured = ("interference", "sufficiency", "other_selectors", "transfer", "selection")
    every = (cells(name, "en", "fr") for name in measured)
    changed = {"editing", "knowledge"}.union(*every)  # effects: its settings alone
    assert runs(pipeline) == changed
    assert planned(pipeline) == changed | {"effects", "report"}


def named(pipeline: Path, section: str, key: str, name: str) -> None:
    """Name a folder or file in a parameter, and bring the pipeline up to date."""
    if section == "model":
        set_param(pipeline, "model", "source", f"path:{name}")
    set_param(pipeline, section, key, name)
    repro(pipeline)
    assert runs(pipeline) == set()


WAYS_IN = {
    ("model", "path"): {"model"},
    ("facts", "path"): {"facts"},
    ("facts", "templates"): {"check_model", "facts"},
    ("language_specific", "texts"): {"language_specific"},
}


@pytest.mark.parametrize("place", ["mine/inner", "outside", "linked", "linked/inner", "file_link"])
@pytest.mark.parametrize(("section", "key"), WAYS_IN)
def test_a_changed_byte_of_what_a_parameter_names_runs_its_stage(
    pipeline: Path, tmp_path: Path, section: str, key: str, place: str
) -> None:
    """Whether it is inside the repository, outside of it, behind a link, or a link to a file."""
    for folder in (pipeline / "mine/inner", tmp_path / "outside/inner"):
        folder.mkdir(parents=True)
        (folder / "en.yaml").write_text("before")
    (pipeline / "linked").symlink_to(tmp_path / "outside")
    (pipeline / "file_link").mkdir()
    (pipeline / "file_link" / "en.yaml").symlink_to(tmp_path / "outside/inner/en.yaml")
    named(pipeline, section, key, str(tmp_path / place) if place == "outside" else place)
    inside = place.startswith("mine")
    changed = (pipeline / "mine" if inside else tmp_path / "outside") / "inner" / "en.yaml"
    changed.write_text("behind")
    assert runs(pipeline) == WAYS_IN[section, key]


NAMES = [
    "facts (1).jsonl",
    "Länder.csv",
    "a,b.csv",
    "it's.csv",
    "ไทย 100% & #1.jsonl",
    "a{b}[c]=d.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_file_name_is_quoted_inside_and_out(pipeline: Path, name: str) -> None:
    """As data/raw/README.md says: -S "facts.path='data/raw/facts (1).jsonl'"."""
    file = pipeline / "data" / "raw" / name
    file.write_text("before")
    quoted = f"data/raw/{name}".replace("'", "\\'")
    override = f"facts.path='{quoted}'"
    apply_overrides(pipeline / "params.yaml", [override])
    assert params.read_yaml(pipeline / "params.yaml")["facts"]["path"] == f"data/raw/{name}"
    repro(pipeline)
    assert runs(pipeline) == set()
    file.write_text("behind")
    assert runs(pipeline) == {"facts"}


LEFT_BEHIND = [
    "__pycache__/packing.cpython-311.pyc", "packing.pyc", "packing.py~", ".packing.py.swp",
    "packing.py.bak", "#packing.py#", ".#packing.py", "packing.py.orig", ".DS_Store",
]  # fmt: skip


def test_what_python_and_editors_leave_behind_runs_nothing(pipeline: Path) -> None:
    for name in LEFT_BEHIND:
        for folder in (f"{SOURCE}/scoring", "stages"):
            left = pipeline / folder / name
            left.parent.mkdir(exist_ok=True)
            left.write_text("left behind")
    assert runs(pipeline) == set()


def test_a_new_module_in_a_room_runs_the_stages_that_list_it(pipeline: Path) -> None:
    """The positive control of what editors leave behind."""
    (pipeline / SOURCE / "report" / "new.py").write_text('"""New."""\n')
    assert runs(pipeline) == {"report"}


def test_a_corrected_template_runs_its_language_and_the_joins(pipeline: Path) -> None:
    with (pipeline / "src/neuron_atlas/templates/fr.yaml").open("a") as text:
        text.write("# changed\n")
    every = {c for name in STAGES for c in cells(name, "en", "fr")}
    assert planned(pipeline) == every - {"check", "model"}  # it does not look for the language
    changed = {
        "check_model",
        "facts",
        "answers@fr",
        "recall@fr",
        "activations@fr",
        "attributions@fr",
        "attribution_methods@fr",
        "consistency",
        "language_specific",
    }
    assert repro(pipeline) == changed | below_sets("fr")
