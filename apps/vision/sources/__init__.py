"""Sources of frames: each is opened, read and closed alike; who reads need not know which it is."""
