"""The fleet in the shared shell: what every board runs and how it is, how far a rollout has come, and the button that halts it."""
