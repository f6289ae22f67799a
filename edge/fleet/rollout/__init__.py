"""Releases in waves: the next step as a function, who drives it, what is known meanwhile, and what is left over."""
