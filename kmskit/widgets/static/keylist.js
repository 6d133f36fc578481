// A list of keys to choose one from: with the pointer, or with the arrow keys, Home and End.
// The rows' markup comes from kmskit.markup, where every value of others is escaped.

function render({ model, el }) {
  // Not counted: each widget is a module of its own in the page, and each view has its own options.
  const name = `kms-keylist-${Math.random().toString(36).slice(2)}`;
  const list = document.createElement("div");
  list.className = "kms-keylist";
  list.tabIndex = 0;
  list.setAttribute("role", "listbox");
  el.append(list);

  const chosen = () => model.get("rows").findIndex((row) => row.id === model.get("selected"));

  function mark() {
    const at = chosen();
    [...list.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === at)));
    if (at < 0) {
      list.removeAttribute("aria-activedescendant");
      return;
    }
    const option = list.children[at];
    list.setAttribute("aria-activedescendant", option.id);
    // Within the list only: scrollIntoView would move the notebook too.
    const below = option.offsetTop + option.offsetHeight - list.clientHeight;
    list.scrollTop = Math.max(below, Math.min(list.scrollTop, option.offsetTop));
  }

  function choose(at) {
    const row = model.get("rows")[at];
    if (row) {
      model.set("selected", row.id);
      model.save_changes();
    }
  }

  function tell() {
    list.setAttribute("aria-label", model.get("label"));
    list.setAttribute("aria-busy", String(model.get("busy")));
    list.dataset.note = model.get("note");
  }

  // Only when the rows are others: a click on a row that is drawn anew meanwhile would be lost.
  function draw() {
    const top = list.scrollTop;
    list.replaceChildren(
      ...model.get("rows").map((row, place) => {
        const option = document.createElement("div");
        option.id = `${name}-${place}`;
        option.className = "kms-key";
        option.setAttribute("role", "option");
        option.innerHTML = row.html;
        option.addEventListener("click", () => choose(place));
        return option;
      })
    );
    list.scrollTop = top;
    mark();
  }

  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };
  list.addEventListener("keydown", (event) => {
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(list.children.length - 1, chosen() + steps[event.key])));
  });

  const heard = {
    "change:rows": draw, "change:selected": mark, "change:label": tell, "change:busy": tell, "change:note": tell,
  };
  for (const [name, what] of Object.entries(heard)) model.on(name, what);
  tell();
  draw();
  return () => {
    for (const [name, what] of Object.entries(heard)) model.off(name, what);
  };
}

export default { render };
