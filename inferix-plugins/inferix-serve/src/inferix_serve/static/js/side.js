// The measurements of the chosen world.

import { drawAges, drawBlocks } from "./chart.js";
import { bytes, element, find, milliseconds } from "./dom.js";

const policyText = ({ use, ...options }) => {
  const numbers = Object.entries(options).map(([key, value]) => (key.startsWith("num_") ? `${value} ${key.slice(4).replaceAll("_", " ")}` : `${key.replaceAll("_", " ")} ${value}`));
  return [use.split(":").at(-1), ...numbers].join(", ");
};

export class Side {
  #server;
  #onPrompt;

  constructor(server, onPrompt) {
    this.#server = server;
    this.#onPrompt = onPrompt;
    const redraw = () => this.#pane && this.show(this.#pane);
    window.addEventListener("resize", redraw);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  #pane = null;
  #shownPrompts = "";

  show(pane) {
    this.#pane = pane;
    const { view, blocks, ages } = pane;
    drawBlocks(find("#block-chart"), blocks);
    drawAges(find("#latency-chart"), ages);
    find("#block-time").textContent = view.block_ms ? `p50 ${milliseconds(view.block_ms.p50)} · p95 ${milliseconds(view.block_ms.p95)}` : "";
    find("#latency").textContent = view.input_to_photon_ms ? `p50 ${milliseconds(view.input_to_photon_ms.p50)} · p95 ${milliseconds(view.input_to_photon_ms.p95)}` : "";
    const facts = [
      ["KV cache", bytes(view.kv_bytes ?? 0)],
      ["Policy", policyText(this.#server.policy)],
      ["Store", this.#server.store.use.split(":").at(-1)],
      ["Runs on", `${this.#server.device}, ${this.#server.dtype}`],
      ["Seed", view.seed ?? ""],
      ["Missed deadlines", view.missed_deadlines ?? 0],
      ["Viewers", view.viewers ?? 0],
      ["Round trip", pane.link.roundTrip ? milliseconds(pane.link.roundTrip) : "…"],
    ];
    find("#facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
    this.#prompts(view.prompts ?? []);
  }

  #prompts(prompts) {
    const key = JSON.stringify(prompts);
    if (key === this.#shownPrompts) return;
    this.#shownPrompts = key;
    const items = [...prompts].reverse().map(({ block, prompt }) => {
      const button = element("button", { title: "Put it into the prompt box", onclick: () => this.#onPrompt(prompt) }, element("b", { textContent: block }), prompt);
      return element("li", {}, button);
    });
    find("#history").replaceChildren(...items);
  }
}
