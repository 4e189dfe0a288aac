"""`dvc` and scripts of this Python, forked from a process that has imported what they import.

Tests start such programs hundreds of times, and most of the time of each went into its imports.
Folder, environment, output and exit status are those of a process of its own, and the library is
imported anew, from where the program finds it. A test of the process itself (how it is killed, how
much it may have, how many threads it starts) begins it cold; so does one run of the whole pipeline.
"""

import ast
import atexit
import gc
import importlib
import json
import os
import runpy
import shlex
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

# Threads cost a toy model more than they save.
ALONE = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
SIZE = 1 << 17  # bytes that a request may have
ROOT = Path(__file__).parents[1]
BESIDES = (  # what is imported only when it is used
    *("dvc.cli.parser", "dvc.repo.reproduce", "dvc.stage.run", "dvc_s3", "dvc_ssh", "pygit2"),
    *("transformers.models.bert.modeling_bert", "transformers.models.llama.modeling_llama"),
)


def takes(words: Sequence[str]) -> bool:
    """Whether a command is `dvc`, or a script or module of this Python's; `env` may come first."""
    return words[0] == "dvc" or _script(words) is not None


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command that `takes` says to be one, whatever its exit status."""
    request = json.dumps([list(words), str(folder), dict(environment)]).encode()
    assert len(request) < SIZE, f"expected a request of less than {SIZE} bytes, got {len(request)}"
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        line = _server(os.getpid())
        socket.send_fds(line, [request], [out.fileno(), err.fileno()])
        answer = line.recv(SIZE)
        assert answer, "expected an exit status from the process that forks, but it ended"
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(list(words), int(answer), *texts)


@cache
def _server(_: int) -> socket.socket:
    """Start the process that forks; it ends when the line to it does, at the latest with us."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    started = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | ALONE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    theirs.close()
    atexit.register(lambda: (ours.close(), started.wait()))
    return ours


def serve(line: socket.socket) -> None:
    """Import everything, then run what is asked for, one request at a time."""
    for name in (*BESIDES, *_of_others()):
        with suppress(ImportError):  # a remote's package need not be there
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(line, SIZE, 2)
        if not request:
            return
        words, folder, environment = json.loads(request)
        status = _forked(partial(_become, words, folder, environment, descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        line.send(str(status).encode())


def _of_others() -> Iterator[str]:
    """Import what the library and its scripts import by name; yield the names that are modules."""
    for file in (*ROOT.glob("src/**/*.py"), *ROOT.glob("stages/*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if not _is_ours(alias.name))
            elif isinstance(node, ast.ImportFrom) and not _is_ours(str(node.module)):
                with suppress(ImportError):
                    module = importlib.import_module(str(node.module))
                    for alias in node.names:
                        getattr(module, alias.name, None)  # transformers imports it now


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == "neuron_atlas"


def _forked(program: Callable[[], object]) -> int:
    """Call a function in a fork of this process; return the exit status, negative for a signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _end(program)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end(program: Callable[[], object]) -> NoReturn:
    """Call a function and end this process as Python ends."""
    status: object = 1
    try:
        program()
        status = 0
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            sys.stderr.write(f"{status}\n")
    except BaseException:
        traceback.print_exc()
    with suppress(BaseException):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


def _become(
    words: list[str], folder: str, environment: Mapping[str, str], descriptors: Sequence[int]
) -> None:
    """Be the program, from here to its end."""
    for descriptor, standard in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(folder)
    _set(environment)
    if words[0] != "dvc":
        return _python(words)
    from dvc import cli
    from dvc.stage import run as stage

    stage._run = _stage(stage._run)
    sys.argv = words
    return sys.exit(cli.main(words[1:]))


def _set(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _script(words: Sequence[str]) -> tuple[dict[str, str], list[str]] | None:
    """Split `env NAME=value python script words` into the variables and what Python is given."""
    given = list(words)
    variables = {}
    if given[0] == "env":
        given.pop(0)
        while "=" in given[0]:
            name, _, variables[name] = given.pop(0).partition("=")
    if given[0] not in ("python", sys.executable):
        return None
    return (variables, given[1:]) if given[1] == "-m" or given[1].endswith(".py") else None


def _python(words: Sequence[str]) -> None:
    """Run a script or a module as `python` does."""
    found = _script(words)
    assert found is not None
    variables, given = found
    os.environ.update(variables)
    is_module = given[0] == "-m"
    sys.argv = given[is_module:]
    script = Path(sys.argv[0]).absolute()
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = [Path.cwd() if is_module else script.parent, *map(Path, filter(None, named))]
    sys.path[:0] = [str(place.absolute()) for place in places]
    if is_module:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(str(script), run_name="__main__")


def _stage(plain: Callable[..., None]) -> Callable[..., None]:
    """What DVC runs a stage's command with."""

    def run(executable: str, command: str, **given: Any) -> None:
        from dvc.stage.exceptions import StageCmdFailedError

        words = shlex.split(command)
        if _script(words) is None:
            return plain(executable, command, **given)

        def program() -> None:
            os.chdir(given["cwd"])
            _set(given["env"])
            _python(words)

        status = _forked(program)
        if status:
            raise StageCmdFailedError(command, status)
        return None

    return run


if __name__ == "__main__":
    sys.path.pop(0)  # the tests' own folder
    serve(socket.socket(fileno=int(sys.argv[1])))
