"""Data to judge a model on, in the forms people have it: one file per form."""
