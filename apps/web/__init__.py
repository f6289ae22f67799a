"""The shell that every app's pages stand in: server, login, look. An app gives a `Shell` to `serve`; see docs/web.md."""
