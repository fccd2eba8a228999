"""The built-in problem: a small vision transformer on handwritten digits, trained on this machine in seconds."""
