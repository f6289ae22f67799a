"""Cameras watched as they come, for as long as it takes: one camera, a site of them, its file, its guards and watchdogs."""
