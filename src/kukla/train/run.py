"""A training run from its configuration to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kukla.errors import InputError
from kukla.train.base import load_base
from kukla.train.checkpoints import RunFolder
from kukla.train.config import TrainConfig
from kukla.train.curves import Curves, draw_training
from kukla.train.data import Examples, read_examples
from kukla.train.dev import Collection, read_collection
from kukla.train.extra import import_sentence_transformers, import_torch
from kukla.train.result import Before, write_result
from kukla.train.schedule import parse_dims
from kukla.train.shallow import check_layers

__all__ = ["Trained", "train_model"]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """Where the model is, the curves of its training, the step it is of, and its quality on test sets."""

    folder: Path
    curves: Curves
    step: int
    quality: dict[str, dict[str, Any]]


def train_model(
    config: TrainConfig,
    *,
    resume: bool = False,
    force: bool = False,
    watch: Callable[[Curves], None] | None = None,
    say: Say = lambda line: None,
) -> Trained:
    """Train a model as a configuration says, and write it where ``SentenceTransformer(out)`` loads it.

    Parameters
    ----------
    config : TrainConfig
    resume : bool
        Go on with the run at ``out``, from its last whole checkpoint: to the same result, bit for bit on one
        machine, as if it had not been interrupted.
    force : bool
        Replace a run at ``out``.
    watch : callable, optional
        Called with all curves whenever there is a new point.
    say : callable, optional
        Called with a line about what was decided.

    Raises
    ------
    MissingExtraError
        Without torch, sentence-transformers, datasets or accelerate: ``pip install 'kukla[train]'``.
    InputError, ReadError
        The configuration, data or base cannot be used; the loss is no number; memory ran out.
    """
    torch = import_torch("training a model")
    import_sentence_transformers()
    from transformers import set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()
    if config.mixed == "fp16" and not torch.cuda.is_available():
        raise InputError("mixed: fp16 needs a GPU, and there is none; bf16 and no work here")
    examples = [
        read_examples(part.path, part.loss, columns=part.columns, label=part.label, rows=part.rows)
        for part in config.parts
    ]
    dev = None if config.dev is None else read_collection(config.dev)
    tests = [read_collection(one) for one in config.test]
    set_seed(config.seed)
    with _memory_errors(torch, config):
        model = load_base(config)
    width = _width(model)
    dims = parse_dims(config.dims, width)
    if config.layers:
        check_layers(model, config.keep_layers)
    folder = RunFolder(Path(config.out))
    told = config.to_dict() | {"data_fingerprint": "+".join(one.fingerprint for one in examples)}
    checkpoint = folder.open(told, resume=resume, force=force)
    if resume:
        say(f"resumed at {checkpoint.name if checkpoint else 'step 0: there is no whole checkpoint'}")
    say(
        "; ".join(f"{len(one):,} rows of {', '.join(one.names)}" for one in examples)
        + f"; {width} dims, trained: {', '.join(map(str, dims))}"
    )
    if width not in dims:
        say(f"the whole {width} dims are not among those trained: whole vectors may get worse")
    before = _before(folder, model, tests, dims, config.batch)
    with _memory_errors(torch, config):
        curves, step = _descend(config, folder, model, examples, dev, checkpoint, watch)
    model.eval()
    quality = write_result(model, config, folder, examples, tests, before, curves, step)
    folder.finish()
    return Trained(folder.out, curves, step, quality)


def _width(model: Any) -> int:
    from kukla.embed.model_space import model_dim

    return model_dim(model)


def _before(
    folder: RunFolder, model: Any, tests: list[Collection], dims: tuple[int, ...], batch: int
) -> Before:
    """Quality of the base on each test set; measured once, also when the run is resumed."""
    kept: Before | None = folder.kept("before")
    if kept is None:
        kept = {}
        for one in tests:
            documents, queries = one.vectors(model, batch)
            kept[one.name] = one.quality(documents, queries, dims).as_dict()
        folder.keep("before", kept)
    return kept


def _descend(
    config: TrainConfig,
    folder: RunFolder,
    model: Any,
    examples: list[Examples],
    dev: Collection | None,
    checkpoint: Path | None,
    watch: Callable[[Curves], None] | None,
) -> tuple[Curves, int]:
    import datasets
    import torch
    from sentence_transformers import SentenceTransformerTrainingArguments
    from transformers import EarlyStoppingCallback

    from kukla.train.build import build_losses
    from kukla.train.trainer import CORE_FILE, DevEvaluator, NestedTrainer, Recorder

    losses, nested = build_losses(config, model, [len(one.classes) for one in examples])
    tables = [datasets.Dataset.from_dict(_columns(one)) for one in examples]
    # The names tell the trainer whose loss a batch goes through.
    names = [f"file_{number}" for number in range(1, len(tables) + 1)]
    core = torch.nn.ModuleDict(
        {name: one.core for name, one in zip(names, nested, strict=True) if one.core is not None}
    )
    curves = Curves.read(folder.curves, config.dims)
    if checkpoint is None:
        curves.until(0)
    else:
        curves.until(int(checkpoint.name.rpartition("-")[2]))
        if len(core):
            core.load_state_dict(torch.load(checkpoint / CORE_FILE, weights_only=True))
    contrastive = any(part.loss == "contrastive" for part in config.parts)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder.checkpoints),
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,
        per_device_train_batch_size=config.batch,
        gradient_accumulation_steps=config.accumulate,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,
        seed=config.seed,
        bf16=config.mixed == "bf16",
        fp16=config.mixed == "fp16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        # A text twice in a batch would be its own negative.
        batch_sampler="no_duplicates" if contrastive else "batch_sampler",
        logging_steps=max(1, config.every // 5),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=config.every,
        save_total_limit=2,
        eval_strategy="no" if dev is None else "steps",
        eval_steps=None if dev is None else config.every,
        load_best_model_at_end=dev is not None,
        metric_for_best_model=None if dev is None else "eval_ndcg_mean",
        greater_is_better=None if dev is None else True,
        restore_callback_states_from_checkpoint=True,
        report_to="none",
        disable_tqdm=True,
    )
    callbacks: list[Any] = [
        Recorder(curves, folder, nested[0], core, draw=find_spec("matplotlib") is not None, watch=watch)
    ]
    if config.patience is not None:
        callbacks.append(EarlyStoppingCallback(config.patience))
    trainer = NestedTrainer(
        model=model,
        args=arguments,
        train_dataset=tables[0]
        if len(tables) == 1
        else datasets.DatasetDict(zip(names, tables, strict=True)),
        loss=losses[0] if len(tables) == 1 else dict(zip(names, losses, strict=True)),
        evaluator=None if dev is None else DevEvaluator(dev, tuple(config.dims), config.batch),
        callbacks=callbacks,
    )
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    best = trainer.state.best_model_checkpoint
    if best and len(core):
        core.load_state_dict(torch.load(Path(best) / CORE_FILE, weights_only=True))
    if len(core):
        from safetensors.torch import save_file

        heads = core[names[0]] if len(names) == 1 else core
        save_file(heads.state_dict(), str(folder.out / "heads.safetensors"))
    if find_spec("matplotlib") is not None:
        draw_training(curves, folder.figure)
    step = int(Path(best).name.rpartition("-")[2]) if best else int(trainer.state.global_step)
    return curves, step


def _columns(examples: Examples) -> dict[str, Any]:
    columns: dict[str, Any] = {f"text_{place}": column for place, column in enumerate(examples.columns)}
    return columns if examples.labels is None else columns | {"label": examples.labels}


@contextmanager
def _memory_errors(torch: Any, config: TrainConfig) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On a CPU torch raises a plain RuntimeError.
        known = isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate" in str(error)
        if not known:
            raise
        raise InputError(
            f"out of memory with batch {config.batch}: a smaller batch or max_tokens, or mini_batch (the "
            "same numbers in less memory) may help; checkpoints are kept"
        ) from error
