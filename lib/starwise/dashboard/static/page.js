// The served page: it connects the form to its kernel, without JupyterLab's front end.
//
// A kernel speaks Jupyter's protocol over a websocket (jupyter-server.readthedocs.io,
// "WebSocket protocols", v1), and a widget in it a small protocol of its own (ipywidgets,
// "Messaging protocol"): "update" carries changed state, "custom" whatever the widget likes. The
// form needs no more of them than this file, which spares every visitor some megabytes of script.

import form from "./form.js";

const PROTOCOL = "v1.kernel.websocket.jupyter.org";
const RETRIES = [500, 1000, 2000, 4000, 8000]; // ms between attempts to connect again
const ASK = 1000; // ms until a question that nobody answered is asked again

/** What anywidget calls a model: state that changes, and messages both ways. */
class Model {
  state = {};
  listeners = new Map();
  constructor(post) {
    this.post = post;
  }
  get(name) {
    return this.state[name];
  }
  on(name, listener) {
    if (!this.listeners.has(name)) this.listeners.set(name, new Set());
    this.listeners.get(name).add(listener);
  }
  off(name, listener) {
    this.listeners.get(name)?.delete(listener);
  }
  tell(name, news) {
    for (const listener of [...(this.listeners.get(name) ?? [])]) listener(news);
  }
  send(content) {
    this.post({ method: "custom", content });
  }
  hear(data) {
    if (data.method === "update") {
      Object.assign(this.state, data.state);
      this.tell("change");
    } else if (data.method === "custom") this.tell("msg:custom", data.content);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Pack a message: the number of offsets, the offsets, then channel and the four parts. */
function pack(channel, parts) {
  const chunks = [encoder.encode(channel), ...parts.map((p) => encoder.encode(JSON.stringify(p)))];
  const offsets = [8 * (chunks.length + 2)];
  for (const chunk of chunks) offsets.push(offsets.at(-1) + chunk.length);
  const packed = new Uint8Array(offsets.at(-1));
  const view = new DataView(packed.buffer);
  view.setBigUint64(0, BigInt(offsets.length), true);
  offsets.forEach((offset, i) => view.setBigUint64(8 * (i + 1), BigInt(offset), true));
  chunks.forEach((chunk, i) => packed.set(chunk, offsets[i]));
  return packed;
}

/** Unpack a message into its channel, header and content. */
function unpack(buffer) {
  const view = new DataView(buffer);
  const offset = (i) => Number(view.getBigUint64(8 * (i + 1), true));
  const part = (i) => decoder.decode(new Uint8Array(buffer, offset(i), offset(i + 1) - offset(i)));
  return { channel: part(0), header: JSON.parse(part(1)), content: () => JSON.parse(part(4)) };
}

const id = () =>
  crypto.randomUUID?.() ??
  // Only pages over https and on localhost have the above.
  [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

/** A connection to a kernel that comes back by itself while the kernel lives. */
class Connection {
  session = id();
  waiting = []; // messages for when it is open
  attempts = 0;
  constructor(base, kernel, { heard, changed }) {
    Object.assign(this, { base, kernel, heard, changed });
    this.open();
  }
  open() {
    const url = new URL(`${this.base}api/kernels/${this.kernel}/channels`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("session_id", this.session);
    const socket = (this.socket = new WebSocket(url, [PROTOCOL]));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.attempts = 0;
      this.changed("here");
      for (const message of this.waiting.splice(0)) socket.send(message);
    };
    socket.onmessage = (event) => this.receive(unpack(event.data));
    socket.onclose = () => this.lost();
  }
  receive(message) {
    if (message.header.msg_type === "comm_msg") this.heard(message.content());
    else if (message.header.msg_type === "status") {
      const state = message.content().execution_state;
      if (state === "dead" || state === "restarting") this.end();
    }
  }
  async lost() {
    if (this.over) return;
    this.changed("away");
    // A server that answers, and still no connection: then it is the kernel that is gone.
    const pause = RETRIES[Math.min(this.attempts++, RETRIES.length - 1)];
    await new Promise((resume) => setTimeout(resume, pause));
    if (this.over) return;
    try {
      const answer = await fetch(`${this.base}visitors/${this.kernel}`, { cache: "no-store" });
      if (answer.status === 404) return this.end();
    } catch {
      return this.lost(); // the server does not answer either
    }
    this.open();
  }
  end() {
    this.over = true;
    this.socket.close();
    this.changed("gone");
  }
  post(kind, content) {
    const header = {
      msg_id: id(),
      msg_type: kind,
      session: this.session,
      username: "",
      date: new Date().toISOString(),
      version: "5.3",
    };
    const packed = pack("shell", [header, {}, {}, content]);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(packed);
    else this.waiting.push(packed);
  }
}

/** Wait for the element that the server sends once the kernel has made its form. */
function arrival(selector) {
  return new Promise((found) => {
    const look = () => {
      const element = document.querySelector(selector);
      if (element) found(element);
      return element;
    };
    if (look()) return;
    const watch = new MutationObserver(() => look() && watch.disconnect());
    watch.observe(document, { childList: true, subtree: true });
  });
}

async function main() {
  const say = (words, still = false) => {
    const waiting = document.getElementById("waiting");
    if (!waiting) return;
    document.getElementById("waiting-words").textContent = words;
    waiting.classList.toggle("sw-still", still);
  };
  setTimeout(() => say("Still opening… A reload may help."), 20000);
  const { base, kernel } = (await arrival("#kernel")).dataset;
  let model = null;
  const connection = new Connection(base, kernel, {
    heard: ({ comm_id, data }) => {
      if (model && comm_id === model.id) model.hear(data);
    },
    changed: (state) => {
      if (model) model.tell("connection", state);
      if (state === "gone") say("The page could not be opened just now. Please reload it.", true);
    },
  });
  addEventListener("pagehide", () => {
    if (connection.over) return; // there is no kernel any more
    // The farewell: this visitor's kernel may go. (A page that comes back from the cache reloads.)
    const farewell = new FormData();
    farewell.append("_xsrf", document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "");
    connection.over = true;
    navigator.sendBeacon(`${base}voila/api/shutdown/${kernel}`, farewell);
  });
  addEventListener("pageshow", (event) => event.persisted && location.reload());

  const place = await arrival("#form, #stopped");
  if (place.id === "stopped") {
    say("The page could not be opened just now. Please reload it in a moment.", true);
    return;
  }
  model = new Model((data) => connection.post("comm_msg", { comm_id: model.id, data }));
  model.id = place.dataset.model;
  const ask = () => model.send({ kind: "state" });
  const asking = setInterval(ask, ASK);
  await new Promise((answered) => {
    // Before the whole state there may come a piece of news, which is not enough to draw from.
    model.on("change", () => model.get("fixed") && answered());
    ask();
  });
  model.listeners.clear();
  clearInterval(asking);
  form.render({ model, el: place });
  document.getElementById("waiting").remove();
  document.body.classList.remove("sw-waiting");
}

main();
