"""What the conformance vectors are made of; ``make_vectors.py`` beside this folder writes them."""
