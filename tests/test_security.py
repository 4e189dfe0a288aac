"""What comes from elsewhere is data: it is never run, never leaves its place, never is markup."""

import ast
import io
import json
import re
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transformers import AutoConfig

import check
from neuron_atlas.checks import rules
from neuron_atlas.files import text_files
from neuron_atlas.model import weights
from neuron_atlas.model.language_model import LanguageModel
from neuron_atlas.model.settings import ModelSource, parse_source
from neuron_atlas.model.weights import fetch
from neuron_atlas.pages import shell
from neuron_atlas.pipeline import params
from neuron_atlas.sources import lre, mlama
from saved import save

ROOT = Path(__file__).parents[1]
CODE = sorted(
    file
    for place in ("src", "stages", "benchmarks", "docs")
    for file in (ROOT / place).rglob("*.py")
)
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
]

# The code: what it never calls. Names are resolved through the file's imports.

UNPICKLES = r"(pickle|cPickle|_pickle|marshal|shelve|dill|cloudpickle|joblib|jsonpickle)(\..*)?"
OTHER_YAML = r"yaml(\..*)?"  # PyYAML, whose plain `load` once made any object; ours is ruamel's
NEVER = re.compile(
    rf"{UNPICKLES}|eval|exec|compile|__import__|input|builtins\..*"
    r"|torch\.(load|save|hub\..*|package\..*)|numpy\.(load|save|fromfile)"
    r"|pandas\.(read_pickle|eval|read_html)|.*\.to_pickle|(?!neuron_atlas\.).*\.(extract|extractall|unpack_archive)"
    r"|os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)|tempfile\.mktemp"
    r"|subprocess\.get(status)?output|asyncio\.create_subprocess_shell|pty\.spawn|jinja2\.Template"
)
KEYWORDS: dict[str, Callable[[object], bool]] = {
    "shell": lambda value: value is False,
    "trust_remote_code": lambda _: False,
    "allow_pickle": lambda _: False,
    "verify": lambda value: value is not False,
    "use_safetensors": lambda value: value is True,
    "autoescape": lambda value: value is True,
}
REQUIRED = {  # one of these keywords
    r"(.*\.)?YAML": {"typ"},
    r"jinja2\.(Environment|sandbox\..*)": {"autoescape"},
    r"auto\.from_pretrained|transformers\.AutoModel\w*\.from_pretrained": {
        "use_safetensors",
        "gguf_file",
    },
    r"(huggingface_hub\.|datasets\.)(snapshot_download|hf_hub_download|load_dataset)": {"revision"},
}


def forbidden(source: str) -> list[str]:
    """What a module's code does that ours never may, with line numbers."""
    tree = ast.parse(source)
    known = dict(_imported(tree))
    found = [
        f"imports {name}"
        for name in known.values()
        if re.fullmatch(f"{UNPICKLES}|{OTHER_YAML}", name)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found += [f"line {node.lineno}: {problem}" for problem in _problems(node, known)]
    return found


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], alias.name
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _problems(call: ast.Call, known: dict[str, str]) -> Iterator[str]:
    first, dot, rest = ast.unparse(call.func).partition(".")
    name = known.get(first, first) + dot + rest
    if NEVER.fullmatch(name):
        yield f"calls {name}"
    given = {word.arg: word.value for word in call.keywords if word.arg}
    for word, value in given.items():
        content = value.value if isinstance(value, ast.Constant) else value
        if word in KEYWORDS and not KEYWORDS[word](content):
            yield f"{name}({word}={ast.unparse(value)})"
    for pattern, words in REQUIRED.items():
        if re.fullmatch(pattern, name) and not words & set(given):
            yield f"{name} without {' or '.join(sorted(words))}"
    if re.fullmatch(r"(.*\.)?YAML", name) and "'safe'" not in ast.unparse(call):
        yield f"{name} of another type than safe"
    if name.startswith("subprocess.") and call.args and _is_text(call.args[0]):
        yield f"{name} of a string"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.BinOp | ast.Constant)


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.name)
def test_the_code_runs_nothing_that_it_reads(file: Path) -> None:
    assert forbidden(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch as t\nt.load(path)",
        "from torch import load as read\nread(path, weights_only=True)",
        "import numpy as np\nnp.load(path)",
        "read(path, allow_pickle=True)",
        "import pandas as pd\npd.read_pickle(path)",
        "import yaml\nyaml.load(text, yaml.Loader)",
        "from ruamel.yaml import YAML\nYAML(typ='unsafe').load(text)",
        "from ruamel.yaml import YAML\nYAML().load(text)",
        "eval(text)",
        "exec(text)",
        "import os\nos.system(f'rm {name}')",
        "import subprocess\nsubprocess.run(f'rm {name}', shell=True)",
        "import subprocess\nsubprocess.run(['sh'], shell=flag)",
        "import subprocess as s\ns.run('rm ' + name)",
        "import zipfile\nzipfile.ZipFile(path).extractall(folder)",
        "auto.from_pretrained(path)",
        "auto.from_pretrained(path, use_safetensors=False)",
        "from transformers import AutoModel as M\nM.from_pretrained(path)",
        "model(path, trust_remote_code=True)",
        "model(path, trust_remote_code=flag)",
        "from huggingface_hub import snapshot_download\nsnapshot_download(name)",
        "import jinja2\njinja2.Environment(loader=loader)",
        "import jinja2\njinja2.Environment(autoescape=False)",
        "import jinja2\njinja2.Template(text)",
        "get(address, verify=False)",
    ],
)
def test_code_that_might_is_found(source: str) -> None:
    assert forbidden(source)


def test_code_that_does_not_is_passed() -> None:
    source = """
import re, subprocess, torch, jinja2
from huggingface_hub import snapshot_download
from ruamel.yaml import YAML
re.compile("x"); torch.tensor([1]); YAML(typ="safe").load(text); json.load(stream)
subprocess.run(["git", name], check=True); jinja2.Environment(autoescape=True)
auto.from_pretrained(folder, use_safetensors=True); snapshot_download(name, revision=commit)
"""
    assert forbidden(source) == []


def test_only_our_own_scripts_and_escaped_data_are_taken_for_markup() -> None:
    marked = [
        (file.name, line.strip())
        for file in CODE
        for line in file.read_text(encoding="utf-8").splitlines()
        if "Markup(" in line or "mark_safe" in line
    ]
    assert marked == [
        ("shell.py", "shown = [(one.kind, Markup(one.text)) for one in scripts]"),
        (
            "shell.py",
            """return Markup('<script type="{}" id="{}">{}</script>')"""
            ".format(kind, name, Markup(text))",
        ),
    ]


def test_what_the_two_marked_texts_hold_cannot_end_them() -> None:
    """A script with the end of one is refused, data are escaped or in base64."""
    with pytest.raises(ValueError, match="cannot hold '</script'"):
        shell.Script("a = '</script><b>'")
    hostile = "</script><img src=x>&\u2028"
    for block in (shell.json_block("x", hostile), shell.packed_block("x", hostile.encode())):
        assert block.count("<") == block.count(">") == 2
        assert block.endswith("</script>")


def test_templates_escape_everything_and_only_the_shell_has_scripts() -> None:
    assert shell.environment().autoescape is True
    assert shell.environment().from_string("{{ x }}").render(x="</script>'\"") == (
        "&lt;/script&gt;&#39;&#34;"
    )
    sources = {f.name: f.read_text(encoding="utf-8") for f in shell.FOLDER.glob("*.j2")}
    assert len(sources) > 10
    unsafe = r"\|\s*safe|autoescape|<script|\son\w+="
    assert [name for name, s in sources.items() if re.search(unsafe, s)] == ["shell.html.j2"]
    assert [name for name, s in sources.items() if "<html" in s] == ["shell.html.j2"]
    assert 'Content-Security-Policy" content="{{ policy }}"' in sources["shell.html.j2"]
    assert shell.policy([]).startswith("default-src 'none'; script-src 'none';")


# The model: safetensors or GGUF, checked before they are read.


def hostile(lm: LanguageModel, folder: Path, **config: object) -> Path:
    """A model's folder whose configuration says more."""
    save(lm, folder)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


def brought_in(folder: Path) -> Path:
    out = folder.parent / "made" / "model"
    fetch(ModelSource("path", str(folder)), out, sha256=None, dtype="float32")
    return out


def refused(folder: Path, message: str) -> None:
    """Expect an error that says why, and nothing left behind."""
    with pytest.raises(ValueError, match=message):
        brought_in(folder)
    assert not list(folder.parent.glob("made/*"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked on the terminal, where somebody always says yes."""
    questions: list[str] = []

    def answer(question: str = "") -> str:
        questions.append(question)
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    return questions


def with_code(folder: Path, marker: Path) -> Path:
    """Put code into a model's folder, for whoever runs it to leave a trace."""
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: pass\n")
    file = folder / "tokenizer_config.json"
    own = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    file.write_text(json.dumps(json.loads(file.read_text()) | own))
    return folder


AUTO = {
    f"Auto{k}": "evil.Evil" for k in ("Config", "Model", "ModelForCausalLM", "ModelForMaskedLM")
}


def test_code_that_comes_with_a_model_is_not_run(
    lm: LanguageModel, tmp_path: Path, asked: list[str]
) -> None:
    folder = with_code(hostile(lm, tmp_path / "in", auto_map=AUTO), tmp_path / "ran")
    assert (brought_in(folder) / "config.json").exists()
    assert not asked
    assert not (tmp_path / "ran").exists()


def test_nobody_is_asked_whether_to_run_the_code_of_an_unknown_family(
    decoder: LanguageModel, tmp_path: Path, asked: list[str]
) -> None:
    folder = hostile(decoder, tmp_path / "in", auto_map=AUTO, model_type="evil")
    refused(with_code(folder, tmp_path / "ran"), "unsupported architecture 'evil'")
    assert not asked
    with pytest.raises(Exception, match="Evil"):  # positive control: transformers asks, and runs it
        AutoConfig.from_pretrained(folder)
    assert asked
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "../other.safetensors", "sub/a.safetensors"])
def test_an_index_names_only_weights_that_the_checksum_covers(
    decoder: LanguageModel, tmp_path: Path, name: str
) -> None:
    folder = save(decoder, tmp_path / "in")
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"anything")
    index = folder / "model.safetensors.index.json"

    def write(file: str) -> None:
        named = dict.fromkeys(decoder.network.state_dict(), file)
        index.write_text(json.dumps({"metadata": {}, "weight_map": named}))

    write(name)
    refused(folder, rf"must name only the \*.safetensors files beside it, got \['{name}'\]")
    write("one.safetensors")
    assert (brought_in(folder) / "model.safetensors").exists()


def test_a_configuration_cannot_name_other_weights(decoder: LanguageModel, tmp_path: Path) -> None:
    folder = hostile(decoder, tmp_path / "in", transformers_weights="adapter_model.bin")
    (folder / "adapter_model.bin").write_bytes(b"pickled")
    refused(folder, "transformers_weights must be absent, got 'adapter_model.bin'")


def test_a_folder_of_pickled_weights_is_refused(decoder: LanguageModel, tmp_path: Path) -> None:
    folder = save(decoder, tmp_path / "in")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "pickled weights are not read")


def test_nothing_is_parsed_before_the_checksum_is_compared(
    decoder: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*_: object, **__: object) -> None:
        raise RuntimeError("parsed")

    folder = save(decoder, tmp_path / "in")
    monkeypatch.setattr(weights, "_read", parse)
    right = weights.file_sha256(folder / "model.safetensors")
    for sha256, error, message in (("0" * 64, ValueError, right), (right, RuntimeError, "parsed")):
        with pytest.raises(error, match=message):
            fetch(ModelSource("path", str(folder)), tmp_path / "m", sha256=sha256, dtype="float32")


# Archives: read where they are, up to a bound.

RECORD = {"sub_uri": "a", "sub_label": "a", "obj_uri": "b", "obj_label": "b"}
PATTERN = {"relation": "P1", "template": "[X] in [Y]", "pattern": "[X] in [Y]"}
LINEAR = {"prompt_templates": ["{} is"], "samples": [{"subject": "a", "object": "b"}]}
FILES = {
    "m/en/P1.jsonl": RECORD,
    "m/en/templates.jsonl": PATTERN,
    "p/en/P1.jsonl": PATTERN,
    "l/r.json": LINEAR,
}
READERS = {"m": mlama.read, "p": mlama.read_patterns, "l": lre.read}
OUTSIDE = [
    *("../evil.jsonl", "/evil.jsonl", "m/../../evil.jsonl", "..\\evil.jsonl", "C:evil.jsonl"),
    *("C:\\evil.jsonl", "m/..", "evil.jsonl\0.txt", "//host/evil.jsonl"),
]


def packed(path: Path, kind: str, *, more: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in FILES.items():
            if name.startswith(kind):
                out.writestr(name, json.dumps(content))
        for name, data in (more or {}).items():
            member = zipfile.ZipInfo()
            member.filename = member.orig_filename = name  # as it is: the constructor mends names
            member.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(member, data)
    return path


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", READERS)
def test_a_member_outside_of_its_archive_is_refused_and_nothing_written(
    tmp_path: Path, kind: str, name: str
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    assert READERS[kind](packed(folder / "good.zip", kind), "en", None)
    bad = packed(folder / "bad.zip", kind, more={name: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="expected a name inside the archive"):
        READERS[kind](bad, "en", None)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_in_an_archive_is_read_as_the_text_that_it_is(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(LINEAR))
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as out:
        member = zipfile.ZipInfo("r.json")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(member, str(secret))
    with pytest.raises(ValueError, match=r"r\.json, line 1: expected JSON, got"):
        lre.read(tmp_path / "links.zip", "en", None)
    assert len(lre.read(secret.parent, "en", None).table) == 1  # positive control


@pytest.mark.parametrize("kind", READERS)
def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    bomb = packed(tmp_path / "bomb.zip", kind, more={"zeros": bytes(2**22)})
    assert bomb.stat().st_size < 2**14
    monkeypatch.setattr(text_files, "MAX_UNPACKED", 2**22)
    with pytest.raises(ValueError, match=r"bomb.zip: expected at most 4194304 bytes when unpacked"):
        READERS[kind](bomb, "en", None)
    monkeypatch.setattr(text_files, "MAX_UNPACKED", 2**23)
    assert READERS[kind](bomb, "en", None)


def test_an_archive_s_bound_leaves_room_for_the_sources() -> None:
    assert 2**29 <= text_files.MAX_UNPACKED <= 2**31  # mLAMA unpacks to some hundred megabytes


def test_a_file_that_states_too_small_a_size_gives_no_more_than_that(tmp_path: Path) -> None:
    data = bytearray(
        packed(tmp_path / "x.zip", "l", more={"lines.jsonl": b"{}\n" * 2**16}).read_bytes()
    )
    size = (3 * 2**16).to_bytes(4, "little")
    assert data.count(size) == 2  # beside the file, and in the directory
    (tmp_path / "x.zip").write_bytes(data.replace(size, (30).to_bytes(4, "little")))
    read: list[object] = []
    with (
        text_files.opened(tmp_path / "x.zip") as found,
        pytest.raises(ValueError, match="expected a readable file, got BadZipFile"),
    ):
        read.extend(found.json_lines("lines.jsonl"))
    assert len(read) <= 10


def test_a_bomb_in_a_line_is_never_held(tmp_path: Path) -> None:
    stream = io.BytesIO(b" " * (text_files.MAX_LINE + 1))
    with pytest.raises(ValueError, match="expected at most 1048576 bytes, got a longer line"):
        list(text_files.json_lines(stream, "f"))
    assert stream.tell() == text_files.MAX_LINE + 1
    assert list(tmp_path.iterdir()) == []


# The command line: the only words in it that come from data are the languages.


def test_the_language_is_all_that_commands_are_filled_with() -> None:
    stages = params.read_yaml(ROOT / "dvc.yaml")["stages"]
    filled = {word for stage in stages.values() for word in re.findall(r"\$\{.*?\}", stage["cmd"])}
    assert filled == {"${item.language}"}


ODD = ["en; touch x", "$(touch x)", "`x`", "a b", "../x", "a/b", "-rf", "en&", "a|b", "a'b", 'a"b']


@pytest.mark.parametrize(
    "code", [*ODD, "", "en\n", "é", "a..b", "x" * 33, "_x", "en*", "a\\b", "~"]
)
def test_a_language_that_the_shell_could_misread_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="languages: expected codes such as en or zh-Hans"):
        rules.codes(["en", code])


@pytest.mark.parametrize("code", ["en", "zh-Hans", "zh_TW", "pt-BR", "x1", "be-tarask"])
def test_a_language_s_code_is_kept(code: str) -> None:
    rules.codes([code])


@pytest.mark.parametrize("source", ["builtin", "jsonl"])
def test_the_gate_refuses_it_before_any_command_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("  en: {}", '  "en; touch x": {}').replace("builtin  #", f"{source}  #")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=re.escape("got ['en; touch x']; rename them")):
        check.main(Path("data/check.json"))
    stages = params.read_yaml(ROOT / "dvc.yaml")["stages"]
    assert "data/check.json" in stages["model"]["deps"]
    assert "data/model" in stages["facts"]["deps"]  # and every stage of a language needs facts
    assert "data/questions/${item.language}.parquet" in stages["answers"]["deps"]


# Secrets: none in what git keeps.

SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|xox[abp]-\d"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|https?://[^\s/@:]+:[^\s/@]+@"
    r"|(?i:password|secret_access_key|access_key_id|api_key|auth_token)\s*[=:]\s*"
    r"[\"']?(?!null(?:\s|$))\w"
)


def test_no_secret_is_kept_by_git() -> None:
    assert ROOT / ".dvc/config" in TRACKED
    for file in (file for file in TRACKED if file.is_file() and file != Path(__file__)):
        text = file.read_text(encoding="utf-8", errors="replace")
        assert not SECRET.search(text), file


@pytest.mark.parametrize(
    "text",
    [
        "password = hunter2",
        "password: null-1",
        "secret_access_key: abc",
        "https://me:pw@host/x",
        f"hf_{'a' * 34}",
    ],
)
def test_a_secret_is_recognised(text: str) -> None:
    assert SECRET.search(text)


def test_a_secret_that_has_yet_to_be_given_is_none() -> None:
    assert not SECRET.search("AWS_ACCESS_KEY_ID: null  # given by --secret")


def test_credentials_go_where_git_does_not_look() -> None:
    for name, ignored in ((".dvc/config.local", True), (".dvc/config", False)):
        done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT, check=False)
        assert (done.returncode == 0) is ignored


def test_a_hub_id_is_read_at_a_commit_only() -> None:
    assert parse_source("hub:a/b", "0" * 40) == ModelSource("hub", "a/b", "0" * 40)
    for revision in (None, "main", "v1.0", "0" * 39):
        with pytest.raises(ValueError, match="must be the 40-digit commit"):
            parse_source("hub:a/b", revision)
