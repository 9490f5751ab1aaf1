"""Static models: a sentence transformer distilled into token vectors whose prefixes are embeddings.

In the order of a run: corpus -> vocabulary -> teacher -> initial -> regress -> contrast -> write. ``kukla
distill`` is :func:`kukla.train.static.distil.distil`; the recipe of the built-in model puts the same parts
together. Importing this package imports no torch; regressing and contrasting do.
"""
