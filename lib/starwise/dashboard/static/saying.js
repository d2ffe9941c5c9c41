// What the page says to the visitor: one sentence about what happened, whom to review, what was sent.

function makeNotice(reload) {
  const el = element("div", "sw-notice");
  // Both are on the page from the start: screen readers announce changes, not arrivals.
  const status = element("div", "", { role: "status" });
  const alert = element("div", "", { role: "alert" });
  const button = element("button", "sw-button", { type: "button" });
  button.textContent = "Reload the page";
  button.hidden = true;
  button.addEventListener("click", reload);
  el.append(status, alert, button);
  return {
    el,
    draw: ({ kind, text }, reloadable = false) => {
      for (const name of ["info", "saved", "failed"]) {
        el.classList.toggle(`sw-${name}`, kind === name);
      }
      const [shown, other] = kind === "failed" ? [alert, status] : [status, alert];
      other.textContent = "";
      if (shown.textContent !== text) shown.textContent = text;
      button.hidden = !reloadable;
    },
  };
}

function makeBrand() {
  const el = element("div", "sw-brand");
  const logo = element("img", "", { alt: "", width: 64, height: 64 });
  const words = element("div");
  const question = element("h1");
  const name = element("em");
  const link = element("a", "", { target: "_blank", rel: "noopener noreferrer nofollow" });
  question.append("What do you think of ", name, "?");
  words.append(question, link);
  el.append(logo, words);
  return {
    el,
    draw: (brand) => {
      if (name.textContent === brand.name && logo.src) return;
      logo.src = brand.logo;
      name.textContent = brand.name;
      link.hidden = !brand.website;
      if (brand.website) link.href = brand.website;
      link.textContent = brand.label;
    },
  };
}

function makeRecent() {
  const el = element("section", "sw-recent", { "aria-label": "What you have sent" });
  const title = element("h2");
  title.textContent = "What you have sent";
  const list = element("ul");
  el.append(title, list);
  const item = ({ brand, text, stars }) => {
    const made = element("li");
    const head = element("div", "sw-sent");
    const drawn = element("span", "sw-row", { role: "img", "aria-label": named(stars) });
    drawn.textContent = "★".repeat(stars) + "☆".repeat(5 - stars);
    const name = element("strong");
    name.textContent = brand;
    head.append(drawn, name);
    const words = element("p", "", { dir: "auto" });
    words.textContent = text;
    made.append(head, words);
    return made;
  };
  return {
    el,
    draw: (recent) => {
      el.hidden = !recent.length;
      list.replaceChildren(...recent.map(item));
    },
  };
}
