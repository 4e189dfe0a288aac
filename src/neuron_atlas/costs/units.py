"""Numbers as people read them: with a prefix, as bytes, as a time."""

from neuron_atlas.costs.amount import Amount


def amount(value: Amount, unit: str) -> str:
    """Return a large number with three digits and its prefix."""
    for factor, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}".strip()


def size_of(value: Amount) -> str:
    """Return bytes with their prefix."""
    return amount(value, "B")


def duration(seconds: Amount) -> str:
    """Return seconds, minutes, hours or days."""
    for factor, unit in ((86400 * 2, "days"), (3600 * 2, "h"), (120, "min")):
        if seconds >= factor:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.3g} {unit}"
    return f"{seconds:.0f} s"
