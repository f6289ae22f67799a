"""Runtime adapters, one file per engine; the file's name is the runtime's name."""
