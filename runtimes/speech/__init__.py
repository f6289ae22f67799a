"""Speech to text and text to speech, each in a process of its own that may fail without anything else failing."""
