// The blocks that a world can be rewound to, as pictures under a slider.

import { element, find } from "./dom.js";

const SETTLE_MS = 300;

export class Timeline {
  #world;
  #thumbs;
  #slider;
  #preview;
  #isHeld = false;
  #versions = new Map();
  #newest = 0;
  #oldest = 0;

  // `onHold` is called when somebody takes the slider, `onRewind` with the number of blocks when it is let go.
  constructor(pane, world, { onHold, onRewind }) {
    this.#world = world;
    this.#thumbs = find(".thumbs", pane);
    this.#slider = find(".slider", pane);
    this.#preview = find(".preview", pane);
    let settling = 0;
    this.#slider.addEventListener("input", () => {
      clearTimeout(settling);
      if (!this.#isHeld) onHold();
      this.#isHeld = true;
      this.#show();
    });
    this.#slider.addEventListener("pointerup", () => this.#slider.blur()); // the arrow keys steer again
    const letGo = () => {
      const target = Number(this.#slider.value);
      this.#isHeld = false;
      this.#preview.hidden = true;
      onRewind(target, target < this.#newest);
    };
    this.#slider.addEventListener("change", () => {
      clearTimeout(settling);
      settling = setTimeout(letGo, SETTLE_MS); // arrow keys come one after another
    });
  }

  update({ num_blocks, oldest_reachable }) {
    this.#newest = num_blocks;
    this.#oldest = oldest_reachable;
    if (!this.#isHeld) {
      this.#slider.min = oldest_reachable;
      this.#slider.max = num_blocks;
      this.#slider.value = num_blocks;
    }
    this.#slider.setAttribute("aria-valuetext", `${num_blocks} blocks`);
    this.#slider.disabled = num_blocks <= oldest_reachable;
    this.#layOut();
  }

  // A block was made, perhaps in the place of one that was rewound.
  made(block, frame) {
    this.#versions.set(block, frame);
    this.#thumbs.querySelector(`[data-block="${block}"]`)?.remove();
    this.#layOut();
  }

  #layOut() {
    const wanted = [];
    for (let block = this.#oldest; block < this.#newest; block += 1) wanted.push(block);
    for (const image of [...this.#thumbs.children]) {
      if (!wanted.includes(Number(image.dataset.block))) image.remove();
    }
    for (const block of wanted) {
      if (this.#thumbs.querySelector(`[data-block="${block}"]`)) continue;
      const image = element("img", { alt: "", decoding: "async", draggable: false, src: this.#source(block) });
      image.dataset.block = block;
      image.onerror = () => { image.style.visibility = "hidden"; };
      const next = [...this.#thumbs.children].find((other) => Number(other.dataset.block) > block);
      this.#thumbs.insertBefore(image, next ?? null);
    }
  }

  #source(block) {
    return `/v1/worlds/${this.#world}/blocks/${block}/picture?v=${this.#versions.get(block) ?? 0}`;
  }

  #show() {
    const target = Number(this.#slider.value);
    for (const image of this.#thumbs.children) image.classList.toggle("ahead", Number(image.dataset.block) >= target);
    const shown = Math.max(target - 1, 0);
    this.#preview.hidden = target >= this.#newest;
    if (!this.#preview.hidden) this.#preview.src = this.#source(shown);
    this.#slider.setAttribute("aria-valuetext", `Rewind to ${target} of ${this.#newest} blocks`);
  }

  settle() {
    for (const image of this.#thumbs.children) image.classList.remove("ahead");
  }
}
