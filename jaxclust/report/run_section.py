"""The section of a run on the page: scores, curves, agreement, images, and how to repeat it."""

import json
from collections.abc import Iterator

import numpy as np

from jaxclust.comparison import table_cells
from jaxclust.evaluation import agreement, metrics
from jaxclust.report import charts, elements, image_section, renewals
from jaxclust.report.elements import text
from jaxclust.report.image_section import Shown
from jaxclust.report.look import Agreement, Look
from jaxclust.report.run_images import Pictures
from jaxclust.runs.consensus import CLUSTERS_CSV, Consensus
from jaxclust.runs.repeat import repeat

PHASES = {"pretrain": "Pretraining", "cluster": "Clustering"}
OWN_LABELS = "labels.npy"
"""The file of a run's own labeling, of which ``clusters.csv`` is the consensus."""
CURVES = {"loss": "loss", "changed": "fraction of labels changed"}
"""Columns of a history that are drawn, and their titles."""


def section(number: int, look: Look, sprites: dict[str, str]) -> str:
    """The section, as HTML.

    Args:
      number: its place among the sections of runs.
      look: what it shows.
      sprites: see ``image_section.embedding_map``.
    """
    parts = [f'<section id="run-{number}"><h2>{text(look.cell.where)}</h2>']
    parts.append(elements.notes(look.notes))
    if look.agreement is not None:
        parts.append(_lead(look, look.agreement))
        parts.append(_seeds(look, look.agreement))
        parts.append(_clusters(look))
        parts.append(_curves(look))
        parts.append(_matrices(look, look.agreement))
        if look.pictures is not None:
            parts.append(_images(number, look, look.agreement.consensus, look.pictures, sprites))
    parts += [_settings(look), "</section>"]
    return "".join(parts)


def _images(
    number: int, look: Look, consensus: Consensus, pictures: Pictures, sprites: dict[str, str]
) -> str:
    """The map of the embedding and the sheets of images, by the clusters of the consensus."""
    voters = len(consensus.seeds)
    shown = Shown(consensus.medoid, consensus.labels, look.rows, pictures, voters)
    sheets = image_section.cluster_sheets(shown, look.settings[0].clusters)
    if look.embedding is None:
        return sheets
    embedded = image_section.embedding_map(number, shown, look.embedding, sprites)
    return embedded + sheets + image_section.certain_sheets(shown, look.embedding.ranked)


def _lead(look: Look, seeds: Agreement) -> str:
    """The first sentences: sizes, agreement, consensus."""
    sizes = f"{look.labels.shape[1]:,} images, {look.settings[0].clusters} clusters"
    if look.cell.constant:
        return f"<p>{sizes}, one value for all seeds: the method draws no random number.</p>"
    words = f"{sizes}, {len(look.cell.rows)} seeds"
    if look.cell.failed:
        words += f", {len(look.cell.failed)} of them failed"
    words += "."
    votes = seeds.consensus
    if len(look.seeds) == 1:
        return f"<p>{words} The clusters below are those of seed {votes.medoid}.</p>"
    whole = 100 * float(np.mean(votes.share > 1 - 1e-9))
    words += (
        f" All seeds agree on {whole:.1f} % of the images, when their clusters are matched to "
        f"those of seed {votes.medoid}, which agrees best with the others. The consensus, the "
        f"cluster with most votes for each image, has {len(np.unique(votes.labels))} clusters"
    )
    if seeds.scores:
        acc, nmi, ari = (f"{seeds.scores[name]:.4f}" for name in ("acc", "nmi", "ari"))
        words += f" and ACC {acc}, NMI {nmi}, ARI {ari}"
    return f"<p>{words}.</p><p>{_numbers(look, votes)}</p>"


def _numbers(look: Look, votes: Consensus) -> str:
    """Sentences on what the numbers of clusters on the page are."""
    words = (
        "The clusters below are those of the consensus, and have the numbers that seed "
        f"{votes.medoid} gave them."
    )
    if len(look.cell.folders) > 1:
        return (
            f"{words} The seeds of {len(look.cell.folders)} folders vote together here: the "
            f"{CLUSTERS_CSV} of a folder may have other numbers."
        )
    if look.cell.labels != OWN_LABELS:
        return (
            f"{words} They are the clusters of {text(look.cell.labels)}; {CLUSTERS_CSV} has those "
            f"of {OWN_LABELS}, with other numbers."
        )
    if all((folder / CLUSTERS_CSV).exists() for folder in look.cell.folders):
        words += f" {CLUSTERS_CSV} in the run's folder lists them for every image."
    return words


def _seeds(look: Look, seeds: Agreement) -> str:
    """A line for each seed: scores, then what can be known without labels."""
    header = ["seed", "ACC", "NMI", "ARI", "agreement", "silhouette"]
    header += ["final loss", "largest cluster", "seconds"]
    agree = agreement.stability(seeds.consensus.agreement)
    silhouettes = None if look.embedding is None else look.embedding.silhouettes
    rows = []
    for seed, row in sorted(look.cell.rows.items()):
        if row.failed is not None:
            rows.append([f"{seed}: failed, {look.cell.failed[seed]}", *["-"] * 8])
            continue
        place = look.seeds.index(seed)
        cells = [
            str(seed),
            table_cells.number(row.acc),
            table_cells.number(row.nmi),
            table_cells.number(row.ari),
            elements.number(agree[place]),
            elements.number(None if silhouettes is None else silhouettes[place]),
            elements.number(seeds.losses[place], ".4g"),
            elements.number(row.largest_cluster, ".1%"),
            elements.number(row.seconds, ".2f"),
        ]
        rows.append(cells)
    if len(look.seeds) > 1:
        rows.append(_consensus_cells(seeds))
    title = "Seeds; the columns from agreement on need no labels"
    return (
        elements.table(table_cells.Table(title, header, rows))
        + _correlations(look, seeds)
        + '<p class="small">Agreement is the mean ARI with the other seeds; it also rewards errors '
        "that all seeds make. Silhouette is that of a sample in the embedding; it rewards "
        "collapse, since training pulls clusters together. Final losses compare seeds of one "
        "method, number of clusters and preset, and nothing else.</p>"
    )


def _consensus_cells(seeds: Agreement) -> list[str]:
    """The line of the consensus in the table of seeds."""
    scores = seeds.scores or {}
    sizes = np.bincount(seeds.consensus.labels)
    return [
        "consensus",
        *(table_cells.number(scores.get(name)) for name in ("acc", "nmi", "ari")),
        *["-"] * 3,
        elements.number(float(sizes.max() / sizes.sum()), ".1%"),
        "-",
    ]


def _correlations(look: Look, seeds: Agreement) -> str:
    """Where labels are known: whether measures without labels tell good seeds from bad ones."""
    scores = [look.cell.rows[seed].acc for seed in look.seeds]
    acc = [score for score in scores if score is not None]
    if len(acc) < len(scores) or len(acc) < agreement.LEAST_SEEDS:
        return ""
    measures = {"agreement": agreement.stability(seeds.consensus.agreement)}
    if look.embedding is not None:
        measures["silhouette"] = np.array(look.embedding.silhouettes)
    measures["lower final loss"] = -np.array(seeds.losses)
    correlations = {
        name: agreement.rank_correlation(values, acc) for name, values in measures.items()
    }
    words = ", ".join(
        f"{name} {value:+.2f}" for name, value in correlations.items() if np.isfinite(value)
    )
    if not words:
        return ""
    return f"<p>Rank correlation with ACC over these {len(acc)} seeds: {words}.</p>"


def _clusters(look: Look) -> str:
    """How the number of clusters was chosen."""
    if not look.clusters:
        return ""
    chosen = look.settings[0].clusters
    each = ", ".join(f"{k} {value:.3f}" for k, value in look.clusters.items())
    title = f"Agreement by clusters: {each}"
    numbers = list(look.clusters)
    chart = charts.line(numbers, list(look.clusters.values()), chosen, "clusters", title)
    best = agreement.best_clusters(look.clusters)
    caption = f"Mean ARI between seeds by number of clusters; {best} is the largest within 0.01"
    caption += " of the best" + ("." if best == chosen else f", this run has {chosen}.")
    figure = f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"
    return f'<h3>Number of clusters</h3><div class="figures">{figure}</div>'


def _curves(look: Look) -> str:
    """Losses and changed labels of each phase."""
    figures = "".join(_curve_figures(look))
    return f'<h3>Curves</h3><div class="figures">{figures}</div>' if figures else ""


def _curve_figures(look: Look) -> Iterator[str]:
    for phase, columns in look.history.items():
        for column, title in CURVES.items():
            if column not in columns:
                continue
            lanes = {seed: columns["seed"] == seed for seed in look.seeds}
            lanes = {
                seed: lane
                for seed, lane in lanes.items()
                if np.isfinite(columns[column][lane]).any()
            }
            if not lanes:
                continue
            windows = [columns["window"][lane] + 1 for lane in lanes.values()]
            values = [columns[column][lane] for lane in lanes.values()]
            last = zip(lanes, values, strict=True)
            ends = ", ".join(f"seed {seed} {value[-1]:.3g}" for seed, value in last)
            name = f"{PHASES.get(phase, phase)}: {title}"
            label = f"{look.cell.where}, {name} by window; at the end {ends}"
            below = "epoch" if phase == "pretrain" else "window"
            chart = charts.curves(windows, values, column == "loss", below, label)
            if chart:
                several = ", a line for each seed, their median and range" if len(lanes) > 1 else ""
                anew = renewals.sentence(look.settings[0].config) if phase == "cluster" else ""
                caption = text(f"{name}{several}. {anew}".strip())
                yield f"<figure>{chart}<figcaption>{caption}</figcaption></figure>"


def _matrices(look: Look, seeds: Agreement) -> str:
    """Agreement of each pair of seeds, and classes by clusters."""
    parts = []
    if len(look.seeds) > 1:
        names = [f"seed {seed}" for seed in look.seeds]
        matrix = seeds.consensus.agreement
        cells = [[f"{value:.2f}" for value in line] for line in matrix]
        shade = np.clip(matrix, 0, 1)
        title = "Agreement between seeds (ARI)"
        parts.append(elements.matrix(title, names, names, cells, shade))
    classes = None if look.pictures is None else look.pictures.labels
    if look.pictures is not None and classes is not None and (classes >= 0).any():
        parts.append(_confusion(look.pictures, classes, seeds.consensus))
    if not parts:
        return ""
    return f'<h3>Agreement and confusion</h3><div class="figures">{"".join(parts)}</div>'


def _confusion(pictures: Pictures, classes: np.ndarray, votes: Consensus) -> str:
    """Classes by clusters of the consensus; ``classes`` are the true ones, (n,), -1 for unknown."""
    known = classes >= 0
    classes = classes[known]
    labels = votes.labels[known]
    counts = metrics.confusion(classes, labels)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [pictures.class_name(k) for k in np.unique(classes).tolist()]
    clusters = metrics.confusion_clusters(classes, labels)
    columns = [str(k) if k >= 0 else "" for k in clusters]
    cells = [[str(value) if value else "" for value in line] for line in counts]
    who = "the consensus" if len(votes.seeds) > 1 else f"seed {votes.medoid}"
    title = f"Classes by clusters of {who}; clusters in the order of their classes"
    return elements.matrix(title, rows, columns, cells, share)


def _settings(look: Look) -> str:
    """How to repeat the run: the command, versions, and all settings."""
    rows = look.cell.rows.values()
    versions = {json.dumps(row.versions, sort_keys=True) for row in rows if row.versions}
    lines = [
        ", ".join(f"{name} {number}" for name, number in json.loads(version).items())
        for version in sorted(versions)
    ]
    devices = sorted({row.device for row in rows if row.device})
    on = "; on " + ", ".join(devices) if devices else ""
    commands = "\n".join(repeat(settings) for settings in look.settings)
    everything = [settings.to_json() | {"origin": settings.origin} for settings in look.settings]
    return (
        '<h3>To repeat it</h3><div class="scroll" role="region" tabindex="0" aria-label="Command">'
        f"<pre>{text(commands)}</pre></div>"
        f'<p class="small">{text("; ".join(lines) + on)}</p>'
        "<details><summary>All settings</summary>"
        f"<pre>{text(json.dumps(everything, indent=1))}</pre></details>"
    )
