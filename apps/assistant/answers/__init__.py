"""Answers from passages: the prompt they stand in, the citations that are checked, and sentences quoted where no model is."""
