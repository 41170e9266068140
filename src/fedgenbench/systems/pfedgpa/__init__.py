"""pFedGPA's weight space: client models as vectors, their networks, diffusion and inversion.

See ``docs/weightspace.md``; the facts behind it are in papers/pfedgpa.md.
"""
