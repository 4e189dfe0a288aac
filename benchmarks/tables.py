"""Write the results as Markdown tables into the page that holds them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START, END = "<!-- benchmarks -->\n", "<!-- end of benchmarks -->\n"
Rows = Sequence[Mapping[str, Any]]


def comparison(rows: Rows) -> str:
    """Return the table of the comparisons."""
    head = ["work", "peer", "ours, s", "peer, s", "ratio", "parity", "MB, ours / peer", "more"]
    body = [
        [
            f"`{row['name']}`",
            f"{row['peer']} {row['peer_version']}",
            f"{row['ours_s']:.3g}",
            f"{row['peer_s']:.3g}",
            f"{row['ratio']:.3g}x",
            _parity(row),
            f"{row['ours_mb'] or '-'} / {row['peer_mb'] or '-'}",
            _more(row),
        ]
        for row in rows
    ]
    return _table(head, body, right=slice(2, 5))


def growth(rows: Rows) -> str:
    """Return the table of how time grows."""
    head = ["grows with", "work", "sizes", "seconds", "exponent"]
    body = [
        [
            row["axis"],
            row["work"],
            ", ".join(map(str, row["sizes"])),
            ", ".join(f"{s:.2g}" for s in row["seconds"]),
            f"{row['exponent']:.2f}",
        ]
        for row in rows
    ]
    return _table(head, body, right=slice(4, 5))


def _parity(row: Mapping[str, Any]) -> str:
    return "-" if row["parity"] is None else f"{row['parity']:.2g} {row['parity_unit']}"


def _more(row: Mapping[str, Any]) -> str:
    """Return the entries that only some rows have."""
    parts = [row["work"]]
    if "share_of_gemm_peak" in row:
        peak = f"{row['gemm_peak_gflops']:.0f} GFLOP/s"
        parts.append(f"{row['share_of_gemm_peak']:.0%} of the {peak} of a matrix product")
    if "nodes" in row:
        parts.append(
            f"{row['nodes']} Radau points; completeness error "
            f"{row['ours_completeness_error']:.1g}, the peer's {row['peer_completeness_error']:.1g}"
        )
    if "same_top_20" in row:
        parts.append(f"{row['same_top_20']} of the 20 strongest neurons are the same")
    return "; ".join(parts)


def _table(head: Sequence[str], body: Sequence[Sequence[str]], *, right: slice) -> str:
    rule = ["---"] * len(head)
    rule[right] = ["--:"] * len(rule[right])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, rule, *body])


def page(text: str, tables: str) -> str:
    """Return a page with the text between its two markers replaced.

    Raises:
        ValueError: the page has not each marker once, in order.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in after:
        raise ValueError(f"expected {START.strip()} and then {END.strip()}, once each")
    return f"{before}{START}{tables}{END}{after}"


def write(path: Path, tables: str) -> None:
    """Put the tables on a page that has the markers."""
    path.write_text(page(path.read_text(encoding="utf-8"), tables), encoding="utf-8")
