"""What is left makes up for what went: readers take over at once, then layer by layer by least squares. Nothing is trained."""
