"""The shell's own pages and routes, written in FastAPI and NiceGUI: imported only once `need` has found these."""
