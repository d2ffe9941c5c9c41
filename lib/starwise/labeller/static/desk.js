// The labelling desk (see DeskView in view.py). What reviewers wrote is set as text, never as markup.

const element = (tag, name, parent, text = "") => {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  parent.append(made);
  return made;
};

function render({ model, el }) {
  el.classList.add("sw-desk");
  el.tabIndex = 0;
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", "Labelling desk: 1 bad, 2 average, 3 good, U undo, S skip");
  // JupyterLab would take 1, 2 and 3 for headings, and S for its own.
  el.setAttribute("data-lm-suppress-shortcuts", "true");

  const head = element("div", "sw-desk-head", el);
  const count = element("div", "sw-desk-count", head);
  const agreement = element("div", "sw-desk-agreement", head);
  const bar = element("div", "sw-desk-bar", el);
  const fill = element("div", "sw-desk-fill", bar);
  const company = element("div", "sw-desk-company", el);
  const text = element("blockquote", "sw-desk-text", el);
  const keys = element("div", "sw-desk-keys", el);
  const more = element("div", "sw-desk-more", el);
  const notice = element("div", "sw-desk-notice", el);
  notice.setAttribute("role", "status");

  // One act at a time: until the answer is here, a second press of the same key says nothing new.
  let waiting = "";
  const send = (message) => {
    const shown = model.get("shown");
    if (message.kind !== "undo" && (!shown.id || waiting === shown.id)) return;
    if (message.kind !== "undo") waiting = shown.id;
    model.send({ ...message, id: shown.id });
  };
  const button = (parent, name, key, words, act) => {
    const made = element("button", name, parent);
    made.type = "button";
    element("kbd", "", made, key);
    element("span", "", made, words);
    made.addEventListener("click", act);
    return made;
  };
  const choices = model.get("classes").map((label, place) =>
    button(keys, `sw-desk-key sw-desk-${label}`, String(place + 1), label, () =>
      send({ kind: "label", label }),
    ),
  );
  const undo = button(more, "sw-desk-small", "U", "undo", () => send({ kind: "undo" }));
  const skip = button(more, "sw-desk-small", "S", "skip", () => send({ kind: "skip" }));
  element("span", "sw-desk-hint", more, "Click here once, then use the keys.");

  el.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.toLowerCase();
    const chosen = { 1: 0, 2: 1, 3: 2 }[key];
    const pressed = chosen === undefined ? { u: undo, s: skip }[key] : choices[chosen];
    if (!pressed) return;
    event.preventDefault();
    event.stopPropagation();
    if (!pressed.disabled) pressed.click();
  });

  const draw = () => {
    const shown = model.get("shown");
    waiting = "";
    count.textContent = `${shown.done} of ${shown.total} labelled`;
    agreement.textContent = shown.agreement
      ? `agrees with the stars ${shown.agreement}` + (shown.kappa ? `, kappa ${shown.kappa}` : "")
      : "stars hidden until you choose";
    fill.style.width = `${shown.total ? (100 * shown.done) / shown.total : 0}%`;
    company.textContent = shown.company;
    text.textContent = shown.id
      ? shown.text
      : shown.open
        ? "All done. Run the cells below to use your labels."
        : "Opening…";
    text.scrollTop = 0;
    for (const each of [...choices, skip]) each.disabled = !shown.id;
    undo.disabled = !shown.can_undo;
    notice.textContent = shown.notice;
    notice.classList.toggle("sw-desk-failed", shown.failed);
    el.dataset.id = shown.id;
  };
  model.on("change:shown", draw);
  draw();
  model.send({ kind: "hello" });
  return () => model.off("change:shown", draw);
}

export default { render };
