// The panel of one picture, and the switch between coarser and finer groups.
const panel = find("panel");
let current = -1;

function openPanel(i) {
  current = i;
  const id = groupOf(i), list = listOf(id), at = list.indexOf(i), name = data.names[i];
  const large = find("large"), small = thumb(i);
  large.replaceChildren(small);
  large.style.setProperty("--ratio", sizes[2 * i] ? sizes[2 * i] / sizes[2 * i + 1] : 1);
  if (data.links && (data.links.start || data.links.ends[i])) {
    const address = data.links.start + data.links.ends[i], image = new Image();
    // The thumbnail stays where the original cannot be shown or takes its time.
    image.alt = name;
    image.onload = () => {
      if (current !== i) return;
      const {naturalWidth: width, naturalHeight: height} = image;
      large.style.setProperty("--ratio", width / height);
      // A small picture is enlarged, but not beyond all measure.
      large.style.setProperty("--most", `${Math.max(width, 480 * Math.min(1, width / height))}px`);
      large.replaceChildren(image);
    };
    image.src = address;
    find("open").href = address;
  }
  find("open").hidden = !(data.links && (data.links.start || data.links.ends[i]));
  // A long name breaks between its parts.
  find("file").replaceChildren(...name.split(/(?<=[/_.-])/).flatMap(part => [part, make("wbr")]));
  const place = `${(at + 1).toLocaleString("en")} of ${list.length.toLocaleString("en")}`;
  const certain = id < 0 ? "" : ` · ${howSure(sure[i] / 1e4)}`;
  find("where").textContent = `${called(id)}, picture ${place}${certain}`;
  find("before").disabled = at === 0;
  find("after").disabled = at === list.length - 1;
  if (document.activeElement.disabled) large.focus();
  find("copy").textContent = "Copy name";
  find("send").hidden = !correcting;
  const near = [...neighbors.subarray(i * data.similar, (i + 1) * data.similar)];
  find("similar").replaceChildren(...near.filter(j => j >= 0 && j !== i).map(j => {
    const button = make("button", "pic");
    button.dataset.i = j;
    button.title = `${data.names[j]} (${called(groupOf(j))})`;
    button.setAttribute("aria-label", button.title);
    button.classList.toggle("other", groupOf(j) !== id);
    button.append(thumb(j));
    return button;
  }));
  find("others").hidden = !find("similar").querySelector(".other");
  find("alike").hidden = !find("similar").childElementCount;
  if (!panel.open) {
    panel.showModal();
    large.focus();
  }
}

function walk(step) {
  const list = listOf(groupOf(current)), next = list[list.indexOf(current) + step];
  if (next !== undefined) openPanel(next);
}
find("before").addEventListener("click", () => walk(-1));
find("after").addEventListener("click", () => walk(1));
find("close").addEventListener("click", () => panel.close());
find("similar").addEventListener("click", event => {
  const picture = event.target.closest(".pic");
  if (!picture) return;
  openPanel(Number(picture.dataset.i));
  find("similar").querySelector(".pic")?.focus();
});
panel.addEventListener("keydown", event => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  walk(step);
});
// A click beside the panel closes it.
for (const dialog of [panel, find("picker")])
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
// A swipe on a phone is an arrow key.
let from = null;
find("large").addEventListener("pointerdown", event => { from = event.clientX; });
find("large").addEventListener("pointerup", event => {
  if (from !== null && Math.abs(event.clientX - from) > 50) walk(event.clientX < from ? 1 : -1);
  from = null;
});
panel.addEventListener("close", () => {
  // The picture that was looked at last has the focus, where the page shows it.
  const shown = document.querySelector(`main .pic[data-i="${current}"]`);
  if (shown) {
    stand(shown);
    shown.focus({preventScroll: true});
  }
});
find("copy").addEventListener("click", async () => {
  const name = data.names[current];
  try {
    await navigator.clipboard.writeText(name);
    find("copy").textContent = "Copied";
  } catch {
    // A browser that forbids it: the name is marked, so that Ctrl+C copies it.
    getSelection().selectAllChildren(find("file"));
    find("copy").textContent = "Marked: press Ctrl+C";
  }
});

function switches() {
  const sizeOf = group => new Set(group.filter(id => id >= 0)).size;
  const all = [...levels, {name: "usual", group: null}];
  all.sort((a, b) => sizeOf(a.group ?? original) - sizeOf(b.group ?? original));
  find("sizes").hidden = !levels.length;
  find("levels").replaceChildren(...all.map(one => {
    const button = make("button", "", capital(one.name));
    button.setAttribute("aria-pressed", (level ?? {name: "usual"}).name === one.name);
    button.addEventListener("click", () => {
      level = one.group ? one : null;
      opened.clear();
      render();
      switches();
      say(`${one.name}: ${counted(lists.filter(({id}) => id >= 0).length, "group")}`);
      [...find("levels").children].find(other => other.textContent === button.textContent).focus();
    });
    return button;
  }));
  find("correct").disabled = level !== null;
  find("correct").title = level ? "Corrections are made on the usual groups" : "";
}
