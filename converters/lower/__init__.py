"""One package or file per output format: `lower(graph, ...) -> Lowered`."""
