"""What the fixtures `say` and `find` of tests of commands are."""

from collections.abc import Callable
from typing import Any

from typer.testing import Result

Said = Callable[..., Result]
Found = Callable[..., dict[str, Any]]
