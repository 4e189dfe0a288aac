"""A repository with the toy model's results, clones of it, servers, and the ledger of faults."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import servers
from ledger import Ledger
from once import once
from repository import FEWER, Clone, cloned, copied, run

LEDGER = pytest.StashKey[Ledger]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEDGER] = Ledger()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send a worker's rows to the process that prints them."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["ledger"] = session.config.stash[LEDGER].packed()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the rows of a worker that is done."""
    node.config.stash[LEDGER].add(getattr(node, "workeroutput", {}).get("ledger"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print every fault that was tried, whether or not its test passed."""
    ledger = config.stash[LEDGER]
    terminalreporter.section("faults")
    for line in [*ledger.table(), *ledger.measured]:
        terminalreporter.line(line)


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Where a test records the faults it causes: `with ledger.attempt("what was done"): ...`."""
    return request.config.stash[LEDGER]


@pytest.fixture(scope="session", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep programs from the user's settings, credentials and caches."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in ("SYSTEM_CONFIG", "GLOBAL_CONFIG", "SITE_CACHE"):
            patch.setenv(f"DVC_{name}_DIR", str(home / name.lower()))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "SSH_AUTH_SOCK"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory, toy_decoder_folder: Path) -> Path:
    """A repository in which the toy pipeline has run, with everything committed.

    Tests take a `clone` of it and leave it as it is. The pipeline runs once per session; each
    worker has a copy, since clones may share the copy's cache and add to it.
    """

    def make(folder: Path) -> None:
        copied(folder, toy_decoder_folder, languages=FEWER)
        run(folder, "dvc", "repro")
        run(folder, "git", "add", "-A")
        run(folder, "git", "commit", "-q", "-m", "Results")

    made = once(tmp_path_factory, "origin", make)
    folder = tmp_path_factory.mktemp("origin") / "repository"
    subprocess.run(["cp", "-a", made, folder], check=True)  # links between files stay links
    return folder


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Clone:
    """A function that makes a named clone of `origin`; `repository.cloned` says what `cache` is."""
    return lambda name, cache="empty": cloned(origin, tmp_path / name, cache=cache)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, of Playwright's type `Browser`; a test without it is skipped."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with driver.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Ssh]:
    """An SSH server, for the whole session."""
    with servers.ssh(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3]:
    """An S3 server, for the whole session."""
    with servers.s3(tmp_path_factory.mktemp("s3")) as server:
        yield server
