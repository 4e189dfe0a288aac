"""Variables that Ray reads when it is imported; what the user has set stays."""

import os

ADDRESS = "RAY_ADDRESS"
DEFAULTS = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is told to anybody
OF_A_CLUSTER_OF_ITS_OWN = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # it listens on 127.0.0.1


def set_defaults() -> None:
    """Set the variables; call it before Ray is imported."""
    own = {} if os.environ.get(ADDRESS) else OF_A_CLUSTER_OF_ITS_OWN
    for name, value in (DEFAULTS | own).items():
        os.environ.setdefault(name, value)
