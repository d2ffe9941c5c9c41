// The whole form: it draws the model's state, and passes on what the visitor does.
//
// `model` is what anywidget hands to every front end (get, on, off, send). In JupyterLab that is
// JupyterLab's; on the served page it is that of page.js, which also says how the connection is.

const DRAFT = "starwise-draft";

const KEEP = 300; // ms until a letter is in the draft, unless the page is left before

const AWAY = {
  away: {
    kind: "failed",
    text: "The connection is lost. Trying to get it back; your text stays here.",
  },
  gone: {
    kind: "failed",
    text:
      "This page is disconnected. Your text and your stars are kept: reload the page to go on.",
  },
};

function makeButton(words, pressed, className = "sw-button") {
  const button = element("button", className, { type: "button" });
  button.textContent = words;
  button.addEventListener("click", pressed);
  return button;
}

/** Set a property unless it is so already: else a browser looks through the styles once more. */
function set(made, name, value) {
  if (made[name] !== value) made[name] = value;
}

/** Return `draw` as it is called only with something new. */
function whenNew(draw) {
  let before = null;
  return (...now) => {
    if (before?.every((value, place) => value === now[place])) return;
    before = now;
    draw(...now);
  };
}

function render({ model, el }) {
  const { limit, examples, privacy } = model.get("fixed");
  const keeps = el.dataset.keeps === "yes"; // a page of its own may keep a draft, JupyterLab not
  let connection = "here"; // or "away", "gone"
  let written = ""; // the text as last sent
  let keeping = 0; // the timer of a draft that is to be kept

  const tell = (text) => {
    if (text !== written) {
      written = text;
      model.send({ kind: "text", text });
      drawMarks(model.get("marks"), false);
      keeping ||= setTimeout(keep, KEEP); // not at once: the score is on its way
    }
    set(tries, "hidden", text !== "" || model.get("phase") !== "writing");
  };
  const flushed = (message) => {
    tell(box.text()); // no click overtakes the letters typed before it
    model.send(message);
  };
  const keep = (chosen) => {
    clearTimeout(keeping);
    keeping = 0;
    if (!keeps) return;
    const stars = model.get("stars");
    const draft = {
      id: model.get("review"),
      brand: model.get("brand").name,
      text: box.whole,
      chosen: chosen !== undefined ? chosen : stars.chosen ? stars.rating : null,
    };
    try {
      if (model.get("phase") === "saved" || !draft.text) sessionStorage.removeItem(DRAFT);
      else sessionStorage.setItem(DRAFT, JSON.stringify(draft));
    } catch {
      // A browser that keeps nothing still has a working page.
    }
  };
  const kept = () => {
    try {
      return (keeps && JSON.parse(sessionStorage.getItem(DRAFT))) || null;
    } catch {
      return null;
    }
  };

  const brand = makeBrand();
  const box = makeTextBox(limit, tell);
  const tries = element("div", "sw-examples");
  const invitation = element("span");
  invitation.textContent = "Or try one of these:";
  tries.append(invitation);
  for (const [name, text] of examples) {
    tries.append(
      makeButton(name, () => {
        box.show(text);
        tell(text);
        box.focus();
      }),
    );
  }
  const marks = makeMarks();
  const gauge = makeGauge();
  const stars = makeStars(
    (chosen) => {
      flushed({ kind: "choose", stars: chosen });
      keep(chosen);
    },
    () => {
      flushed({ kind: "follow" });
      keep(null);
    },
  );
  const submit = makeButton("Submit", () => flushed({ kind: "submit" }), "sw-button sw-primary");
  const another = makeButton("Review another brand", () => flushed({ kind: "another" }));
  const notice = makeNotice(() => location.reload());
  const promise = element("p", "sw-privacy", { id: unique("sw-privacy") });
  promise.textContent = privacy;
  submit.setAttribute("aria-describedby", promise.id);
  const recent = makeRecent();

  const writing = element("div", "sw-writing");
  writing.append(box.el, tries, marks.el);
  const result = element("div", "sw-result");
  result.append(gauge.el, stars.el);
  const actions = element("div", "sw-actions");
  actions.append(submit, another);
  const foot = element("div", "sw-foot");
  foot.append(actions, notice.el);
  el.classList.add("starwise");
  el.append(brand.el, writing, result, foot, promise, recent.el);

  let phase = model.get("phase");
  const drawBrand = whenNew(brand.draw);
  const drawBox = whenNew(box.draw);
  const drawMarks = whenNew(marks.draw);
  const drawStars = whenNew((now, enabled) => stars.draw({ ...now, enabled }));
  const drawNotice = whenNew(notice.draw);
  const drawRecent = whenNew(recent.draw);
  const draw = () => {
    const next = model.get("phase");
    const here = connection === "here";
    drawBrand(model.get("brand"));
    drawBox(model.get("brand").name, next === "writing");
    set(tries, "hidden", box.whole !== "" || next !== "writing");
    gauge.draw(model.get("reading"), model.get("hint"));
    drawMarks(model.get("marks"), model.get("current"));
    drawStars(model.get("stars"), next === "writing");
    set(submit, "disabled", !(model.get("ready") && here));
    set(submit, "hidden", next === "saved");
    set(another, "disabled", next === "saving" || !here);
    another.classList.toggle("sw-primary", next === "saved");
    if (here) drawNotice(model.get("notice"), false);
    else drawNotice(AWAY[connection], connection === "gone");
    drawRecent(model.get("recent"));
    el.dataset.scored = model.get("scored");
    if (next !== phase) follow(phase, next);
  };
  const follow = (before, next) => {
    phase = next;
    keep();
    // The keyboard's place on the page would be lost with the button that was just pressed.
    if (next === "saved") another.focus();
    else if (before === "saved") box.focus();
    else if (before === "saving") submit.focus();
  };
  const heard = (message) => {
    if (message.kind !== "show") return;
    // The answer to our "hello" may come after the first letters: those stay.
    if (message.answer && box.whole) return tell(box.text());
    written = message.text;
    box.show(message.text);
    draw();
    keep();
  };
  const connected = (state) => {
    const back = state === "here" && connection !== "here";
    connection = state;
    if (back) {
      written = null; // what was typed meanwhile has not been heard
      tell(box.text());
    }
    draw();
  };
  const leave = () => keeping && keep();
  addEventListener("pagehide", leave);
  model.on("msg:custom", heard);
  model.on("change", draw);
  model.on("connection", connected);
  draw();
  model.send({ kind: "hello", draft: kept() });
  return () => {
    gauge.stop();
    clearTimeout(keeping);
    removeEventListener("pagehide", leave);
    model.off("msg:custom", heard);
    model.off("change", draw);
    model.off("connection", connected);
  };
}

export default { render };
