"""Sentence by sentence: the mean of a text's pieces is fitted to the teacher's vector (tokenlearn)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kukla.train.extra import import_torch
from kukla.train.static.bag import Bag, Tokens, descend, set_rate
from kukla.train.static.settings import Settings

torch = import_torch("distilling a model")

__all__ = ["regress"]

Report = Callable[[str], None]


def regress(
    bag: Bag,
    texts: Sequence[Tokens],
    targets: NDArray[np.float32],
    settings: Settings,
    rng: np.random.Generator,
    report: Report,
) -> None:
    """Fit bag means to ``targets`` (n, d), principal axes first: 1 - cosine at every prefix (tokenlearn)."""
    width = min(targets.shape[1], max(settings.dims))
    dims = [width, *(d for d in settings.dims if d < width)]
    batch = min(settings.batch, len(texts))
    steps = settings.regress_epochs * (len(texts) // batch)
    optimiser = torch.optim.Adam([bag.weight], lr=settings.regress_rate, fused=True)
    order = np.concatenate([rng.permutation(len(texts)) for _ in range(settings.regress_epochs + 1)])
    for step in range(steps):
        set_rate(optimiser, settings.regress_rate, step, steps)
        rows = order[step * batch : (step + 1) * batch]
        x, y = bag([texts[i] for i in rows]), torch.from_numpy(targets[rows])
        losses = [1 - torch.nn.functional.cosine_similarity(x[:, :d], y[:, :d]).mean() for d in dims]
        loss = torch.stack(losses).mean()
        descend(optimiser, loss)
        if step % 50 == 0 or step == steps - 1:
            report(f"regression {step}/{steps}: {loss.item():.4f}")
