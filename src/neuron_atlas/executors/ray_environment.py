"""Variables that Ray reads when it is imported; what the user has set stays."""

import os

ADDRESS = "RAY_ADDRESS"
MODE = "RAY_AUTH_MODE"
DEFAULTS = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is told to anybody
OF_A_CLUSTER_OF_ITS_OWN = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # it listens on 127.0.0.1


def address() -> str | None:
    """Return the cluster that is named; None for one of this machine's own, Ray's `local`."""
    named = os.environ.get(ADDRESS)
    return None if named == "local" else named or None


def set_defaults() -> None:
    """Set the variables; call it before Ray is imported."""
    own = {} if address() else OF_A_CLUSTER_OF_ITS_OWN
    for name, value in (DEFAULTS | own).items():
        os.environ.setdefault(name, value)
