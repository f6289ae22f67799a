"""The pages of the camera apps, written in NiceGUI and FastAPI."""
