"""Language engines behind `runtimes.text`, one file per engine; the file's name is the engine's name."""
