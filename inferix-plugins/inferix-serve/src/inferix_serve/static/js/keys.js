// The model's actions as keys, on the screen and on the keyboard. An action holds for as long as its key is down.

import { element } from "./dom.js";

const KNOWN = {
  left: { label: "←", codes: ["ArrowLeft", "KeyA"] },
  right: { label: "→", codes: ["ArrowRight", "KeyD"] },
  jump: { label: "↑", codes: ["ArrowUp", "KeyW"] },
  up: { label: "↑", codes: ["ArrowUp", "KeyW"] },
  forward: { label: "↑", codes: ["ArrowUp", "KeyW"] },
  down: { label: "↓", codes: ["ArrowDown", "KeyS"] },
  back: { label: "↓", codes: ["ArrowDown", "KeyS"] },
  backward: { label: "↓", codes: ["ArrowDown", "KeyS"] },
};
const NOTHING = "none";

export function keysOf(actions) {
  const taken = new Set();
  return actions.filter((action) => action !== NOTHING).map((action, index) => {
    const known = KNOWN[action];
    const codes = (known?.codes ?? []).filter((code) => !taken.has(code));
    codes.forEach((code) => taken.add(code));
    const label = codes.length ? known.label : `${index + 1}`;
    return { action, label, codes: codes.length ? codes : [`Digit${index + 1}`] };
  });
}

export class Keys {
  #down = [];
  #caps = new Map();
  #onHold;

  // `onHold` is called with the action that holds now, or null.
  constructor(root, keys, onHold) {
    this.#onHold = onHold;
    const byCode = new Map(keys.flatMap((key) => key.codes.map((code) => [code, key.action])));
    for (const { action, label } of keys) {
      const cap = element("button", { className: "keycap", type: "button" }, label, element("small", { textContent: action }));
      cap.setAttribute("aria-label", action);
      cap.dataset.action = action;
      cap.addEventListener("pointerdown", (event) => { cap.setPointerCapture(event.pointerId); this.#press(action); });
      for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) cap.addEventListener(end, () => this.#release(action));
      cap.addEventListener("keydown", (event) => { if (["Enter", "Space"].includes(event.code)) { event.preventDefault(); event.stopPropagation(); this.#press(action); } });
      cap.addEventListener("keyup", (event) => { if (["Enter", "Space"].includes(event.code)) { event.stopPropagation(); this.#release(action); } });
      cap.addEventListener("contextmenu", (event) => event.preventDefault());
      this.#caps.set(action, cap);
      root.append(cap);
    }
    document.addEventListener("keydown", (event) => {
      const action = byCode.get(event.code);
      if (!action || isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.#press(action);
    });
    document.addEventListener("keyup", (event) => { if (byCode.has(event.code)) this.#release(byCode.get(event.code)); });
    window.addEventListener("blur", () => [...this.#down].forEach((action) => this.#release(action)));
  }

  #press(action) {
    if (this.#down.includes(action)) return;
    this.#down.push(action);
    this.#changed();
  }

  #release(action) {
    if (!this.#down.includes(action)) return;
    this.#down = this.#down.filter((other) => other !== action);
    this.#changed();
  }

  #changed() {
    for (const [action, cap] of this.#caps) cap.classList.toggle("down", this.#down.includes(action));
    this.#onHold(this.#down.at(-1) ?? null);
  }
}

export function isTyping(event) {
  const target = event.target;
  return target instanceof HTMLElement && (target.matches("input, textarea, select") || target.closest("dialog") !== null);
}
