"""What the camera apps share: frames from any source, tracks, poses, rules, events, recordings."""
