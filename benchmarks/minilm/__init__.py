"""all-MiniLM-L6-v2 before and after Matryoshka fine-tuning, beside projections of the untouched model."""
