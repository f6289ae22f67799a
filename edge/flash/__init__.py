"""A blank card becomes a board that boots into an app: an image is written, checked and given its first-boot settings."""
