"""One camera's frames, understood one after the other: does anything move, what is there, who is it, what do they do."""
