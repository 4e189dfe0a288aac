"""Stage `facts`: the built-in facts, from CLDR and GeoNames."""
