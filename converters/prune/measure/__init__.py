"""What channels are worth: how much of what their readers make is lost with them, and how far that is felt at the outputs."""
