"""The digit app's page and its programming interface, written in NiceGUI and FastAPI."""
