// The text box: tells its text at every keystroke, counts it, and keeps it within bounds.

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

function element(name, className = "", attributes = {}) {
  const made = document.createElement(name);
  made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const unique = (name) => `${name}-${Math.random().toString(36).slice(2)}`;

function makeTextBox(limit, written) {
  const el = element("div", "sw-textbox");
  const counter = element("div", "sw-counter", { role: "status", id: unique("sw-counter") });
  const area = element("textarea", "sw-text", { rows: 5, "aria-describedby": counter.id });
  area.placeholder = "Write as you would tell a friend…";
  // A browser takes minutes to lay out a megabyte; so much can be pasted and then shortened.
  area.maxLength = 2 * limit;
  el.append(area, counter);

  const grows = CSS.supports("field-sizing", "content"); // by itself: see the stylesheet
  const text = () => (area.value.length > limit ? cut(area.value, limit + 1) : area.value);
  const number = (value) => value.toLocaleString("en");
  const measure = () => {
    const characters = area.value.length > 0.8 * limit ? count(area.value) : 0;
    const over = characters > limit;
    const cutOff = area.value.length >= area.maxLength - 1 ? "The end was cut off. " : "";
    const counted = over
      ? `${cutOff}${number(characters)} characters: ${number(characters - limit)} too many to save.`
      : characters > 0.8 * limit
        ? `${number(characters)} of ${number(limit)} characters`
        : "";
    if (counted !== counter.textContent) {
      el.classList.toggle("sw-over", over);
      area.setAttribute("aria-invalid", String(over));
      counter.textContent = counted;
    }
    if (grows) return;
    // Measured again only where the text may need another line: it makes the browser lay out.
    if (area.scrollHeight > area.clientHeight || area.value.length < el.measured) {
      area.style.height = "auto";
      area.style.height = `${Math.min(area.scrollHeight + 3, 0.6 * window.innerHeight)}px`;
    }
    el.measured = area.value.length;
  };
  area.addEventListener("input", () => {
    written(text());
    measure();
  });
  return {
    el,
    text,
    get whole() {
      return area.value;
    },
    focus: () => area.focus(),
    show: (value) => {
      if (area.value === value) return;
      area.value = value;
      measure();
    },
    draw: (brand, writing) => {
      area.setAttribute("aria-label", `Your review of ${brand}`);
      // readOnly and not disabled: the text can still be read, selected and copied.
      area.readOnly = !writing;
    },
  };
}
