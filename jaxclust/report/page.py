"""The report's HTML: one page without any address in it, readable on a phone, by keyboard and in the dark."""

import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxclust.comparison import tables
from jaxclust.evaluation import agreement, metrics
from jaxclust.report import charts, html, image_grid
from jaxclust.report.assets import SCRIPT, STYLE
from jaxclust.runs.repeat import repeat

if TYPE_CHECKING:
    from jaxclust.report.look import Look

SHOWN = 24
"""Images in a contact sheet, and in the rows of most and least certain ones."""
THUMBNAIL = 32
"""Pixels, at most, of an image shown over the embedding."""
PHASES = {"pretrain": "Pretraining", "cluster": "Clustering"}
# No script, style or picture from anywhere else, and no request to anyone.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def render(comparison: dict[str, Any] | None, looks: Sequence["Look"], notes: Sequence[str]) -> str:
    """The page.

    Args:
      comparison: as ``compare.comparison`` gives it; None where nothing has scores.
      looks: a section each.
      notes: of reading, that the comparison does not have.
    """
    names = [f"{look.cell.method} on {look.cell.data}" for look in looks]
    links = [("comparison", "Comparison")] * (comparison is not None)
    links += [(f"run-{number}", name) for number, name in enumerate(names)]
    listed = "".join(f'<li><a href="#{place}">{html.text(name)}</a></li>' for place, name in links)
    parts = [_comparison(comparison)] if comparison else []
    parts += [html.notes(notes)]
    # Runs on the same images show the same thumbnails: each sheet of them is in the page once.
    sprites: dict[str, str] = {}
    parts += [
        _look(number, name, look, sprites)
        for number, (name, look) in enumerate(zip(names, looks, strict=True))
    ]
    thumbnails = "".join(
        f".{name}{{background-image:url({uri})}}\n" for uri, name in sprites.items()
    )
    title = "Clustering report" + (f": {names[0]}" if len(names) == 1 else "")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<link rel="icon" href="data:,">
<title>{html.text(title)}</title>
<style>{STYLE}
{thumbnails}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><h1>{html.text(title)}</h1><nav aria-label="Sections"><ul>{listed}</ul></nav></header>
<main id="main">
{"".join(parts)}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _comparison(comparison: dict[str, Any]) -> str:
    metric = tables.TITLES[comparison["metric"]]
    figures = []
    for data in comparison["data"]:
        rows = sorted(
            data["methods"],
            key=lambda row: -np.inf if row["mean"] is None else row["mean"],
            reverse=True,
        )
        mark = next((row["mean"] for row in rows if row["method"] == comparison["baseline"]), None)
        # Baselines and rows from files have no section that lists their seeds.
        seeds = "; ".join(f"{row['method']} {_scores(row['seeds'])}" for row in rows)
        chart = charts.intervals(rows, f"{metric} of each seed on {data['name']}: {seeds}", mark)
        if chart:
            caption = (
                f"{html.text(data['name'])}: {metric}, the highest mean first. A dot is a seed, the stroke the mean, "
                "the thick line its interval, the thin line where one more run falls"
            )
            caption += (
                "."
                if mark is None
                else f", the dashed line {html.text(comparison['baseline'])}'s mean."
            )
            figures.append(f"<figure>{chart}<figcaption>{caption}</figcaption></figure>")
    body = "".join(html.table(table) for table in tables.sections(comparison))
    family = {"all": "all data sets", "data": "each data set by itself"}[comparison["family"]]
    return (
        f'<section id="comparison"><h2>Comparison</h2><p>Primary metric: {metric}. '
        f"Comparisons corrected together: those on {family}.</p>"
        f'<div class="figures">{"".join(figures)}</div>{body}{html.notes(comparison["notes"])}</section>'
    )


def _scores(seeds: dict[str, float | None]) -> str:
    return ", ".join("failed" if score is None else f"{score:.3f}" for score in seeds.values())


def _look(number: int, name: str, look: "Look", sprites: dict[str, str]) -> str:
    parts = [f'<section id="run-{number}"><h2>{html.text(name)}</h2>', html.notes(look.notes)]
    if look.seeds:
        parts += [_lead(look), _seeds(look), _clusters(look), _curves(name, look), _matrices(look)]
        if look.places is not None:
            parts.append(embedding(number, look, sprites))
        if look.data is not None:
            parts.append(_contact(look))
    parts += [_settings(look), "</section>"]
    return "".join(parts)


def _lead(look: "Look") -> str:
    clusters = look.settings[0]["config"]["clusters"]
    text = f"{look.labels.shape[1]:,} images, {clusters} clusters, "
    if look.cell.constant:
        return f"<p>{text}one value for all seeds: the method draws no random number.</p>"
    text += f"{len(look.cell.rows)} seeds"
    if look.cell.failed:
        text += f", {len(look.cell.failed)} of them failed"
    text += "."
    if len(look.seeds) > 1:
        voted, share, scores = look.consensus
        whole = 100 * float(np.mean(share > 1 - 1e-9))
        text += (
            f" All seeds agree on {whole:.1f} % of the images, their clusters matched to "
            f"those of seed {look.seeds[look.medoid]}. Their consensus, the cluster with most votes, "
            f"has {len(np.unique(voted))} clusters"
        )
        if scores:
            text += (
                f" and ACC {scores['acc']:.4f}, NMI {scores['nmi']:.4f}, ARI {scores['ari']:.4f}"
            )
        text += "."
    text += f" Pictures show seed {look.seeds[look.medoid]}"
    text += ", which agrees best with the others." if len(look.seeds) > 1 else "."
    return f"<p>{text}</p>"


def _seeds(look: "Look") -> str:
    """A line a seed: scores, then what can be known without labels."""
    header = [
        "seed",
        "ACC",
        "NMI",
        "ARI",
        "agreement",
        "silhouette",
        "final loss",
        "largest cluster",
        "seconds",
    ]
    agree = agreement.stability(look.agreement)
    rows = []
    for seed, row in sorted(look.cell.rows.items()):
        if row["failed"] is not None:
            rows.append([f"{seed}: failed, {look.cell.failed[seed]}", *["-"] * 8])
            continue
        place = look.seeds.index(seed)
        silhouette = None if look.silhouettes is None else look.silhouettes[place]
        rows.append(
            [
                str(seed),
                *(tables.number(row[name]) for name in ("acc", "nmi", "ari")),
                html.number(agree[place]),
                html.number(silhouette),
                html.number(look.losses[place] if look.losses else None, ".4g"),
                html.number(row.get("largest_cluster"), ".1%"),
                html.number(row.get("seconds"), ".2f"),
            ]
        )
    table = html.table(tables.Table("Seeds; from agreement on without labels", header, rows))
    return (
        table
        + _told(look, agree)
        + (
            '<p class="small">Agreement: mean ARI with the other seeds; it also rewards erring the same way each time. '
            "Silhouette: of a sample's embedding; it rewards collapse, as training pulls clusters together. Final "
            "loss: compares seeds of one method, number of clusters and preset, nothing else.</p>"
        )
    )


def _told(look: "Look", agree: np.ndarray) -> str:
    """Where labels are known: whether what needs none would have told good seeds from bad."""
    acc = [look.cell.rows[seed]["acc"] for seed in look.seeds]
    if len(acc) < agreement.LEAST_SEEDS or None in acc:
        return ""
    measures = {
        "agreement": agree,
        "silhouette": look.silhouettes,
        "lower final loss": -np.array(look.losses),
    }
    found = {
        name: agreement.rank_correlation(values, acc)
        for name, values in measures.items()
        if values is not None
    }
    told = ", ".join(f"{name} {value:+.2f}" for name, value in found.items() if np.isfinite(value))
    return f"<p>Rank correlation with ACC over these {len(acc)} seeds: {told}.</p>" if told else ""


def _clusters(look: "Look") -> str:
    """How the number of clusters was chosen."""
    if not look.clusters:
        return ""
    chosen = look.settings[0]["config"]["clusters"]
    each = ", ".join(f"{k} {value:.3f}" for k, value in look.clusters.items())
    chart = charts.line(
        list(look.clusters),
        list(look.clusters.values()),
        chosen,
        ("clusters", f"Agreement by clusters: {each}"),
    )
    best = agreement.best_clusters(look.clusters)
    caption = f"Mean ARI between seeds by number of clusters; {best} is the largest within 0.01 of the best"
    caption += "." if best == chosen else f", this run has {chosen}."
    return (
        f'<h3>Number of clusters</h3><div class="figures"><figure>{chart}<figcaption>{caption}</figcaption></figure>'
        "</div>"
    )


def _curves(name: str, look: "Look") -> str:
    figures = []
    for phase, columns in look.history.items():
        for what in ("loss", "changed"):
            if what not in columns:
                continue
            seeds = [
                seed
                for seed in look.seeds
                if np.isfinite(columns[what][columns["seed"] == seed]).any()
            ]
            if not seeds:
                continue
            lanes = [columns["seed"] == seed for seed in seeds]
            windows = [columns["window"][lane] + 1 for lane in lanes]
            values = [columns[what][lane] for lane in lanes]
            title = {"loss": "loss", "changed": "fraction of labels changed"}[what]
            ends = ", ".join(
                f"seed {seed} {v[-1]:.3g}" for seed, v in zip(seeds, values, strict=True)
            )
            label = f"{name}, {PHASES.get(phase, phase)}: {title} by window; at the end {ends}"
            below = "epoch" if phase == "pretrain" else "window"
            chart = charts.curves(windows, values, what == "loss", (below, label))
            if chart:
                caption = f"{PHASES.get(phase, html.text(phase))}: {title}"
                caption += ", a line a seed, their median and range." if len(seeds) > 1 else "."
                figures.append(f"<figure>{chart}<figcaption>{caption}</figcaption></figure>")
    return f'<h3>Curves</h3><div class="figures">{"".join(figures)}</div>' if figures else ""


def _matrices(look: "Look") -> str:
    parts = []
    if len(look.seeds) > 1:
        names = [f"seed {seed}" for seed in look.seeds]
        cells = [[f"{value:.2f}" for value in line] for line in look.agreement]
        parts.append(
            html.matrix(
                "Agreement between seeds (ARI)", names, names, cells, np.clip(look.agreement, 0, 1)
            )
        )
    if look.data is not None and look.data.labels is not None:
        counts = metrics.confusion(look.data.labels, look.labels[look.medoid])
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        rows = [f"class {k}" for k in range(counts.shape[0])]
        clusters = metrics.confusion_clusters(look.data.labels, look.labels[look.medoid])
        columns = [str(k) if k >= 0 else "" for k in clusters]
        cells = [[str(value) if value else "" for value in line] for line in counts]
        title = f"Classes by clusters, seed {look.seeds[look.medoid]}; clusters in the order of their classes"
        parts.append(html.matrix(title, rows, columns, cells, share))
    return (
        f'<h3>Agreement and confusion</h3><div class="figures">{"".join(parts)}</div>'
        if parts
        else ""
    )


def embedding(number: int, look: "Look", sprites: dict[str, str]) -> str:
    """The map of a run's images, as HTML.

    ``sprites`` are the classes of the sheets of thumbnails by their address; it gets this run's if it is new.
    """
    labels, data = look.labels[look.medoid][look.sample], look.data
    thumbs = data.images[look.sample]
    stride = -(-max(thumbs.shape[1:3]) // THUMBNAIL)
    thumbs = image_grid.as_colour(thumbs[:, ::stride, ::stride])
    size = thumbs.shape[2], thumbs.shape[1]
    columns = 40
    blank = np.zeros((-len(thumbs) % columns, *thumbs.shape[1:]), np.uint8)
    sprite = np.concatenate([thumbs, blank]).reshape(-1, columns, *thumbs.shape[1:])
    sprite = sprite.transpose(0, 2, 1, 3, 4).reshape(-1, columns * size[0], 3)
    thumbs_class = sprites.setdefault(html.uri(sprite), f"thumbs-{len(sprites)}")
    classes = None if data.labels is None else data.labels[look.sample]
    points = {
        "rows": look.rows[look.sample].tolist(),
        "clusters": labels.tolist(),
        "classes": None if classes is None else classes.tolist(),
        "size": size,
        "columns": columns,
        "colours": charts.COLOURS,
    }
    title = f"Embedding of {len(labels):,} images in two dimensions, coloured by cluster"
    switch = ""
    if classes is not None:
        switch = (
            '<fieldset class="switch"><legend>Colour</legend>'
            f'<label><input type="radio" name="colour-{number}" value="clusters" checked> by cluster</label>'
            f'<label><input type="radio" name="colour-{number}" value="classes"> by class</label></fieldset>'
        )
    return (
        f"<h3>Embedding</h3>{switch}"
        f'<figure class="embedding" data-points="{html.escape(json.dumps(points), quote=True)}">'
        f'<div class="stage" tabindex="0" role="application" aria-describedby="how-{number}" '
        f'aria-label="{html.text(title)}">{charts.scatter(look.places, labels, title)}</div>'
        f'<div class="thumb {thumbs_class}" aria-hidden="true"></div>'
        '<p class="readout" role="status" aria-live="polite"></p>'
        f'<figcaption id="how-{number}">t-SNE of the features, {len(labels):,} images, seed '
        f"{look.seeds[look.medoid]}. Point at one to see it; with the keyboard, arrow keys go to the nearest in that "
        "direction. Distances between far groups mean little.</figcaption></figure>"
    )


def _contact(look: "Look") -> str:
    labels, data = look.labels[look.medoid], look.data
    parts = ["<h3>Clusters</h3>", '<div class="sheets">']
    for cluster in range(look.settings[0]["config"]["clusters"]):
        members = np.flatnonzero(labels == cluster)
        text = f"cluster {cluster}: {len(members):,} images"
        if data.labels is not None and members.size:
            counts = np.bincount(data.labels[members])
            text += f", {100 * counts.max() / members.size:.0f} % of class {counts.argmax()}"
        chosen = np.random.default_rng(cluster).permutation(members)[:SHOWN]
        parts.append(
            html.sheet(data.images[chosen], f"{len(chosen)} of {text}", text)
            if members.size
            else f"<p>{text}</p>"
        )
    parts.append("</div>")
    if look.ranked is not None:
        parts.append('<h3>Most and least certain images</h3><div class="sheets wide">')
        for kind, rows in (("Most", look.ranked[:SHOWN]), ("Least", look.ranked[::-1][:SHOWN])):
            clusters = ", ".join(str(labels[row]) for row in rows)
            parts.append(
                html.sheet(
                    data.images[rows],
                    f"{kind} certain, of clusters {clusters}",
                    f"{kind} certain",
                    12,
                )
            )
        parts.append("</div>")
        parts.append(
            f'<p class="small">Of {len(look.ranked):,} images, by how much nearer the embedding is to the mean of its '
            "own cluster than to the next.</p>"
        )
    return "".join(parts)


def _settings(look: "Look") -> str:
    rows = list(look.cell.rows.values())
    versions = {
        json.dumps(row.get("versions"), sort_keys=True) for row in rows if row.get("versions")
    }
    devices = sorted({row["device"] for row in rows if row.get("device")})
    lines = [
        ", ".join(f"{name} {number}" for name, number in json.loads(one).items())
        for one in sorted(versions)
    ]
    on = "; on " + ", ".join(devices) if devices else ""
    commands = "\n".join(repeat(one) for one in look.settings)
    return (
        "<h3>To repeat it</h3>"
        f'<div class="scroll" role="region" tabindex="0" aria-label="Command"><pre>{html.text(commands)}</pre></div>'
        f'<p class="small">{html.text("; ".join(lines) + on)}</p>'
        "<details><summary>All settings</summary>"
        f"<pre>{html.text(json.dumps(look.settings, indent=1))}</pre></details>"
    )
