"""One file per source format: `load(path) -> Graph`."""
