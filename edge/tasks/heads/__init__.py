"""One file for each family of model ends. Adding a head is adding a file."""
