"""Channels evened out before anything is rounded, where they must share one scale."""
