// A text area that tells its text at every keystroke (see TextBox in controls.py).

const PATIENCE = 3000; // ms until a text that nobody acknowledged may be followed by the next

/** Count characters as Python does: code points, not UTF-16 units. */
function count(text) {
  let characters = 0;
  for (const _ of text) characters += 1;
  return characters;
}

function cut(text, characters) {
  let units = 0;
  for (const character of text) {
    if (characters-- === 0) break;
    units += character.length;
  }
  return text.slice(0, units);
}

function render({ model, el }) {
  const area = document.createElement("textarea");
  area.className = "sw-text";
  area.rows = 5;
  area.spellcheck = true;
  const counter = document.createElement("div");
  counter.className = "sw-counter";
  counter.setAttribute("role", "status");
  counter.id = `sw-counter-${Math.random().toString(36).slice(2)}`;
  area.setAttribute("aria-describedby", counter.id);
  el.classList.add("sw-textbox");
  el.append(area, counter);

  let sent = "";
  let waiting = 0;

  const current = () => {
    const limit = model.get("limit");
    return area.value.length > limit ? cut(area.value, limit + 1) : area.value;
  };
  const send = () => {
    const text = current();
    if (text === sent) return;
    sent = text;
    clearTimeout(waiting);
    waiting = setTimeout(seen, PATIENCE);
    model.send({ kind: "text", text });
  };
  const seen = () => {
    clearTimeout(waiting);
    waiting = 0;
    send();
  };
  const tell = () => {
    if (!waiting) send();
  };

  const resize = () => {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight + 2, 0.6 * window.innerHeight)}px`;
  };
  const measure = () => {
    const limit = model.get("limit");
    const characters = area.value.length > 0.8 * limit ? count(area.value) : 0;
    const over = characters > limit;
    el.classList.toggle("sw-over", over);
    area.setAttribute("aria-invalid", String(over));
    const number = (value) => value.toLocaleString("en");
    const cutOff = area.value.length >= area.maxLength - 1 ? "The end was cut off. " : "";
    counter.textContent = over
      ? `${cutOff}${number(characters)} characters: ${number(characters - limit)} too many to save.`
      : characters > 0.8 * limit
        ? `${number(characters)} of ${number(limit)} characters`
        : "";
  };
  const changed = () => {
    measure();
    resize();
  };

  area.addEventListener("input", () => {
    tell();
    changed();
  });
  // Before any other control hears of a click or a key, the text as it stands is on its way.
  const events = ["pointerdown", "click", "keydown"];
  const flush = (event) => {
    if (event.type !== "keydown" || event.target !== area) send();
  };
  for (const event of events) document.addEventListener(event, flush, true);

  const heard = (message) => {
    if (message.kind === "seen") seen();
    if (message.kind === "focus") area.focus();
    // The answer to our "hello" may come after the first letters: those stay.
    if (message.kind === "show" && !(message.answer && area.value)) {
      sent = area.value = message.text;
      changed();
    }
  };
  const draw = () => {
    area.setAttribute("aria-label", model.get("name"));
    area.placeholder = model.get("placeholder");
    // A browser takes minutes to lay out a megabyte; so much can be pasted and then shortened.
    area.maxLength = 2 * model.get("limit");
    // readOnly and not disabled: the text can still be read, selected and copied.
    area.readOnly = model.get("disabled");
  };
  model.on("msg:custom", heard);
  model.on("change:name change:placeholder change:disabled", draw);
  draw();
  model.send({ kind: "hello" });
  return () => {
    for (const event of events) document.removeEventListener(event, flush, true);
    model.off("msg:custom", heard);
  };
}

export default { render };
