"""The report's style and script, as they stand in the page."""

_COLORS = (
    "#4269d0", "#c87f0a", "#d6303a", "#2f8f83", "#2c7d2f",
    "#c2528b", "#8a5bd1", "#6b7a8f", "#8a5a2b", "#1b9bd1",
    "#a8860b", "#7a1f3d", "#4f9d69", "#b565d9", "#35507a",
    "#e0684b", "#5c8001", "#d1478f", "#00838f", "#7c6f64",
)  # fmt: skip

STYLE = (
    """
:root{--ground:#fbfbfa;--ink:#1c2026;--soft:#565f6b;--line:#d5d9de;--accent:#2457a7;--card:#fff;--mark:#b3261e}
@media(prefers-color-scheme:dark){
:root{--ground:#14171b;--ink:#e6e8eb;--soft:#a3abb6;--line:#3a414b;--accent:#8ab4f8;--card:#1c2026;--mark:#ff8a80}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main{max-width:1200px;margin:0 auto;padding:0 16px}
h1{font-size:1.7rem;line-height:1.2;margin:24px 0 8px}
h2{font-size:1.35rem;margin:40px 0 8px;padding-top:12px;border-top:2px solid var(--line)}
h3{font-size:1.05rem;margin:28px 0 8px}
p{max-width:75ch}
nav ul{display:flex;flex-wrap:wrap;gap:4px 16px;list-style:none;margin:0;padding:0}
nav a{display:inline-block;padding:6px 0}
a{color:var(--accent)}
.skip{position:absolute;left:-999px}
.skip:focus{left:8px;top:8px;background:var(--card);padding:8px;z-index:2}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.small,figcaption,.notes{color:var(--soft);font-size:.9rem}
.notes{padding-left:20px;max-width:85ch}
.scroll{overflow-x:auto;max-width:100%;margin:12px 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
caption{text-align:left;font-weight:600;padding:4px 0}
caption span{display:inline-block;position:sticky;left:0;max-width:min(88vw,1100px)}
th,td{padding:4px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th[scope=row],th.name{text-align:left}
th[scope=row]{font-weight:600}
.words td:last-child,.words thead th:last-child{text-align:left}
thead th{color:var(--soft);font-weight:600}
.matrix tr>td,.matrix tr>th{padding:3px 6px;text-align:center}
.matrix td{background:color-mix(in srgb,var(--accent) calc(var(--s,0)*40%),transparent)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,360px),1fr));gap:16px;align-items:start}
figure{margin:0}
.figures figure,.embedding{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:12px}
svg{display:block;width:100%;max-width:560px;height:auto;font:14px system-ui,sans-serif}
svg text{fill:var(--soft)}
svg .strong{fill:var(--ink);font-weight:600}
svg .middle{text-anchor:middle}
svg .end{text-anchor:end}
svg .grid{stroke:var(--line);stroke-width:1}
svg .thin{stroke:var(--soft);stroke-width:1.5}
svg .thick{stroke:var(--accent);stroke-width:7;stroke-linecap:round;opacity:.45}
svg .dot{fill:var(--ink);fill-opacity:.55}
svg .picked{fill:var(--mark);fill-opacity:1}
svg .mark{stroke:var(--accent);stroke-width:1.5;stroke-dasharray:5 4;fill:none}
svg .mean{stroke:var(--accent);stroke-width:3;fill:none}
svg .seed{fill:none;stroke:var(--soft);stroke-width:1;opacity:.6}
svg .median{fill:none;stroke:var(--accent);stroke-width:2.5}
svg .curve{fill:none;stroke-width:2.5}
svg .faint{opacity:.12}
svg .axis{stroke:var(--ink);stroke-width:1.5;fill:none}
svg .band{fill:var(--accent);opacity:.15}
svg .here{fill:none;stroke:var(--ink);stroke-width:2.5}
.figures figure{max-width:586px}
.embedding{position:relative;max-width:680px}
.stage{touch-action:pan-y;border-radius:6px}
.thumb{position:absolute;display:none;pointer-events:none;outline:1px solid var(--ink);
image-rendering:pixelated;transform-origin:0 0}
.readout{min-height:1.5em;margin:8px 0;font-variant-numeric:tabular-nums}
.switch{border:0;padding:0;margin:0 0 8px;display:flex;gap:16px;flex-wrap:wrap}
.switch legend{float:left;padding:0;margin-right:12px}
.switch label{padding:4px 0}
.sheets{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr));gap:16px}
.sheets.wide{grid-template-columns:repeat(auto-fit,minmax(min(100%,360px),1fr))}
.figures img,.sheets img{max-width:100%;height:auto;image-rendering:pixelated;border-radius:4px;
display:block}
.files{position:relative;width:fit-content;max-width:100%}
.files a,.files span{position:absolute}
.files a:hover,.files a:focus-visible{outline:2px solid var(--accent);outline-offset:-1px}
pre{font-size:.85rem;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--card);
border:1px solid var(--line);border-radius:6px;padding:10px;margin:8px 0}
summary{cursor:pointer;padding:6px 0}
@media print{nav,.skip,.switch{display:none}.scroll{overflow:visible}}
"""
    + "".join(f".c{place}{{fill:{color}}}" for place, color in enumerate(_COLORS))
    + "".join(f"svg .s{place}{{stroke:{color}}}" for place, color in enumerate(_COLORS))
    + ".unknown{fill:#bbb}"
    + "@media(prefers-color-scheme:dark){.embedding circle:not(.here){filter:brightness(1.35)}}"
)

SCRIPT = """
for (const figure of document.querySelectorAll(".embedding")) {
  const points = JSON.parse(figure.dataset.points);
  const stage = figure.querySelector(".stage"), svg = stage.querySelector("svg");
  const thumb = figure.querySelector(".thumb"), readout = figure.querySelector(".readout");
  const circles = [...svg.querySelectorAll("circle:not(.here)")], here = svg.querySelector(".here");
  const at = circles.map(c => [c.cx.baseVal.value, c.cy.baseVal.value]);
  const [width, height] = points.size;
  thumb.style.width = width + "px";
  thumb.style.height = height + "px";
  const zoom = Math.max(1, Math.round(72 / Math.max(width, height)));
  thumb.style.outlineWidth = 2 / zoom + "px";
  thumb.style.transform = `scale(${zoom})`;
  let current = -1;
  const show = i => {
    current = i;
    here.setAttribute("cx", at[i][0]);
    here.setAttribute("cy", at[i][1]);
    thumb.style.backgroundPosition =
      `-${i % points.columns * width}px -${Math.floor(i / points.columns) * height}px`;
    const box = svg.getBoundingClientRect(), outer = figure.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = box.left - outer.left + at[i][0] * scale, y = box.top - outer.top + at[i][1] * scale;
    const right = x + 16 + zoom * width < outer.width;
    thumb.style.left = (right ? x + 12 : x - 16 - zoom * width) + "px";
    thumb.style.top = Math.max(4, y - zoom * height - 8) + "px";
    thumb.style.display = "block";
    const known = points.classes?.[i] >= 0 ? `, ${points.called[points.classes[i]]}` : "";
    const name = points.names.length ? points.names[i] : `image ${points.rows[i]}`;
    const file = document.createElement(points.addresses.length ? "a" : "span");
    if (points.addresses.length) file.href = points.addresses[i];
    file.textContent = name;
    readout.replaceChildren(file, `: cluster ${points.clusters[i]}${known}`);
  };
  const hide = () => { thumb.style.display = "none"; here.setAttribute("cx", -20); };
  const nearest = event => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = -1, least = 400;
    at.forEach(([a, b], i) => {
      const d = (a - x) ** 2 + (b - y) ** 2;
      if (d < least) { least = d; best = i; }
    });
    if (best >= 0) show(best);
  };
  // A pointer moves too often for each image to be read out; a key or a tap picks one.
  svg.addEventListener("pointermove", event => { readout.ariaLive = "off"; nearest(event); });
  svg.addEventListener("pointerdown", event => { readout.ariaLive = "polite"; nearest(event); });
  svg.addEventListener("pointerleave", hide);
  stage.addEventListener("blur", hide);
  const ways = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]};
  stage.addEventListener("keydown", event => {
    if (event.key === "Escape") { hide(); return; }
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    readout.ariaLive = "polite";
    if (current < 0) { show(0); return; }
    const [x, y] = at[current];
    let best = -1, least = Infinity;
    at.forEach(([a, b], i) => {
      const along = (a - x) * way[0] + (b - y) * way[1];
      const across = (a - x) * way[1] + (b - y) * way[0];
      // Where several images have one place, each is next to the one before it.
      const same = along === 0 && across === 0 && i > current;
      if (i !== current && (same || along > 0) && along >= Math.abs(across)) {
        const d = along ** 2 + across ** 2;
        if (d < least) { least = d; best = i; }
      }
    });
    if (best >= 0) show(best);
  });
  for (const input of figure.parentNode.querySelectorAll(".switch input"))
    if (input.closest(".switch").nextElementSibling === figure)
      input.addEventListener("change", () => circles.forEach((circle, i) =>
        circle.setAttribute("class", points[input.value][i] < 0 ? "unknown"
          : "c" + points[input.value][i] % points.colors)));
}
"""
