"""What models are for: pictures in, answers out, and how good the answers are."""
