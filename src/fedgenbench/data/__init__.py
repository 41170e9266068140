"""Data sets: fetch -> prepare -> partition. Nothing here imports torch."""
