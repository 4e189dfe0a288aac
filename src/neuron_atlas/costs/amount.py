"""An amount: a count as it is, or an estimate of one."""

Amount = float | int
