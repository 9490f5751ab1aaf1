"""The recipe of Kukla's built-in model: ``python -m recipes.builtin_model DATA_FOLDER --out MODEL_FOLDER``.

Read it in the order it runs: data (texts and pairs) -> tokenizer (pieces) -> distil (a teacher's geometry) ->
train (nested contrastive) -> quantise (int8) -> evaluate (nDCG@10 of what ships) -> card (the README).
"""
