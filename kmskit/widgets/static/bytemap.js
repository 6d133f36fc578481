// Draws what ByteMap (bytemap.py) sends. Names and values come from others: they are only ever set as textContent.

const ROW = 16;
const PAGE = 8; // rows
const HINT = "Arrow keys move. Enter or a double click flips the lowest bit, 0 to 7 that bit.";

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

const hex = (byte) => byte.toString(16).padStart(2, "0");
const count = (number) => number.toLocaleString("en");

function render({ model, el }) {
  const root = make("div", "kms-bytes");
  // Otherwise JupyterLab takes arrows, Enter, f and 0 for shortcuts of its own.
  root.dataset.lmSuppressShortcuts = "true";
  const grid = make("div", "kms-bytes-grid");
  grid.setAttribute("role", "grid");
  const panel = make("div", "kms-bytes-panel");
  root.append(grid, panel);
  el.append(root);

  let fields = [];
  let rows = []; // of cells, from top to bottom; a fold is a row of one
  let cells = new Map(); // offset -> cell
  let column = 0;
  let drawn; // The view that the cells are of.

  // What the page is told

  function byteAt(offset) {
    let before = 0;
    for (const [start, end] of model.get("_view").runs) {
      if (offset < end) return model.get("_seen").getUint8(before + offset - start);
      before += end - start;
    }
    return 0;
  }

  const fieldAt = (offset) => fields.find((field) => field.start <= offset && offset < field.end);
  const before = (offset) => model.get("_changed").find(([at]) => at === offset)?.[1];

  // The grid

  function draw() {
    const hadFocus = grid.contains(document.activeElement);
    drawn = model.get("_view");
    const { size, runs, fields: told } = drawn;
    fields = told.map(([start, end, colour, name, group, value, meaning]) => (
      { start, end, colour, name, group, value, meaning, cells: [] }));
    rows = [];
    cells = new Map();
    const lines = [];
    let expected = 0;
    let next = 0; // The field that the next byte may belong to.
    for (const [start, end] of [...runs, [size, size]]) {
      if (start > expected) lines.push(fold(expected, start));
      for (let from = start; from < end; from += ROW) {
        const line = make("div", "kms-bytes-row");
        line.setAttribute("role", "row");
        const place = make("span", "kms-bytes-offset", count(from));
        place.setAttribute("role", "rowheader");
        line.append(place);
        const row = [];
        for (let at = from; at < Math.min(from + ROW, end); at++) {
          while (next < fields.length && fields[next].end <= at) next++;
          const field = fields[next]?.start <= at ? fields[next] : undefined;
          row.push(cell(at, field));
        }
        line.append(...row);
        rows.push(row);
        lines.push(line);
      }
      expected = end;
    }
    grid.replaceChildren(...lines);
    grid.setAttribute("aria-label", `${model.get("label")}, ${count(size)} bytes`);
    refresh();
    mark(hadFocus);
  }

  function cell(at, field) {
    const node = make("span", "kms-bytes-cell");
    node.setAttribute("role", "gridcell");
    node.dataset.at = at;
    node.tabIndex = -1;
    if (field) {
      node.style.setProperty("--field", field.colour);
      node.classList.toggle("kms-first", at === field.start);
      field.cells.push(node);
    }
    cells.set(at, node);
    return node;
  }

  function fold(start, end) {
    const line = make("div", "kms-bytes-row");
    line.setAttribute("role", "row");
    const name = fieldAt(start)?.name;
    const node = make("span", "kms-bytes-fold", `⋯ ${count(end - start)} bytes${name ? ` of ${name}` : ""}`);
    node.setAttribute("role", "gridcell");
    node.setAttribute("aria-colspan", ROW);
    node.setAttribute("aria-label", `${count(end - start)} bytes are folded away, Enter shows some of them`);
    node.title = "Show some of them";
    node.dataset.fold = start / ROW;
    node.tabIndex = -1;
    line.append(make("span", "kms-bytes-offset"), node);
    rows.push([node]);
    return line;
  }

  function refresh() {
    // View and bytes come in one message, and which of them is told first is left to chance.
    if (model.get("_view") !== drawn) return;
    const changed = new Map(model.get("_changed"));
    const seen = model.get("_seen");
    let index = 0;
    for (const [at, node] of cells) {
      const byte = hex(seen.getUint8(index++));
      const was = changed.has(at) ? `, was ${hex(changed.get(at))}` : "";
      node.textContent = byte;
      node.classList.toggle("kms-changed", changed.has(at));
      node.setAttribute("aria-label", `byte ${at}, ${byte}${was}, ${fieldAt(at)?.name ?? "no field"}`);
    }
    tell(model.get("selected"));
  }

  function mark(focus = false) {
    const selected = model.get("selected");
    for (const node of grid.querySelectorAll('[tabindex="0"], [aria-selected]')) {
      node.tabIndex = -1;
      node.removeAttribute("aria-selected");
    }
    const node = cells.get(selected) ?? rows[0]?.[0];
    if (!node) return;
    node.tabIndex = 0;
    if (cells.has(selected)) {
      node.setAttribute("aria-selected", "true");
      const [top, bottom] = [node.offsetTop, node.offsetTop + node.offsetHeight];
      if (top < grid.scrollTop || bottom > grid.scrollTop + grid.clientHeight) {
        grid.scrollTop = top - grid.clientHeight / 2;
      }
    }
    if (focus) node.focus({ preventScroll: true });
    tell(selected);
  }

  // The field that is told about

  function tell(offset) {
    const field = fieldAt(offset);
    for (const node of grid.querySelectorAll(".kms-lit")) node.classList.remove("kms-lit");
    for (const node of field?.cells ?? []) node.classList.add("kms-lit");
    if (!cells.has(offset)) {
      panel.replaceChildren(make("div", "kms-bytes-name", "Choose a byte"), make("div", "kms-bytes-dim", HINT));
      return;
    }
    const parts = [];
    if (field) {
      panel.style.setProperty("--field", field.colour);
      const size = field.end - field.start;
      const place = size === 1 ? `byte ${count(field.start)}` :
        `${count(size)} bytes, ${count(field.start)} to ${count(field.end - 1)}`;
      parts.push(make("div", "kms-bytes-name kms-bytes-swatch", field.name));
      parts.push(make("div", "kms-bytes-dim", field.group && field.group !== field.name
        ? `${field.group} · ${place}` : place));
      if (field.value) parts.push(make("div", "kms-bytes-value", field.value));
      if (field.meaning) parts.push(make("div", "", field.meaning));
    }
    parts.push(bits(offset), make("div", "kms-bytes-dim kms-bytes-hint", HINT));
    panel.replaceChildren(...parts);
  }

  function bits(offset) {
    const byte = byteAt(offset);
    const was = before(offset);
    const box = make("div", "kms-bytes-bits");
    const text = `byte ${count(offset)} = ${hex(byte)}${was === undefined ? "" : `, was ${hex(was)}`}`;
    box.append(make("span", "kms-bytes-byte", text));
    for (let bit = 7; bit >= 0; bit--) {
      const on = (byte >> bit) & 1;
      const button = make("button", "kms-bytes-bit", `${on}`);
      button.type = "button";
      button.tabIndex = -1; // By keyboard the digits do this, so the grid stays one tab stop.
      button.title = `Flip bit ${bit}`;
      button.setAttribute("aria-label", `bit ${bit} is ${on}, flip it`);
      button.classList.toggle("kms-changed", was !== undefined && ((was >> bit) & 1) !== on);
      button.addEventListener("click", () => {
        flip(offset, bit);
        cells.get(offset)?.focus({ preventScroll: true }); // The button is about to be drawn anew.
      });
      box.append(button);
    }
    return box;
  }

  // What people do

  function flip(offset, bit) {
    model.send({ flip: [offset, bit] });
  }

  function select(offset) {
    if (model.get("selected") === offset) return;
    model.set("selected", offset);
    model.save_changes();
  }

  const target = (event) => event.target.closest(".kms-bytes-cell, .kms-bytes-fold");

  function use(node, bit = 0) {
    if (node.dataset.fold !== undefined) {
      // What appears in the fold's place is where the reader goes on.
      select(node.dataset.fold * ROW);
      model.send({ unfold: Number(node.dataset.fold) });
    } else {
      flip(Number(node.dataset.at), bit);
    }
  }

  grid.addEventListener("click", (event) => {
    const node = target(event);
    if (!node) return;
    node.focus({ preventScroll: true });
    if (node.dataset.fold !== undefined) use(node);
  });
  grid.addEventListener("dblclick", (event) => {
    const node = target(event);
    if (node?.dataset.at !== undefined) use(node);
  });
  grid.addEventListener("mousedown", (event) => {
    if (event.detail > 1) event.preventDefault(); // A double click selects no text.
  });
  grid.addEventListener("focusin", (event) => {
    const node = target(event);
    if (node?.dataset.at !== undefined) select(Number(node.dataset.at));
  });
  grid.addEventListener("mouseover", (event) => {
    const node = target(event);
    if (node?.dataset.at !== undefined) tell(Number(node.dataset.at));
  });
  grid.addEventListener("mouseleave", () => tell(model.get("selected")));
  grid.addEventListener("keydown", (event) => {
    const node = target(event);
    if (!node || event.altKey || event.metaKey || (event.ctrlKey && !["Home", "End"].includes(event.key))) return;
    const at = rows.findIndex((row) => row.includes(node));
    const from = rows[at].indexOf(node);
    if (rows[at].length > 1) column = from;
    const inRow = (row) => {
      const there = rows[Math.max(0, Math.min(rows.length - 1, row))];
      return there[Math.min(column, there.length - 1)];
    };
    const moves = {
      ArrowLeft: () => rows[at][from - 1] ?? rows[at - 1]?.at(-1),
      ArrowRight: () => rows[at][from + 1] ?? rows[at + 1]?.[0],
      ArrowUp: () => inRow(at - 1),
      ArrowDown: () => inRow(at + 1),
      PageUp: () => inRow(at - PAGE),
      PageDown: () => inRow(at + PAGE),
      Home: () => (event.ctrlKey ? rows[0] : rows[at])[0],
      End: () => (event.ctrlKey ? rows.at(-1) : rows[at]).at(-1),
    };
    if (event.key in moves) {
      moves[event.key]()?.focus();
    } else if (["Enter", " ", "f"].includes(event.key)) {
      use(node);
    } else if (/^[0-7]$/.test(event.key)) {
      if (node.dataset.at !== undefined) use(node, Number(event.key));
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  const heard = { "change:_view": draw, "change:_seen": refresh, "change:selected": () => mark() };
  for (const [name, what] of Object.entries(heard)) model.on(name, what);
  draw();
  return () => {
    for (const [name, what] of Object.entries(heard)) model.off(name, what);
  };
}

export default { render };
