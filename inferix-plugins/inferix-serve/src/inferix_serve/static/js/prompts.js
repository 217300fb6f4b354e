// The prompt box: sends on Enter, and remembers what was sent (arrow keys go through it).

const STORE = "inferix-prompts";
const NUM_KEPT = 50;

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "[]").filter((one) => typeof one === "string");
  } catch {
    return [];
  }
}

export function remember(text) {
  const kept = [...remembered().filter((one) => one !== text), text].slice(-NUM_KEPT);
  try {
    localStorage.setItem(STORE, JSON.stringify(kept));
  } catch {
    // private windows keep nothing
  }
}

export class PromptBox {
  #input;
  #place = 0;
  #draft = "";

  constructor(form, onSend) {
    this.#input = form.querySelector("input");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#input.value.trim();
      if (!text) return;
      remember(text);
      this.#input.value = "";
      this.#place = 0;
      onSend(text);
    });
    this.#input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" || event.key === "ArrowDown") this.#recall(event);
      if (event.key === "Escape") this.#input.blur();
    });
  }

  focus() { this.#input.focus(); }

  fill(text) {
    this.#input.value = text;
    this.focus();
  }

  #recall(event) {
    const kept = remembered();
    const place = Math.min(Math.max(this.#place + (event.key === "ArrowUp" ? 1 : -1), 0), kept.length);
    if (place === this.#place) return;
    event.preventDefault();
    if (this.#place === 0) this.#draft = this.#input.value;
    this.#place = place;
    this.#input.value = place ? kept[kept.length - place] : this.#draft;
  }
}
