// The sheet with all worlds: those that live here or sleep, and those that were saved.

import { api } from "./api.js";
import { clock, element, find } from "./dom.js";

const STATES = { playing: "live", waiting: "nobody watches", paused: "paused", failed: "failed", asleep: "asleep" };

export class ShelfSheet {
  #dialog = find("#shelf");
  #onOpen;
  #onSay;

  constructor({ onOpen, onSay }) {
    this.#onOpen = onOpen;
    this.#onSay = onSay;
    find("#open-shelf").onclick = () => this.show();
  }

  async show() {
    await this.#fill();
    this.#dialog.showModal();
  }

  async #fill() {
    const [worlds, saved] = await Promise.all([api.worlds(), api.saved()]);
    find("#living").replaceChildren(...rows(worlds, (world) => this.#living(world), "No world lives here yet."));
    find("#saved").replaceChildren(...rows(saved, (one) => this.#saved(one), "Nothing is saved yet."));
  }

  #living(world) {
    const newest = world.num_blocks - 1;
    const picture = newest >= 0 && world.state !== "asleep" ? `/v1/worlds/${world.id}/blocks/${newest}/picture?v=${world.num_frames}` : null;
    return row(picture, world.prompt, `${STATES[world.state]} · ${clock(world.seconds)}`, [
      ["Open", () => { this.#dialog.close(); this.#onOpen(world.id); }],
      ["Close", () => this.#do(() => api.close(world.id))],
    ]);
  }

  #saved(one) {
    const when = new Date(one.created * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    return row(`/v1/saved/${one.id}/picture`, one.prompt, `${clock(one.seconds)} · ${when}`, [
      ["Load", () => this.#do(async () => { const world = await api.create({ saved: one.id }); this.#dialog.close(); this.#onOpen(world.id); })],
      ["Delete", () => this.#do(() => api.removeSaved(one.id))],
    ]);
  }

  async #do(action) {
    try {
      await action();
      await this.#fill();
    } catch (error) {
      this.#dialog.close();
      this.#onSay(error.message, true);
    }
  }
}

const rows = (items, make, none) => (items.length ? items.map(make) : [element("li", { className: "none", textContent: none })]);

function row(picture, title, note, buttons) {
  const image = picture ? element("img", { src: picture, alt: "" }) : element("span", { className: "blank" });
  const text = element("div", { className: "text" }, element("b", { textContent: title ?? "No prompt" }), element("span", { textContent: note }));
  return element("li", {}, image, text, ...buttons.map(([label, action], index) => element("button", { className: index ? "button quiet" : "button", textContent: label, onclick: action })));
}
