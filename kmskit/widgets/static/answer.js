// An answer, and below it a text that comes in a message of its own: it is in no state that a notebook could store.

function render({ model, el }) {
  const answer = document.createElement("div");
  answer.setAttribute("role", "status");
  answer.setAttribute("aria-live", "polite");
  answer.setAttribute("aria-label", model.get("label"));
  const told = document.createElement("div");
  const secret = document.createElement("pre");
  secret.className = "kms-secret";
  answer.append(told);
  el.append(answer);

  function draw() {
    told.innerHTML = model.get("html"); // Escaped where it was made, by kmskit.markup.
    secret.remove();
  }

  function reveal(message) {
    secret.textContent = message.reveal;
    answer.append(secret);
  }

  model.on("change:html", draw);
  model.on("msg:custom", reveal);
  draw();
  return () => {
    model.off("change:html", draw);
    model.off("msg:custom", reveal);
  };
}

export default { render };
