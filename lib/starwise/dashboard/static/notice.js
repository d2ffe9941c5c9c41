// One sentence about what happened (see NoticeLine in controls.py).

function render({ model, el }) {
  el.classList.add("sw-notice");
  // Both are on the page from the start: screen readers announce changes, not arrivals.
  const status = document.createElement("div");
  status.setAttribute("role", "status");
  const alert = document.createElement("div");
  alert.setAttribute("role", "alert");
  el.append(status, alert);
  const draw = () => {
    const kind = model.get("kind");
    for (const name of ["info", "saved", "failed"]) {
      el.classList.toggle(`sw-${name}`, kind === name);
    }
    const failed = kind === "failed";
    status.textContent = failed ? "" : model.get("text");
    alert.textContent = failed ? model.get("text") : "";
  };
  model.on("change:kind change:text", draw);
  draw();
}

export default { render };
