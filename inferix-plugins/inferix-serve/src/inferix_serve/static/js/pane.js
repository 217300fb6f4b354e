// One world on the page: its screen, its timeline, its controls.

import { clock, find, icon } from "./dom.js";
import { Link } from "./link.js";
import { Screen } from "./screen.js";
import { Timeline } from "./timeline.js";

const NUM_KEPT = 200;
const STATES = { playing: "Live", waiting: "Waiting", paused: "Paused", failed: "Failed", asleep: "Asleep" };

export class Pane extends EventTarget {
  world;
  view = {};
  blocks = [];
  ages = [];
  #sent = new Map();
  #nextSignal = 1;

  constructor(world, { server, transport, still }) {
    super();
    this.world = world;
    this.root = find("#pane-template").content.firstElementChild.cloneNode(true);
    this.root.dataset.world = world;
    find(".glass", this.root).style.setProperty("--aspect", `${server.width} / ${server.height}`);
    this.link = new Link(world);
    this.screen = new Screen(this.root, this.link, { webrtc: server.webrtc && transport !== "pictures" });
    if (still) still.screen.copyTo(this.screen);
    this.timeline = new Timeline(this.root, world, {
      onHold: () => this.#holdStill(),
      onRewind: (target, isBack) => this.#letGo(target, isBack),
    });
    this.#wire();
    this.#listen();
    this.link.open();
  }

  get isPlaying() { return this.view.state === "playing"; }

  // Sends a signal; its age on the page is measured from this moment.
  async signal(fields) {
    const id = this.#measured();
    return this.link.ask("signal", { ...fields, id });
  }

  async hold(action) {
    return this.link.ask("hold", action === null ? { action } : { action, id: this.#measured() });
  }

  toggle() { return this.link.ask(this.view.state === "paused" || this.view.state === "failed" ? "resume" : "pause"); }

  async step() {
    if (this.view.state !== "paused") await this.link.ask("pause");
    return this.link.ask("step", { num_blocks: 1 });
  }

  rewind(numBlocks) { return this.link.ask("rewind", { num_blocks: numBlocks }); }

  close() {
    this.screen.close();
    this.link.close();
    this.root.remove();
  }

  #measured() {
    const id = `page-${Date.now().toString(36)}-${this.#nextSignal++}`;
    this.#sent.set(id, performance.now());
    return id;
  }

  #wire() {
    const run = (selector, action) => { find(selector, this.root).onclick = () => this.#try(action); };
    run(".play", () => this.toggle());
    run(".step", () => this.step());
    run(".save", () => this.save());
    run(".fork", () => this.fork());
    run(".shut", () => this.dispatchEvent(new Event("shut")));
    find(".step", this.root).append(icon("step"));
    this.root.addEventListener("pointerdown", () => this.dispatchEvent(new Event("choose")));
    this.root.addEventListener("focusin", () => this.dispatchEvent(new Event("choose")));
  }

  async fork() {
    const { child, block } = await this.link.ask("fork");
    this.#say(`Branched off at block ${block}.`);
    this.dispatchEvent(new CustomEvent("forked", { detail: child }));
  }

  async save() {
    const { saved, block } = await this.link.ask("save");
    this.#say(`Saved after ${block} blocks; it is under Worlds.`);
    return saved;
  }

  async #try(action) {
    try {
      await action();
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  #say(text, isWrong = false) {
    this.dispatchEvent(new CustomEvent("said", { detail: { text, isWrong } }));
  }

  #wasPlaying = false;

  #holdStill() {
    this.#wasPlaying = this.isPlaying;
    if (this.#wasPlaying) this.link.ask("pause").catch(() => {});
  }

  #letGo(target, isBack) {
    this.#try(async () => {
      if (isBack) {
        await this.rewind(target);
        this.#say(`Back at block ${target}.`);
      }
      this.timeline.settle();
      if (this.#wasPlaying) await this.link.ask("resume");
    });
  }

  #listen() {
    const on = (type, handle) => this.link.addEventListener(type, ({ detail }) => handle(detail));
    on("hello", ({ world }) => { this.#veil(null); this.#show(world); this.screen.start(); });
    on("world", ({ world }) => this.#show(world));
    on("block", (message) => {
      this.blocks = [...this.blocks, { ms: message.ms, budget: message.budget_ms, missed: message.missed }].slice(-NUM_KEPT);
      this.timeline.made(message.block, message.first_frame);
      this.#show(message.world);
    });
    on("shown", (message) => this.#age(message));
    on("gone", ({ how }) => this.#gone(how));
    on("refused", ({ error }) => this.#veil(error.message, "Try again"));
    on("lost", ({ isFinal }) => { if (!isFinal) this.#veil("Out of reach. Trying again …"); });
  }

  #age({ signals, age_ms }) {
    const own = signals.map((id) => this.#sent.get(id)).filter((sent) => sent !== undefined);
    signals.forEach((id) => this.#sent.delete(id));
    const age = own.length ? performance.now() - Math.min(...own) : age_ms + this.link.roundTrip / 2;
    this.ages = [...this.ages, age].slice(-NUM_KEPT);
    this.dispatchEvent(new CustomEvent("aged", { detail: { age, isOwn: own.length > 0 } }));
  }

  #gone(how) {
    this.link.close();
    if (how === "asleep") this.#veil("Asleep, on the disk.", "Wake it up");
    else this.#veil("This world is closed.", "Take it away", () => this.dispatchEvent(new Event("leave")));
  }

  #veil(text, button = "", action = () => this.link.open()) {
    const veil = find(".veil", this.root);
    veil.hidden = text === null;
    if (text === null) return;
    find("p", veil).textContent = text;
    const press = find("button", veil);
    press.hidden = !button;
    press.textContent = button;
    press.onclick = () => { veil.hidden = true; action(); };
  }

  #show(view) {
    const before = this.view.state;
    this.view = view;
    this.root.dataset.state = view.state;
    this.root.setAttribute("aria-label", `World: ${view.prompt ?? "no prompt"}`);
    find(".state", this.root).textContent = STATES[view.state] ?? view.state;
    const when = find(".when", this.root);
    when.title = `${view.num_blocks} blocks`;
    when.textContent = `${clock(view.seconds)} · #${view.num_blocks}`;
    if (before !== view.state) {
      const play = find(".play", this.root);
      const canPlay = view.state === "paused" || view.state === "failed";
      play.replaceChildren(icon(canPlay ? "play" : "pause"));
      play.setAttribute("aria-label", canPlay ? "Play" : "Pause");
      if (view.state === "failed") this.#say(view.error ?? "The world failed.", true);
    }
    this.timeline.update(view);
    this.dispatchEvent(new Event("changed"));
  }
}
