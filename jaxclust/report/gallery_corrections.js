// Corrections: names, merged groups, moved pictures; undone one by one, saved as a CSV file.
const past = [];
let saved = new Set(), anchor = null, answer = null;

function nameOf(one) {
  if (!correcting || one.id < 0) return [called(one.id)];
  const input = make("input", "name");
  input.value = state.names[one.id];
  input.placeholder = `Name group ${one.id}`;
  input.setAttribute("aria-label", `Name of group ${one.id}`);
  input.maxLength = 80;
  input.addEventListener("change", () => {
    const name = input.value.trim();
    if (name === state.names[one.id]) return;
    act(`Group ${one.id} is now called ${name || `Group ${one.id}`}.`, () => {
      state.names[one.id] = name;
    }, false);
    jump();
  });
  return [input];
}

function toolsOf(one) {
  const every = make("button", "plain every", "Select all");
  every.addEventListener("click", () => {
    const on = !one.list.every(i => chosen.has(i));
    one.list.forEach(i => on ? chosen.add(i) : chosen.delete(i));
    marks();
  });
  if (one.id < 0) return [every];
  const merge = make("button", "plain merge", "Merge into …");
  merge.addEventListener("click", async () => {
    const id = await pick(`Merge ${called(one.id)} into`, one.id, false);
    if (id === null) return;
    act(`${called(one.id)} was merged into ${called(id)}.`, () => {
      state.group.forEach((g, i) => { if (g === one.id) state.group[i] = id; });
      state.into[one.id] = id;
      state.names[id] ||= state.names[one.id];
    });
  });
  return one.list.length ? [every, merge] : [merge];
}

function act(words, change, again = true) {
  past.push({group: state.group.slice(), names: [...state.names], into: [...state.into]});
  if (past.length > 200) past.shift();
  change();
  if (again) render();
  tally();
  say(words);
}
function undo() {
  const before = past.pop();
  if (!before) return;
  Object.assign(state, before);
  for (const i of chosen) if (!listed(state.group[i])) chosen.delete(i);
  render();
  tally();
  say("The last correction was undone.");
}
const listed = id => id < 0 || state.into[id] < 0;

function select(picture, range) {
  const box = picture.closest(".rows"), i = Number(picture.dataset.i);
  if (range && anchor?.box === box) {
    const [low, high] = [anchor.at, picture.at].sort((a, b) => a - b);
    for (let at = low; at <= high; at++) chosen.add(box.list[at]);
  } else if (!chosen.delete(i)) chosen.add(i);
  anchor = {box, at: picture.at};
  marks();
}
function marks() {
  for (const picture of main.querySelectorAll(".pic")) mark(picture);
  tally();
}

function move(pictures, id) {
  const fresh = id === state.names.length;
  const words = `${counted(pictures.length, "picture")} moved to ${fresh ? "a new group" : called(id)}.`;
  act(words, () => {
    if (fresh) { state.names.push(""); state.into.push(-1); }
    for (const i of pictures) state.group[i] = id;
    chosen.clear();
  });
}

/** Asks for a group; null where a person closes the question. */
function pick(question, except, more) {
  find("question").textContent = question;
  find("filter").value = "";
  const options = lists.filter(one => one.id !== except && one.id >= 0);
  const choice = (id, words, i) => {
    const button = make("button");
    button.dataset.id = id;
    const mini = make("span", i === undefined ? "mini sign" : "mini", i === undefined ? words[0] : "");
    if (i !== undefined) mini.append(thumb(i));
    button.append(mini, make("span", "word", words[1]), make("span", "number", words[2]));
    return button;
  };
  const buttons = options.map(({id, list}) =>
    choice(id, ["∅", called(id), list.length.toLocaleString("en")], list[0]));
  if (more) buttons.unshift(choice(state.names.length, ["+", "New group", ""]));
  if (more) buttons.push(choice(-1, ["∅", "Fits no group", ""]));
  find("choices").replaceChildren(...buttons);
  find("picker").showModal();
  (matchMedia("(pointer:fine)").matches ? find("filter") : buttons[0])?.focus();
  return new Promise(resolve => { answer = resolve; });
}
find("choices").addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  answer(Number(button.dataset.id));
  find("picker").close();
});
find("filter").addEventListener("input", () => {
  const words = find("filter").value.trim().toLowerCase();
  for (const button of find("choices").children)
    button.hidden = !button.querySelector(".word").textContent.toLowerCase().includes(words);
});
find("filter").addEventListener("keydown", event => {
  if (event.key === "Enter") find("choices").querySelector("button:not([hidden])")?.click();
});
find("cancel").addEventListener("click", () => find("picker").close());
find("picker").addEventListener("close", () => answer(null));

/** The rows of the CSV file, as jaxclust/groups/edits.py reads them. */
function edits() {
  const k = data.groupNames.length, held = new Set(state.group), number = new Map();
  for (let id = 0, next = k; id < state.names.length; id++)
    if (id < k) number.set(id, id);
    else if (held.has(id)) number.set(id, next++);
  const rows = [];
  for (let id = 0; id < k; id++)
    if (state.into[id] >= 0 && number.has(settled(id)))
      rows.push(["", id, "", number.get(settled(id))]);
  for (const [id, shown] of number)
    if (state.into[id] < 0 && state.names[id] !== (data.groupNames[id] ?? ""))
      rows.push(["", shown, state.names[id], ""]);
  for (let i = 0; i < n; i++)
    if (state.group[i] !== settled(original[i]))
      rows.push([data.names[i], number.get(state.group[i]) ?? -1, "", ""]);
  return rows;
}
/** Text that a spreadsheet would run as a formula begins with an apostrophe: data/csv_cells.py. */
const text = cell => typeof cell === "string" && /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(cell) ?
  `'${cell}` : cell;
const csv = row => row.map(text).map(cell => /[",\r\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` :
  cell).join(",") + "\n";
/** Bytes of a text in which a lone surrogate stands for a byte that is no UTF-8, as in Python. */
const bytes = text => text.split(/(\p{Surrogate})/u).map(piece =>
  /^[\udc80-\udcff]$/.test(piece) ? new Uint8Array([piece.charCodeAt(0) - 0xdc00]) : piece);

function tally() {
  const now = new Set(edits().map(csv));
  const unsaved = [...now].filter(row => !saved.has(row)).length +
    [...saved].filter(row => !now.has(row)).length;
  find("count").textContent = chosen.size ? `${chosen.size.toLocaleString("en")} selected` :
    "Select pictures to move them";
  for (const id of ["move", "away", "clear"]) find(id).disabled = !chosen.size;
  find("tray").classList.toggle("some", chosen.size > 0);
  find("undo").disabled = !past.length;
  find("unsaved").textContent = unsaved ? counted(unsaved, "unsaved change") :
    now.size ? "All saved" : "No changes";
  find("save").disabled = !now.size && !saved.size;
  find("correct").classList.toggle("dirty", unsaved > 0);
  return unsaved;
}
function save() {
  const rows = edits().map(csv), text = "file,group,name,into\n" + rows.join("");
  const link = make("a");
  link.href = URL.createObjectURL(new Blob(bytes(text), {type: "text/csv"}));
  link.download = "group-corrections.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  saved = new Set(rows);
  tally();
  say("The corrections were saved as group-corrections.csv.");
}

function correct(on) {
  correcting = on;
  chosen.clear();
  anchor = null;
  find("correct").setAttribute("aria-pressed", on);
  find("correct").replaceChildren(on ? "Done" : "Correct", make("span", "wide", on ? "" : " groups"));
  find("hint").hidden = find("tray").hidden = !on;
  for (const button of find("levels").children) button.disabled = on;
  render();
  tally();
}
find("correct").addEventListener("click", () => correct(!correcting));
find("undo").addEventListener("click", undo);
find("save").addEventListener("click", save);
find("clear").addEventListener("click", () => { chosen.clear(); marks(); });
find("away").addEventListener("click", () => move([...chosen], -1));
find("move").addEventListener("click", async () => {
  const id = await pick(`Move ${counted(chosen.size, "picture")} to`, null, true);
  if (id !== null) move([...chosen], id);
});
find("send").addEventListener("click", async () => {
  const id = await pick("Move this picture to", state.group[current], true);
  if (id === null) return;
  move([current], id);
  openPanel(current);
});
addEventListener("keydown", event => {
  const typing = event.target.matches?.("input");
  if (correcting && !typing && (event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    undo();
  }
});
addEventListener("beforeunload", event => { if (tally()) event.preventDefault(); });

switches();
measure();
tally();
addEventListener("resize", measure);
