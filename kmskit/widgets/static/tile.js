// The ground of a tile: its style, its name for screen readers, and keys that reach its parts and not the notebook.

const FRAMES = 600; // The tile may be attached to the page some time after its parts are drawn.

function render({ model, el }) {
  let frames = 0;
  let next = 0;
  // Or an arrow key in a field would move to another cell. Ctrl+S still saves the notebook.
  const keep = (event) => {
    if (!(event.ctrlKey || event.metaKey || event.altKey)) event.stopPropagation();
  };
  // A double click does once what would do harm if it were done twice. Keys click too, with a detail of 0.
  const once = (event) => {
    if (event.detail > 1 && event.target.closest(".kms-once")) event.stopPropagation();
  };
  // Whoever clicks Disable by keyboard goes on at Enable: a button that can no longer be clicked would lose the focus.
  const watch = new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (target.disabled && target === document.activeElement) {
        target.parentElement.querySelector("button:enabled, input:enabled")?.focus();
      }
    }
  });
  function settle() {
    const tile = el.closest(".kms-tile");
    if (tile) {
      tile.addEventListener("keydown", keep);
      tile.addEventListener("click", once, true);
      tile.setAttribute("role", "group");
      tile.setAttribute("aria-label", model.get("label"));
      watch.observe(tile, { subtree: true, attributeFilter: ["disabled"] });
    } else if (++frames < FRAMES) {
      next = requestAnimationFrame(settle);
    }
  }
  settle();
  return () => {
    cancelAnimationFrame(next);
    watch.disconnect();
  };
}

export default { render };
