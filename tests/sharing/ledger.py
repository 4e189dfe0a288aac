"""The record of faults that tests caused on purpose, and of what became of the work."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Row:
    """How often a fault was caused; of these, how often something was lost, or nothing was."""

    tried: int = 0
    lost: int = 0
    recovered: int = 0


@dataclass(frozen=True)
class Ledger:
    """Counts of each fault in the order in which they came, and lines on what was measured."""

    rows: dict[str, Row] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)

    @contextmanager
    def attempt(self, fault: str, *, times: int = 1) -> Iterator[None]:
        """Cause a fault in the body, and check there that all came back; it is lost if that fails.

        Args:
            fault: Words for the row of the table; attempts with the same words add up.
            times: How often the body causes it.
        """
        row = self.rows.setdefault(fault, Row())
        row.tried += times
        row.lost += times  # until the body has shown otherwise
        yield
        row.lost -= times
        row.recovered += times

    def packed(self) -> dict[str, Any]:
        """Return what another process can `add`."""
        return {"rows": {k: asdict(v) for k, v in self.rows.items()}, "measured": self.measured}

    def add(self, packed: Mapping[str, Any] | None) -> None:
        """Add the counts of another process; None comes from one that died."""
        for fault, counts in (packed or {}).get("rows", {}).items():
            row = self.rows.setdefault(fault, Row())
            row.tried += counts["tried"]
            row.lost += counts["lost"]
            row.recovered += counts["recovered"]
        self.measured.extend((packed or {}).get("measured", []))

    def table(self) -> list[str]:
        """Return the lines of a Markdown table."""
        width = max(map(len, self.rows), default=0)
        lines = [f"| {'fault':{width}} | tried | lost | recovered |"]
        lines.append(f"|{'-' * (width + 2)}|------:|-----:|----------:|")
        return lines + [
            f"| {fault:{width}} | {row.tried:5} | {row.lost:4} | {row.recovered:9} |"
            for fault, row in self.rows.items()
        ]
