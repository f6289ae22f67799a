"""The floor: nouns, errors and helpers that everything else stands on. Imports nothing else of edgekit."""
