"""The parts of ``run_vectors.py``, which is beside this folder."""
