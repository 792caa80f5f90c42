"""The parts of the conformance vectors; ``make_vectors.py`` beside this folder writes them."""
