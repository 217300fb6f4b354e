// The page: which worlds are open, which one is steered, and what the keys do.

import { api } from "./api.js";
import { element, find, milliseconds } from "./dom.js";
import { Keys, isTyping, keysOf } from "./keys.js";
import { Pane } from "./pane.js";
import { PromptBox, remember } from "./prompts.js";
import { ShelfSheet } from "./shelf.js";
import { Side } from "./side.js";

const EXAMPLES = {
  tinyworld: ["a red ball bounces at sunset", "a blue box rests at night", "a yellow ball rolls by day", "a purple ball bounces at night"],
};

class Page {
  panes = [];
  chosen = null;

  async start() {
    this.server = await api.server();
    this.transport = new URLSearchParams(location.search).get("transport");
    const { model, height, width, fps } = this.server;
    find("#model").textContent = `${model} · ${width}×${height} · ${fps} fps`;
    find("#logout").hidden = !this.server.needs_token;
    this.side = new Side(this.server, (text) => this.prompt.fill(text));
    this.prompt = new PromptBox(find("#prompt-form"), (text) => this.#try(() => this.#send(text)));
    new PromptBox(find("#start-form"), (text) => this.#try(() => this.begin(text)));
    new ShelfSheet({ onOpen: (world) => this.open(world), onSay: (text, isWrong) => this.say(text, isWrong) });
    const keys = keysOf(this.server.actions);
    new Keys(find("#keys"), keys, (action) => this.#try(() => this.chosen?.hold(action)));
    this.#shortcuts(keys);
    find("#new-world").onclick = () => this.showStart();
    this.examples = EXAMPLES[model] ?? [];
    find("#examples").replaceChildren(...this.examples.map((text) => element("button", { className: "button", textContent: text, onclick: () => this.#try(() => this.begin(text)) })));
    await this.#firstWorlds();
  }

  // The worlds of the address, else the newest that is there, else a first one.
  async #firstWorlds() {
    const wanted = location.hash.slice(1).split(",").filter(Boolean);
    const worlds = await api.worlds();
    const known = wanted.filter((id) => worlds.some((world) => world.id === id));
    if (known.length) known.forEach((id) => this.open(id));
    else if (worlds.length) this.open(worlds[0].id);
    else if (this.examples.length) await this.#try(() => this.begin(this.examples[0]));
    if (!this.panes.length) this.showStart();
  }

  showStart() {
    find("#start").hidden = false;
    find("#deck").hidden = true;
    find("#start-prompt").focus();
  }

  async begin(prompt) {
    const world = await api.create({ prompt });
    remember(prompt);
    this.panes.slice().forEach((pane) => this.#take(pane));
    this.open(world.id);
  }

  open(world, still = null) {
    find("#start").hidden = true;
    find("#deck").hidden = false;
    const there = this.panes.find((pane) => pane.world === world);
    if (there) {
      this.choose(there);
      return;
    }
    const pane = new Pane(world, { server: this.server, transport: this.transport, still });
    pane.addEventListener("changed", () => { if (pane === this.chosen) this.side.show(pane); });
    pane.addEventListener("choose", () => this.choose(pane));
    pane.addEventListener("said", ({ detail }) => this.say(detail.text, detail.isWrong));
    pane.addEventListener("forked", ({ detail }) => this.open(detail.id, pane));
    pane.addEventListener("leave", () => this.#take(pane));
    pane.addEventListener("shut", () => this.#try(async () => { await api.close(world).catch((error) => { if (error.status !== 404) throw error; }); this.#take(pane); }));
    pane.addEventListener("aged", ({ detail }) => {
      if (pane !== this.chosen) return;
      if (detail.isOwn) this.say(`On the screen after ${milliseconds(detail.age)}.`);
      this.side.show(pane);
    });
    this.panes.push(pane);
    find("#stage").append(pane.root);
    this.choose(pane);
    this.#remember();
  }

  choose(pane) {
    if (pane === this.chosen) return;
    this.chosen = pane;
    for (const other of this.panes) other.root.classList.toggle("chosen", other === pane);
    this.side.show(pane);
  }

  say(text, isWrong = false) {
    find("#said").textContent = text;
    find("#said").classList.toggle("wrong", isWrong);
  }

  async #send(text) {
    if (!this.chosen) return;
    const { block } = await this.chosen.signal({ prompt: text });
    this.say(`“${text}” takes effect at block ${block}.`);
  }

  #take(pane) {
    pane.close();
    this.panes = this.panes.filter((other) => other !== pane);
    if (this.chosen === pane) this.chosen = null;
    if (this.panes.length) this.choose(this.chosen ?? this.panes.at(-1));
    else this.showStart();
    this.#remember();
  }

  #remember() {
    history.replaceState(null, "", `#${this.panes.map((pane) => pane.world).join(",")}`);
  }

  async #try(action) {
    try {
      await action();
    } catch (error) {
      this.say(error.message, true);
    }
  }

  #shortcuts(keys) {
    const commands = [
      ["Space", "pause and play", () => this.chosen?.toggle()],
      ["Period", "make one block", () => this.chosen?.step()],
      ["KeyB", "go back one block", () => { const { view } = this.chosen; return this.chosen.rewind(Math.max(view.num_blocks - 1, view.oldest_reachable)); }],
      ["KeyF", "fork: branch off beside it", () => this.chosen?.fork()],
      ["KeyV", "save as it is now", () => this.chosen?.save()],
      ["Slash", "write a prompt", () => this.prompt.focus()],
    ];
    const taken = new Set(keys.flatMap((key) => key.codes));
    const usable = commands.filter(([code]) => !taken.has(code));
    document.addEventListener("keydown", (event) => {
      if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if (event.code === "Space" && event.target.closest?.("button")) return;
      const found = usable.find(([code]) => code === event.code);
      if (!found || !this.chosen) return;
      event.preventDefault();
      this.#try(found[2]);
    });
    const NAMES = { Period: ".", Slash: "/" };
    const name = (code) => NAMES[code] ?? code.replace(/^(Key|Digit)/, "");
    const lines = [
      ...keys.map((key) => [key.codes.map((code) => (code.startsWith("Arrow") ? key.label : name(code))).join(" or "), key.action]),
      ...usable.map(([code, text]) => [name(code), text]),
    ];
    find("#shortcuts").replaceChildren(...lines.flatMap(([key, text]) => [element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: text })]));
    find("#open-help").onclick = () => find("#help").showModal();
  }
}

const page = new Page();
page.start().catch((error) => page.say(error.message, true));
