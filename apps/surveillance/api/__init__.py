"""The surveillance system for programs: cameras, events, clips, snapshots, configuration, health and figures."""
