"""One YAML file per device; every figure has its source and the date it was read."""
