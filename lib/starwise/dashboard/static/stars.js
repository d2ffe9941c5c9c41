// Five stars as a group of radio buttons (see Stars in controls.py).

const PATH = "M12 2.2 15 8.6 22 9.5 16.9 14.4 18.2 21.4 12 18 5.8 21.4 7.1 14.4 2 9.5 9 8.6Z";
const named = (stars) => (stars === 1 ? "1 star" : `${stars} stars`);

function render({ model, el }) {
  el.classList.add("sw-stars");
  const caption = document.createElement("div");
  caption.className = "sw-caption";
  caption.id = `sw-caption-${Math.random().toString(36).slice(2)}`;
  const group = document.createElement("div");
  group.className = "sw-group";
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", "Your rating");
  group.setAttribute("aria-describedby", caption.id);
  const follow = document.createElement("button");
  follow.type = "button";
  follow.className = "sw-link";

  const buttons = [1, 2, 3, 4, 5].map((stars) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sw-star";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-label", named(stars));
    button.title = named(stars);
    button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${PATH}"/></svg>`;
    button.addEventListener("click", () => choose(stars));
    group.append(button);
    return button;
  });
  el.append(group, caption, follow);

  let rating = 0; // as shown: ahead of the model for the moment that an answer takes

  const choose = (stars) => {
    if (model.get("disabled")) return;
    model.send({ kind: "choose", stars });
    show(stars, true);
  };
  follow.addEventListener("click", () => {
    model.send({ kind: "follow" });
    buttons[Math.max(0, rating - 1)].focus();
  });

  const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
  group.addEventListener("keydown", (event) => {
    let stars = 0;
    if (event.key in steps) {
      // From no star at all, the first arrow leads to one end; at an end it goes round.
      const next = (rating || (steps[event.key] > 0 ? 0 : 6)) + steps[event.key];
      stars = next > 5 ? 1 : next < 1 ? 5 : next;
    } else if (event.key === "Home") stars = 1;
    else if (event.key === "End") stars = 5;
    else if (/^[1-5]$/.test(event.key)) stars = Number(event.key);
    if (!stars) return;
    event.preventDefault();
    choose(stars);
    buttons[stars - 1].focus();
  });

  const show = (stars, chosen) => {
    rating = stars;
    const disabled = model.get("disabled");
    const suggested = model.get("suggested");
    el.classList.toggle("sw-chosen", chosen);
    group.setAttribute("aria-disabled", String(disabled));
    buttons.forEach((button, index) => {
      button.classList.toggle("sw-on", index < stars);
      button.setAttribute("aria-checked", String(index + 1 === stars));
      button.setAttribute("aria-disabled", String(disabled));
      // One stop of the Tab key for the whole group: the star that is on, else the first.
      button.tabIndex = index + 1 === (stars || 1) ? 0 : -1;
    });
    caption.textContent = chosen
      ? `Your rating: ${named(stars)}`
      : stars
        ? `Suggested: ${named(stars)}`
        : "No stars yet";
    follow.hidden = !(chosen && suggested && !disabled);
    follow.textContent = `Use the suggestion (${named(suggested)})`;
  };
  const draw = () => show(model.get("rating"), model.get("chosen"));
  model.on("change:rating change:chosen change:suggested change:disabled", draw);
  draw();
}

export default { render };
