"""A new artifact on a running board: uploaded by hash, proven there, switched to in one step, taken back when it is worse.

`board` runs on the board and is the whole truth about it; `push` drives it over ssh, and so may any other agent.
"""
