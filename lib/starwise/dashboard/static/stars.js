// Five stars as a group of radio buttons: pale while they follow the text, solid once chosen.

const STAR = "M12 2.2 15 8.6 22 9.5 16.9 14.4 18.2 21.4 12 18 5.8 21.4 7.1 14.4 2 9.5 9 8.6Z";
const named = (stars) => (stars === 1 ? "1 star" : `${stars} stars`);

function starDrawing() {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", STAR);
  svg.append(path);
  return svg;
}

function makeStars(chose, followed) {
  const el = element("div", "sw-stars");
  const caption = element("div", "sw-caption", { id: unique("sw-caption") });
  const group = element("div", "sw-group", {
    role: "radiogroup",
    "aria-label": "Your rating",
    "aria-describedby": caption.id,
  });
  const follow = element("button", "sw-link", { type: "button" });
  const buttons = [1, 2, 3, 4, 5].map((stars) => {
    const button = element("button", "sw-star", {
      type: "button",
      role: "radio",
      "aria-label": named(stars),
      title: named(stars),
    });
    button.append(starDrawing());
    button.addEventListener("click", () => choose(stars));
    group.append(button);
    return button;
  });
  el.append(group, caption, follow);

  let now = { rating: 0, suggested: 0, chosen: false, enabled: true };
  let ahead = 0; // chosen here, and not yet heard back
  const choose = (stars) => {
    if (!now.enabled) return;
    chose(stars);
    ahead = now.chosen && now.rating === stars ? 0 : stars;
    draw({ ...now, rating: stars, chosen: true }, true); // at once, ahead of the answer
  };
  follow.addEventListener("click", () => {
    ahead = 0;
    followed();
    buttons[Math.max(0, now.rating - 1)].focus();
  });
  const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
  group.addEventListener("keydown", (event) => {
    let stars = 0;
    if (event.key in steps) {
      // From no star at all, the first arrow leads to one end; at an end it goes round.
      const next = (now.rating || (steps[event.key] > 0 ? 0 : 6)) + steps[event.key];
      stars = next > 5 ? 1 : next < 1 ? 5 : next;
    } else if (event.key === "Home") stars = 1;
    else if (event.key === "End") stars = 5;
    else if (/^[1-5]$/.test(event.key)) stars = Number(event.key);
    if (!stars) return;
    event.preventDefault();
    choose(stars);
    buttons[stars - 1].focus();
  });

  const draw = (next, own = false) => {
    // News that was on its way when the visitor chose does not take the choice back.
    if (!own && (!next.enabled || (next.chosen && next.rating === ahead))) ahead = 0;
    now = ahead ? { ...next, rating: ahead, chosen: true } : next;
    const { rating, suggested, chosen, enabled } = now;
    el.classList.toggle("sw-chosen", chosen);
    group.setAttribute("aria-disabled", String(!enabled));
    buttons.forEach((button, index) => {
      button.classList.toggle("sw-on", index < rating);
      button.setAttribute("aria-checked", String(index + 1 === rating));
      button.setAttribute("aria-disabled", String(!enabled));
      // One stop of the Tab key for the whole group: the star that is on, else the first.
      button.tabIndex = index + 1 === (rating || 1) ? 0 : -1;
    });
    caption.textContent = chosen
      ? `Your rating: ${named(rating)}`
      : rating
        ? `Suggested: ${named(rating)}`
        : "No stars yet";
    follow.hidden = !(chosen && suggested && enabled);
    follow.textContent = `Use the suggestion (${named(suggested)})`;
  };
  draw(now);
  return { el, draw };
}
