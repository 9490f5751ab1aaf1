"""MRL prefix, rotations, learned heads, random projection, quantisation only, on the same data and dims."""
